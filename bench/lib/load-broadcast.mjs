import { connect } from 'node:net';
import { once } from 'node:events';
import { setTimeout as after } from 'node:timers/promises';
import { DIALECTS } from './dialects.mjs';
import { openMany } from './connection.mjs';
import { Contestant, contest } from './contest.mjs';
import { PING, clientFrame } from './frames.mjs';

// Each published message holds this byte once, and nothing else that the server sends does.
const MARK = '~'.charCodeAt(0);
const PONG = clientFrame('', 10);

/**
 * Publishes to `receivers` connections of each target, a server, by way of its conductor: first at a steady pace for
 * the latency of each delivery, then in turns, with two bursts under way, for the rate, until each has had `seconds`.
 * `burst` messages are published in one turn of the server's event loop. `others` of a target are further connections
 * to it, which get nothing. Gives the figures of each target, or `{ error }`; `held(i)` gives the µs that the
 * processor of a target's server has been busy.
 */
export async function broadcast({ targets, receivers, burst, seconds }, held) {
  return contest(
    targets.map((target, i) => new Publisher(target, receivers, burst, () => held(i))),
    seconds,
  );
}

class Publisher extends Contestant {
  #target;
  #receivers;
  #burst;
  #run;
  #baton;
  #bystanders = [];
  #latencies = [];

  constructor(target, receivers, burst, processor) {
    super(processor);
    this.#target = target;
    this.#receivers = receivers;
    this.#burst = burst;
  }

  async open() {
    const { port, conductor, dialect = 'plain', path, stream, others = [] } = this.#target;
    const { opening, path: pathOf } = DIALECTS[dialect];
    const target = stream ? { path, status: 200 } : { path: pathOf(path) };
    const connections = await openMany(this.#receivers, port, target, { opening });
    for (const other of others) this.#bystanders.push(...(await openMany(1, port, { path: other })));
    this.#baton = await batonTo(conductor);
    this.#run = new Run(connections, this.#burst, this.#baton);
    await this.#run.paced(2, 20);
    this.#run.latencies.length = 0;
    await this.#run.paced(20, 25);
    this.#latencies = this.#run.latencies.sort((a, b) => a - b);
  }

  async work(milliseconds) {
    const { deliveries, elapsed } = await this.#run.pipelined(milliseconds);
    return { count: deliveries, elapsed };
  }

  check() {
    return this.#run.check();
  }

  close() {
    this.#run?.destroy();
    for (const connection of this.#bystanders) connection.destroy();
    this.#baton?.destroy();
  }

  get figures() {
    const at = (share) => this.#latencies[Math.floor(this.#latencies.length * share)];
    return { ...super.figures, p50: at(0.5), p99: at(0.99) };
  }
}

/** The connection by which a server is told to publish. */
export async function batonTo(conductor) {
  const baton = connect({ port: conductor, host: '127.0.0.1' });
  await once(baton, 'connect');
  baton.setNoDelay(true);
  return baton;
}

/** Publishes in bursts to the receivers of one channel, and counts what each of them gets. */
export class Run {
  latencies = [];
  #connections;
  #counts;
  #burst;
  #command;
  #baton;
  #published = 0;
  #received = 0;
  #target = 0;
  #reached = undefined;
  #sentAt = undefined;

  constructor(connections, burst, baton, channel = 0) {
    this.#connections = connections;
    this.#counts = Array.from({ length: connections.length }, () => 0);
    this.#burst = burst;
    this.#command = Buffer.of((channel << 4) | burst);
    this.#baton = baton;
    connections.forEach((connection, index) => connection.listen((bytes) => this.#receive(index, bytes)));
  }

  /** One burst each `interval` ms, or later where the last is not yet with everybody. */
  async paced(rounds, interval) {
    for (let i = 0; i < rounds; i++) {
      this.#sentAt = performance.now();
      this.#publish();
      await this.#until(this.#published);
      this.#sentAt = undefined;
      await after(interval);
    }
  }

  async pipelined(milliseconds) {
    const began = performance.now();
    const first = this.#published;
    this.#publish();
    while (performance.now() - began < milliseconds) {
      const previous = this.#published;
      this.#publish();
      await this.#until(previous);
    }
    await this.#until(this.#published);
    const deliveries = (this.#published - first) * this.#burst * this.#counts.length;
    return { deliveries, elapsed: (performance.now() - began) / 1000 };
  }

  /** Nobody has got more or less than was published. */
  async check() {
    await after(50);
    const expected = this.#published * this.#burst;
    const wrong = this.#counts.filter((count) => count !== expected);
    if (wrong.length > 0)
      throw new Error(`${wrong.length} receivers got ${wrong[0]} messages, not ${expected}`);
  }

  destroy() {
    for (const connection of this.#connections) connection.destroy();
  }

  #publish() {
    this.#published++;
    this.#baton.write(this.#command);
  }

  #receive(index, bytes) {
    let count = 0;
    for (let at = bytes.indexOf(MARK); at >= 0; at = bytes.indexOf(MARK, at + 1)) count++;
    this.#counts[index] += count;
    this.#received += count;
    // Nothing else has this byte: messages are ASCII.
    if (bytes.includes(PING)) this.#connections[index].socket.write(PONG);
    if (this.#sentAt !== undefined && count > 0) this.latencies.push(performance.now() - this.#sentAt);
    if (this.#received >= this.#target) this.#reached?.();
  }

  /** The first `bursts` bursts are with everybody, or rather as many deliveries have been made as that takes. */
  async #until(bursts) {
    this.#target = bursts * this.#burst * this.#counts.length;
    if (this.#received >= this.#target) return;
    await new Promise((resolve, reject) => {
      const late = setTimeout(
        () => reject(new Error(`${this.#received} of ${this.#target} deliveries`)),
        20_000,
      );
      this.#reached = () => {
        clearTimeout(late);
        this.#reached = undefined;
        resolve();
      };
    });
  }
}

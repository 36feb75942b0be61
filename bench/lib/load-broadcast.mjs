import { connect } from 'node:net';
import { once } from 'node:events';
import { setTimeout as after } from 'node:timers/promises';
import { DIALECTS } from './dialects.mjs';
import { openMany } from './connection.mjs';
import { PING, clientFrame } from './frames.mjs';

// Each published message holds this byte once, and nothing else that the server sends does.
const MARK = '~'.charCodeAt(0);
const PONG = clientFrame('', 10);

// Milliseconds: short beside the seconds in which a machine changes its speed.
const TURN = 50;

/**
 * Publishes to `receivers` connections of each target, a server, by way of its conductor: first at a steady pace for
 * the latency of each delivery, then in turns, with two bursts under way, for the rate, until each has had `seconds`.
 * `burst` messages are published in one turn of the server's event loop. `others` of a target are further connections
 * to it, which get nothing. Gives the figures of each target, or `{ error }`; `held(i)` gives the µs that the
 * processor of a target's server has been busy.
 */
export async function broadcast({ targets, receivers, burst, seconds }, held) {
  const contestants = targets.map((target, i) => new Contestant(target, () => held(i)));
  await each(contestants, (one) => one.open(receivers, burst));
  await each(contestants, (one) => one.paced());
  for (const budget of [0.3 * seconds, seconds]) {
    for (const one of contestants) one.begin();
    for (let turn = 0; contestants.some((one) => one.wants(budget)); turn++) {
      const order = contestants.map((_, i) => contestants[(i + turn) % contestants.length]);
      await each(
        order.filter((one) => one.wants(budget)),
        (one) => one.turn(),
      );
    }
  }
  await each(contestants, (one) => one.check());
  return contestants.map((one) => one.figures);
}

async function each(contestants, act) {
  for (const one of contestants) {
    if (one.error === undefined) await act(one).catch((error) => one.fail(error));
  }
}

class Contestant {
  error = undefined;
  #target;
  #processor;
  #run;
  #baton;
  #bystanders = [];
  #latencies = [];
  #total;

  constructor(target, processor) {
    this.#target = target;
    this.#processor = processor;
  }

  async open(receivers, burst) {
    const { port, conductor, dialect = 'plain', path, stream, others = [] } = this.#target;
    const { opening, path: pathOf } = DIALECTS[dialect];
    const target = stream ? { path, status: 200 } : { path: pathOf(path) };
    const connections = await openMany(receivers, port, target, { opening });
    for (const other of others) this.#bystanders.push(...(await openMany(1, port, { path: other })));
    this.#baton = await batonTo(conductor);
    this.#run = new Run(connections, burst, this.#baton);
  }

  async paced() {
    await this.#run.paced(2, 20);
    this.#run.latencies.length = 0;
    await this.#run.paced(20, 25);
    this.#latencies = this.#run.latencies.sort((a, b) => a - b);
  }

  begin() {
    this.#total = { deliveries: 0, elapsed: 0, server: 0, client: 0 };
  }

  wants(seconds) {
    return this.error === undefined && this.#total.elapsed < seconds;
  }

  async turn() {
    const total = this.#total;
    const server = await this.#processor();
    const client = process.cpuUsage();
    const { deliveries, elapsed } = await this.#run.pipelined(TURN);
    const { user, system } = process.cpuUsage(client);
    total.deliveries += deliveries;
    total.elapsed += elapsed;
    total.client += user + system;
    total.server += (await this.#processor()) - server;
  }

  async check() {
    await this.#run.check();
    this.#close();
  }

  fail(error) {
    this.error = error;
    this.#close();
  }

  get figures() {
    if (this.error !== undefined) return { error: this.error.message };
    const { deliveries, elapsed, client, server } = this.#total;
    return {
      rate: deliveries / elapsed,
      p50: this.#latencies[Math.floor(this.#latencies.length * 0.5)],
      p99: this.#latencies[Math.floor(this.#latencies.length * 0.99)],
      clientBusy: client / 1e6 / elapsed,
      serverBusy: server / 1e6 / elapsed,
    };
  }

  #close() {
    this.#run?.destroy();
    for (const connection of this.#bystanders) connection.destroy();
    this.#baton?.destroy();
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

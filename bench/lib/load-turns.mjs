import { RawConnection, openMany } from './connection.mjs';
import { TURN } from './contest.mjs';
import { Run, batonTo } from './load-broadcast.mjs';

const WARM_UP = 15;
const PORTION = 20;

/** Publishes to `receivers` of each channel in turns, and gives what a delivery costs the server, by cycle. */
export async function publishTurns({ port, conductor, paths, receivers, burst, seconds }, held) {
  const groups = paths.map(() => []);
  // In portions, so that no channel has all the early connections: those cost a server a little more.
  while (groups[0].length < receivers) {
    for (const [i, path] of paths.entries()) groups[i].push(...(await openMany(PORTION, port, { path })));
  }
  const baton = await batonTo(conductor);
  const runs = groups.map((connections, channel) => new Run(connections, burst, baton, channel));
  const cycles = await turns(
    runs.map((run) => async () => (await run.pipelined(TURN)).deliveries),
    seconds,
    held,
  );
  for (const run of runs) {
    await run.check();
    run.destroy();
  }
  baton.destroy();
  return { cycles };
}

/** Asks for each path in turns, and gives what a request costs the server, by cycle. All answers have the same body. */
export async function requestTurns({ port, paths, body, connections, seconds }, held) {
  const clients = Array.from({ length: connections }, () => new RawConnection(port));
  const askers = paths.map((path) => new Asker(clients, path, body));
  for (const asker of askers) await asker.check();
  const cycles = await turns(
    askers.map((asker) => () => asker.ask(TURN)),
    seconds,
    held,
  );
  for (const asker of askers) await asker.check();
  for (const client of clients) client.destroy();
  return { cycles };
}

/**
 * Cycles through all takers, each cycle beginning with another one, so that their turns are beside each other and on a
 * machine of the same speed. A taker gives how many it did; `held` gives the µs that the server's processor has been
 * busy, which do not count what else the machine was doing. A cycle is the µs for one, of each taker.
 */
async function turns(takers, seconds, held) {
  const cycles = [];
  const count = Math.ceil((seconds * 1000) / TURN);
  for (let round = -WARM_UP; round < count; round++) {
    const cycle = [];
    let before = await held('turn');
    for (let i = 0; i < takers.length; i++) {
      const at = (i + round + WARM_UP) % takers.length;
      const done = await takers[at]();
      const now = await held('turn');
      cycle[at] = (now - before) / done;
      before = now;
    }
    if (round >= 0) cycles.push(cycle);
  }
  return cycles;
}

/** Requests for one path, one under way on each of the connections. Answers are counted by their size. */
class Asker {
  #clients;
  #path;
  #body;
  #request;
  #size = 0;

  constructor(clients, path, body) {
    this.#clients = clients;
    this.#path = path;
    this.#body = body;
    this.#request = Buffer.from(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`);
  }

  async check() {
    for (const client of this.#clients) {
      client.onBytes = undefined;
      const { body, size } = await client.answer(this.#request);
      if (body !== this.#body) throw new Error(`${this.#path} was answered with\n${body}`);
      this.#size = size;
    }
  }

  /** Asks for `milliseconds`, waits for the last answers and gives their number. */
  ask(milliseconds) {
    const until = performance.now() + milliseconds;
    let count = 0;
    let waiting = this.#clients.length;
    return new Promise((resolve, reject) => {
      for (const client of this.#clients) {
        let bytes = 0;
        client.listen((chunk) => {
          bytes += chunk.length;
          if (bytes < this.#size) return;
          if (bytes > this.#size) return reject(new Error(`${bytes} bytes, not ${this.#size}`));
          bytes = 0;
          count++;
          if (performance.now() < until) client.socket.write(this.#request);
          else if (--waiting === 0) resolve(count);
        });
        client.socket.write(this.#request);
      }
    });
  }
}

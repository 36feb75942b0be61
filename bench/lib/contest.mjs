/** Milliseconds: short beside the seconds in which a machine changes its speed, long beside one burst to everybody. */
export const TURN = 50;

/** What one server does in a contest; subclasses open the connections, and work for a turn. */
export class Contestant {
  error = undefined;
  #processor;
  #total;

  /** @param processor gives the µs that the processor of the server has been busy */
  constructor(processor) {
    this.#processor = processor;
  }

  begin() {
    this.#total = { count: 0, elapsed: 0, server: 0, client: 0 };
  }

  wants(seconds) {
    return this.error === undefined && this.#total.elapsed < seconds;
  }

  async turn() {
    const total = this.#total;
    const server = await this.#processor();
    const client = process.cpuUsage();
    const { count, elapsed } = await this.work(TURN);
    const { user, system } = process.cpuUsage(client);
    total.count += count;
    total.elapsed += elapsed;
    total.client += user + system;
    total.server += (await this.#processor()) - server;
  }

  fail(error) {
    this.error = error;
    this.close();
  }

  /** What it did in a second, and how busy both sides were. */
  get figures() {
    if (this.error !== undefined) return { error: this.error.message };
    const { count, elapsed, client, server } = this.#total;
    return { rate: count / elapsed, clientBusy: client / 1e6 / elapsed, serverBusy: server / 1e6 / elapsed };
  }
}

/**
 * Lets each in turns work until it has for `seconds`, after a third of that to warm up, each cycle of turns beginning
 * with another one. Who fails is left out. Gives the figures of each, or `{ error }`.
 */
export async function contest(contestants, seconds) {
  await each(contestants, (one) => one.open());
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
  await each(contestants, (one) => one.close());
  return contestants.map((one) => one.figures);
}

async function each(contestants, act) {
  for (const one of contestants) {
    if (one.error !== undefined) continue;
    try {
      await act(one);
    } catch (error) {
      one.fail(error);
    }
  }
}

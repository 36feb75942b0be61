import type { Context } from '../exchange/context.js';

/** Exchanges that wait for something asynchronous: so that one that never settles is ended, and `close()` knows. */
export class InFlight implements Iterable<Context> {
  /** In no order: what leaves is replaced by the last, which costs less for each request than a map's upkeep. */
  readonly #contexts: Context[] = [];
  readonly #interval: number;
  #ticks = 0;
  #sweeper: NodeJS.Timeout | undefined = undefined;

  constructor(
    /** Milliseconds that an exchange may take, at least; it is ended within a quarter more, or a second. */
    private readonly limit: number,
    private readonly expire: (ctx: Context) => void,
  ) {
    this.#interval = Math.min(1_000, limit / 4);
  }

  get size(): number {
    return this.#contexts.length;
  }

  [Symbol.iterator](): Iterator<Context> {
    return [...this.#contexts].values();
  }

  add(ctx: Context): void {
    ctx.place = this.#contexts.push(ctx) - 1;
    ctx.tick = this.#ticks;
    if (this.#sweeper !== undefined) return;
    this.#sweeper = setInterval(() => this.#sweep(), this.#interval);
    this.#sweeper.unref();
  }

  has(ctx: Context): boolean {
    // Most have never been here, and to read an array at -1 costs more than all the rest.
    return ctx.place !== -1 && this.#contexts[ctx.place] === ctx;
  }

  delete(ctx: Context): void {
    if (!this.has(ctx)) return;
    const last = this.#contexts.pop();
    if (last === undefined || last === ctx) return;
    this.#contexts[ctx.place] = last;
    last.place = ctx.place;
  }

  stop(): void {
    clearInterval(this.#sweeper);
    this.#sweeper = undefined;
  }

  /** Times are counted in ticks: asking the clock for each request would cost more than the sweep. */
  #sweep(): void {
    this.#ticks++;
    const patience = Math.ceil(this.limit / this.#interval);
    for (const ctx of this) {
      // One tick more, as it began somewhere within its first.
      if (this.#ticks - ctx.tick <= patience) continue;
      // The limit is for the head: an answer that is under way may take its time.
      if (ctx.headSent && !ctx.response.writableEnded && !ctx.response.destroyed) continue;
      this.delete(ctx);
      this.expire(ctx);
    }
    if (this.#contexts.length === 0) this.stop();
  }
}

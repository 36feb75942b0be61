import type { Context } from '../exchange/context.js';

/** The exchanges that wait for asynchronous work. One that takes longer than the limit expires; `close()` waits for the others. */
export class InFlight implements Iterable<Context> {
  /** Each with the tick at which it was added: reading the clock for each request would cost more than the sweep. */
  readonly #added = new Map<Context, number>();
  readonly #interval: number;
  #tick = 0;
  #sweeper: NodeJS.Timeout | undefined = undefined;

  constructor(
    /** The least time, in milliseconds, after which an exchange expires; the most is a quarter more, or one second more. */
    private readonly limit: number,
    private readonly expire: (ctx: Context) => void,
  ) {
    this.#interval = Math.min(1_000, limit / 4);
  }

  get size(): number {
    return this.#added.size;
  }

  [Symbol.iterator](): Iterator<Context> {
    return this.#added.keys();
  }

  add(ctx: Context): void {
    this.#added.set(ctx, this.#tick);
    this.#sweeper ??= setInterval(() => this.#sweep(), this.#interval).unref();
  }

  has(ctx: Context): boolean {
    return this.#added.has(ctx);
  }

  delete(ctx: Context): void {
    this.#added.delete(ctx);
  }

  stop(): void {
    clearInterval(this.#sweeper);
    this.#sweeper = undefined;
  }

  #sweep(): void {
    this.#tick++;
    const patience = Math.ceil(this.limit / this.#interval);
    for (const [ctx, tick] of this.#added) {
      // One tick more, because the exchange was added somewhere within its first.
      if (this.#tick - tick <= patience) continue;
      if (!ctx.headSent) {
        this.#added.delete(ctx);
        this.expire(ctx);
      } else if (ctx.response.writableEnded || ctx.response.destroyed) {
        // The client has its response already, whatever the method still does.
        this.#added.delete(ctx);
      }
      // The limit is for the head: a response that is being sent may take longer.
    }
    if (this.#added.size === 0) this.stop();
  }
}

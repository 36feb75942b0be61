import type { Context } from './context.js';

/** Exchanges that wait for something asynchronous: so that one that never settles is ended, and `close()` knows. */
export class InFlight implements Iterable<Context> {
  readonly #started = new Map<Context, number>();
  #sweeper: NodeJS.Timeout | undefined = undefined;

  constructor(
    /** Milliseconds that an exchange may take. */
    private readonly limit: number,
    private readonly expire: (ctx: Context) => void,
  ) {}

  get size(): number {
    return this.#started.size;
  }

  [Symbol.iterator](): Iterator<Context> {
    return this.#started.keys();
  }

  add(ctx: Context): void {
    this.#started.set(ctx, performance.now());
    if (this.#sweeper !== undefined) return;
    this.#sweeper = setInterval(() => this.#sweep(), Math.min(1_000, this.limit));
    this.#sweeper.unref();
  }

  delete(ctx: Context): void {
    this.#started.delete(ctx);
  }

  stop(): void {
    clearInterval(this.#sweeper);
    this.#sweeper = undefined;
  }

  /** A map keeps its order: the oldest come first, and the first that is young ends the search. */
  #sweep(): void {
    const now = performance.now();
    for (const [ctx, started] of this.#started) {
      if (now - started < this.limit) return;
      this.#started.delete(ctx);
      this.expire(ctx);
    }
    if (this.#started.size === 0) this.stop();
  }
}

/**
 * A token bucket that holds the tokens of one second. A burst of that size passes; more than the rate for longer does not.
 */
export class Rate {
  #left: number;
  #at = performance.now();

  constructor(private readonly perSecond: number) {
    this.#left = perSecond;
  }

  /** Takes `count` tokens, 1 by default. True if there were not enough. */
  exceeded(count = 1): boolean {
    const now = performance.now();
    this.#left = Math.min(this.perSecond, this.#left + ((now - this.#at) / 1_000) * this.perSecond);
    this.#at = now;
    this.#left -= count;
    return this.#left < 0;
  }
}

/**
 * Counts what comes within a second: a bucket that holds as much as one second allows, and fills as time goes on.
 * A burst of that size passes; more than the rate for longer does not.
 */
export class Rate {
  #left: number;
  #at = performance.now();

  constructor(private readonly perSecond: number) {
    this.#left = perSecond;
  }

  /** Takes `count`, 1 by default; true if there were not so many left. */
  exceeded(count = 1): boolean {
    const now = performance.now();
    this.#left = Math.min(this.perSecond, this.#left + ((now - this.#at) / 1_000) * this.perSecond);
    this.#at = now;
    this.#left -= count;
    return this.#left < 0;
  }
}

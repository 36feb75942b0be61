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

  /** Takes one; true if there is none left. */
  exceeded(): boolean {
    const now = performance.now();
    this.#left = Math.min(this.perSecond, this.#left + ((now - this.#at) / 1_000) * this.perSecond);
    this.#at = now;
    this.#left -= 1;
    return this.#left < 0;
  }
}

import type { Logger } from '../base/logger.js';

/** Milliseconds in which refusals of one kind are one line. */
const WINDOW = 1_000;

/** Load that a limit of ours has refused: that is no failure, and ten thousand of them in a second are one. */
export class ShedLoad {
  readonly #refused = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined = undefined;

  constructor(private readonly logger: Logger) {}

  /** Counts a refusal. The first is logged at once, those that follow within a second by their number. */
  refused(status: number, reason: string): void {
    const key = `${status} ${reason}`;
    const count = this.#refused.get(key);
    if (count === undefined) this.logger.warn({ status, reason, count: 1 }, 'limit reached');
    this.#refused.set(key, count === undefined ? 0 : count + 1);
    this.#timer ??= setInterval(() => this.#summarise(), WINDOW).unref();
  }

  /** Logs what was counted since the last line; a process that ends does so as well. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#summarise();
    this.#refused.clear();
  }

  #summarise(): void {
    for (const [key, count] of this.#refused) {
      const [status, reason] = [Number(key.slice(0, 3)), key.slice(4)];
      if (count > 0) this.logger.warn({ status, reason, count }, 'limit reached');
      if (count > 0) this.#refused.set(key, 0);
      else this.#refused.delete(key);
    }
    if (this.#refused.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

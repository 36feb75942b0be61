/** Options of methods that wait. */
export interface WaitOptions {
  /** Milliseconds to wait; 1,000 by default. */
  timeout?: number;
}

/** Items that have arrived and were not read yet, and readers that wait for the next one. */
export class Arrivals<T> {
  readonly #waiting: T[] = [];
  /** The last five, for error messages. */
  #last: T[] = [];
  #count = 0;
  #end: string | undefined = undefined;
  #wake: (() => void)[] = [];

  constructor(
    private readonly what: string,
    private readonly show: (item: T) => string,
  ) {}

  push(item: T): void {
    this.#waiting.push(item);
    this.#last = [...this.#last.slice(-4), item];
    this.#count++;
    this.#notify();
  }

  /** Marks the end; `how` is the reason. */
  end(how: string): void {
    this.#end ??= how;
    this.#notify();
  }

  /** Resolves with the next item. @throws Error that lists what arrived, after the timeout or the end */
  async next(options?: WaitOptions): Promise<T> {
    await this.#until(() => this.#waiting.length > 0 || this.#end !== undefined, options);
    const item = this.#waiting.shift();
    if (item === undefined) throw new Error(`no further ${this.what}: ${this.#end ?? ''}; ${this.#story()}`);
    return item;
  }

  /** Resolves at the end. */
  async ended(options?: WaitOptions): Promise<void> {
    await this.#until(() => this.#end !== undefined, options);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void> {
    for (;;) {
      await this.#until(() => this.#waiting.length > 0 || this.#end !== undefined);
      const item = this.#waiting.shift();
      if (item === undefined) return;
      yield item;
    }
  }

  async #until(met: () => boolean, { timeout = 1_000 }: WaitOptions = {}): Promise<void> {
    if (met()) return;
    const deadline = performance.now() + timeout;
    while (!met()) {
      const left = deadline - performance.now();
      if (left <= 0) throw new Error(`no ${this.what} within ${timeout} ms; ${this.#story()}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = [];
    for (const resolve of wake) resolve();
  }

  #story(): string {
    if (this.#count === 0) return 'nothing has arrived';
    return `${this.#count} arrived, the last: ${this.#last.map(this.show).join(' | ')}`;
  }
}

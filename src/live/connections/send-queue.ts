/** One thing to be sent in order. */
export interface SendStep {
  /** How many bytes it counts while it waits. */
  readonly bytes: number;
  /** Reads what is sent: all later steps wait for it. Never rejects. */
  readonly read?: () => Promise<unknown>;
  /** Sends it. */
  run(): void;
  /** Called instead of `run` if the connection ends first. */
  cancel?(): void;
}

/**
 * Keeps the order of what is sent while the bytes of a Blob are read. A Blob is read only when everything before it was sent, so
 * that the queue holds no bytes of those that wait.
 */
export class SendQueue {
  /** Bytes that wait. */
  bytes = 0;
  #steps: SendStep[] = [];
  /** How many of the steps are done: shifting the array would move all others for each. */
  #done = 0;
  #busy = false;

  constructor(private readonly onEmpty: () => void) {}

  add(step: SendStep): void {
    this.#steps.push(step);
    this.bytes += step.bytes;
    if (!this.#busy) this.#proceed();
  }

  /** Runs `then` after all steps; calls `onTimeout` if they take longer than `timeout` milliseconds. */
  addLast(then: () => void, timeout: number, onTimeout: () => void): void {
    const timer = setTimeout(onTimeout, timeout).unref();
    const cancel = (): void => clearTimeout(timer);
    const run = (): void => {
      cancel();
      then();
    };
    this.add({ bytes: 0, run, cancel });
  }

  /** Cancels all steps that wait. */
  clear(): void {
    const rest = this.#steps.slice(this.#done);
    this.#steps = [];
    this.#done = 0;
    this.#busy = false;
    this.bytes = 0;
    for (const step of rest) step.cancel?.();
  }

  #proceed(): void {
    this.#busy = true;
    for (let step = this.#steps[this.#done]; step !== undefined; step = this.#steps[this.#done]) {
      const current = step;
      if (current.read !== undefined) {
        void current.read().then(() => {
          if (this.#steps[this.#done] !== current) return;
          this.#finish(current);
          this.#proceed();
        });
        return;
      }
      this.#finish(current);
    }
    this.clear();
    this.onEmpty();
  }

  #finish(step: SendStep): void {
    this.#done++;
    this.bytes -= step.bytes;
    step.run();
  }
}

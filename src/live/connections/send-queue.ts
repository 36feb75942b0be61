/** One thing to be sent, in its turn. */
export interface SendStep {
  /** How much it counts while it waits. */
  readonly bytes: number;
  /** Reads what is to be sent: all that comes later waits for it. Never rejects. */
  readonly read?: () => Promise<unknown>;
  /** Sends it. */
  run(): void;
  /** It is not sent any more. */
  cancel?(): void;
}

/**
 * What is sent while the bytes of a Blob are read waits here, so that everything leaves in the order in which it was sent.
 * A Blob is read when its turn comes: what waits holds no bytes of it.
 */
export class SendQueue {
  /** Bytes that wait. */
  bytes = 0;
  #steps: SendStep[] = [];
  /** How many of the steps are done: a shift for each would move all others. */
  #done = 0;
  #busy = false;

  constructor(private readonly whenEmpty: () => void) {}

  add(step: SendStep): void {
    this.#steps.push(step);
    this.bytes += step.bytes;
    if (!this.#busy) this.#proceed();
  }

  /** Sends none of what waits. */
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
    this.whenEmpty();
  }

  #finish(step: SendStep): void {
    this.#done++;
    this.bytes -= step.bytes;
    step.run();
  }
}

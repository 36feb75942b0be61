import type { Context } from '../exchange/context.js';
import { pump, untilStuck } from '../base/streams.js';

/** What takes the values of a source, and says when it has caught up. */
interface Reader {
  send(value: unknown): boolean;
  drained(): Promise<void>;
}

/** The sources that one connection is given: their values are sent one source after the other, at the reader's pace. */
export class SourceQueue {
  #waiting: AsyncIterator<unknown>[] = [];
  #running = false;

  constructor(
    private readonly ctx: Context,
    private readonly reader: Reader,
  ) {}

  /** Takes a source, begun already or not. */
  add(source: AsyncIterator<unknown>): void {
    this.#waiting.push(source);
  }

  /** Whether there is something to be sent that is not being sent already. */
  get idle(): boolean {
    return !this.#running && this.#waiting.length > 0;
  }

  /** Sends all that was given, and what is given meanwhile. @throws what a source throws; those behind it are ended. */
  run(): Promise<void> {
    const { signal, environment } = this.ctx;
    const work = this.#run(signal);
    environment.pending(untilStuck(work, signal));
    return work;
  }

  /** Tells all sources that nobody takes their values. One may be stuck: nobody waits for its answer. */
  cancel(): void {
    for (const source of this.#waiting.splice(0)) end(source);
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { reader } = this;
    const emit = (value: unknown): unknown => (reader.send(value) ? undefined : reader.drained());
    // The one that is sent is told by its pump; it may be stuck, and those behind it are not to wait for it.
    const cancel = (): void => this.cancel();
    this.#running = true;
    signal.addEventListener('abort', cancel, { once: true });
    try {
      for (let source = this.#waiting.shift(); source !== undefined; source = this.#waiting.shift())
        await pump(source, emit, signal);
    } finally {
      this.#running = false;
      signal.removeEventListener('abort', cancel);
      this.cancel();
    }
  }
}

/** Whether a value is sent by its values, one after the other: an async iterable, or a stream of the web's. */
export function isSource(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  const { getReader, [Symbol.asyncIterator]: iterate } = value as Partial<
    ReadableStream & AsyncIterable<unknown>
  >;
  return typeof iterate === 'function' || typeof getReader === 'function';
}

function end(source: AsyncIterator<unknown>): void {
  void (async () => source.return?.())().catch(() => undefined);
}

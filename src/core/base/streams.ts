import type { Readable } from 'node:stream';

/**
 * Gives the values of a source to `emit`, one by one and at its pace. When `signal` aborts, the source is told
 * by its `return()` at once, even while it waits, and nothing more is taken from it.
 */
export async function pump<T>(
  source: AsyncIterator<T>,
  emit: (value: T) => unknown,
  signal: AbortSignal,
): Promise<void> {
  if (signal.aborted) {
    // Nothing is asked of it, but it may hold something since it was made.
    await source.return?.();
    return;
  }
  let stopping: Promise<unknown> | undefined;
  const stop = (): void => {
    if (stopping !== undefined) return;
    stopping = (async () => source.return?.())();
    // A failure of the clean-up is thrown below; here it is only kept from being unhandled.
    stopping.catch(() => undefined);
  };
  signal.addEventListener('abort', stop, { once: true });
  try {
    for (;;) {
      const result = await source.next();
      if (result.done === true) break;
      if (signal.aborted) break;
      await emit(result.value);
    }
  } catch (error) {
    stop();
    throw error;
  } finally {
    signal.removeEventListener('abort', stop);
  }
  await stopping;
}

/** Milliseconds that a source has for its clean-up before it counts as stuck. */
const CLEAN_UP = 250;

/**
 * Resolves when the work on a source is done, or when the source has not ended a while after `signal` has told it to:
 * a generator that awaits what never settles cannot be ended, and nobody may have to wait for it.
 */
export function untilStuck(work: Promise<unknown>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    let timer: NodeJS.Timeout | undefined;
    const over = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', stopped);
      resolve();
    };
    const stopped = (): void => {
      timer = setTimeout(over, CLEAN_UP);
    };
    if (signal.aborted) stopped();
    else signal.addEventListener('abort', stopped, { once: true });
    work.then(over, over);
  });
}

/**
 * A stream that an exchange has taken for its answer ends with the exchange, read or not, and what fails in it while
 * nobody reads is no exception of the process: the exchange sees it when it reads.
 */
export function attachStream<T extends Readable>(
  exchange: { defer(work: () => unknown): void },
  stream: T,
): T {
  stream.on('error', ignore);
  // Its iterator would wait for the next chunk before it lets go, and lets go of nothing that was not begun.
  exchange.defer(() => void stream.destroy());
  return stream;
}

function ignore(): void {
  // Seen by who reads.
}

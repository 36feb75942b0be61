import type { Readable } from 'node:stream';

/**
 * Passes the values of a source to `emit`, one by one, and waits for each. When `signal` aborts, calls the source's `return()`
 * at once, even while the source waits, and takes no further value.
 */
export async function pump<T>(
  source: AsyncIterator<T>,
  emit: (value: T) => unknown,
  signal: AbortSignal,
): Promise<void> {
  if (signal.aborted) {
    // The source may hold resources since it was created.
    await source.return?.();
    return;
  }
  let stopping: Promise<unknown> | undefined;
  const stop = (): void => {
    if (stopping !== undefined) return;
    stopping = (async () => source.return?.())();
    // A failure of the clean-up is thrown below, and must not be an unhandled rejection before.
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

/** Milliseconds that a source has for its clean-up. */
const CLEAN_UP = 250;

/**
 * Resolves when the work on a source is done, or if the source has not ended some time after `signal` aborted: a generator that
 * awaits a promise that never settles cannot be ended.
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
 * Ties a stream to an exchange: the stream is destroyed when the exchange ends, and an error before it is read is not an uncaught
 * exception. The exchange receives the error when it reads.
 */
export function attachStream<T extends Readable>(
  exchange: { defer(work: () => unknown): void },
  stream: T,
): T {
  stream.on('error', ignore);
  // `return()` of its iterator would wait for the next chunk, and does nothing before the first `next()`.
  exchange.defer(() => void stream.destroy());
  return stream;
}

function ignore(): void {
  // The reader receives it.
}

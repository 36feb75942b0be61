/**
 * Gives the values of a source to `emit`, one by one and at its pace. When `signal` aborts, the source is told
 * by its `return()` at once, even while it waits, and nothing more is taken from it.
 */
export async function pump<T>(
  source: AsyncIterator<T>,
  emit: (value: T) => unknown,
  signal: AbortSignal,
): Promise<void> {
  let stopping: Promise<unknown> | undefined;
  const stop = (): void => {
    if (stopping !== undefined) return;
    stopping = (async () => source.return?.())();
    // A failure of the clean-up is thrown below; here it is only kept from being unhandled.
    stopping.catch(() => undefined);
  };
  signal.addEventListener('abort', stop, { once: true });
  try {
    if (signal.aborted) stop();
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

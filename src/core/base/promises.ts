/**
 * Whether a value is to be awaited. A call costs less than an `await`, so what is there already goes on at once.
 * What users make goes through `Promise.resolve` first, which leaves promises as they are: other thenables may settle
 * twice, or give nothing back.
 */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
  );
}

/** Runs all works, one after the other. One that fails is reported, and the others still run. */
export async function runAll(
  works: readonly (() => unknown)[],
  failed: (error: unknown) => void,
): Promise<void> {
  for (const work of works) {
    try {
      const result = work();
      if (isThenable(result)) await result;
    } catch (error) {
      failed(error);
    }
  }
}

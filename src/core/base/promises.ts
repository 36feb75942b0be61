/**
 * Whether a value is a promise or another thenable. Code goes on at once with other values, because this check costs less than
 * an `await`. Thenables of users go through `Promise.resolve` first: they may settle twice.
 */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
  );
}

/** Runs functions one after the other. If one fails, its error goes to `failed`, and the others still run. */
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

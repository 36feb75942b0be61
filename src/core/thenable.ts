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

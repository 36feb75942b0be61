/** The trace that a request belongs to: `traceparent`, W3C Trace Context. */
export interface TraceParent {
  readonly traceId: string;
  readonly parentId: string;
  readonly sampled: boolean;
}

// Later versions may have more fields; version 00 has these four.
const TRACEPARENT =
  /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:(?<!^00.{53})-.*)?$/;

/** Undefined where the field is missing or malformed: the standard has it ignored then. */
export function parseTraceParent(field: string | string[] | undefined): TraceParent | undefined {
  const match = typeof field === 'string' ? TRACEPARENT.exec(field) : null;
  if (match === null) return undefined;
  const [, traceId = '', parentId = '', flags = ''] = match;
  return { traceId, parentId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

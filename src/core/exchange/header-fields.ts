import { stringifySetCookie as stringify, type SerializeOptions } from 'cookie';

export { parseCookie } from 'cookie';

/** Attributes of a cookie (RFC 6265): `maxAge` in seconds, `expires`, `domain`, `path`, `sameSite`, `secure`, `httpOnly` … */
export type SetCookie = SerializeOptions;

/** What browsers keep of one cookie, RFC 6265 section 6.1; they drop longer ones without a word. */
const MAXIMUM = 4_096;

/**
 * Writes a `Set-Cookie` field with careful defaults.
 * @throws TypeError for a bad name, value or attribute, or for more than 4,096 bytes.
 */
export function stringifySetCookie(name: string, value: string, options: SetCookie): string {
  const field = stringify(name, value, { path: '/', httpOnly: true, sameSite: 'lax', ...options });
  if (Buffer.byteLength(field) > MAXIMUM) {
    throw new TypeError(`cookie ${name} takes ${Buffer.byteLength(field)} bytes; browsers keep ${MAXIMUM}`);
  }
  return field;
}

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

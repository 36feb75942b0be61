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

import { HttpError } from './errors.js';

const PLAIN = /^(?:\/[\w!$&'()*+,:;=@~-][\w.!$&'()*+,:;=@~-]*)+$/;
const DELIMITERS = /[/?#%]/g;

/**
 * The one spelling of a path that middleware and router see (RFC 3986, section 6.2.2): what need not be
 * escaped is decoded, dot segments and doubled or trailing slashes are gone. Letters keep their case.
 * Only `/`, `?`, `#` and `%` stay escaped, since decoded they would mean something else.
 *
 * @throws HttpError 400 for a malformed escape, bad UTF-8, a control character, a backslash or a fragment.
 */
export function canonicalPath(path: string): string {
  if (path === '/' || PLAIN.test(path)) return path;
  // The router would end the path at a fragment, and guards that read it would not (RFC 9112, section 3.2).
  if (!path.startsWith('/') || path.includes('#')) throw malformed();
  const kept: string[] = [];
  for (const segment of path.split('/')) {
    const decoded = segment.includes('%') ? decode(segment) : segment;
    if (hasUnsafe(decoded)) throw malformed();
    if (decoded === '..') kept.pop();
    else if (decoded !== '' && decoded !== '.') kept.push(decoded);
  }
  return `/${kept.join('/')}`;
}

function decode(segment: string): string {
  let text: string;
  try {
    text = decodeURIComponent(segment);
  } catch (cause) {
    throw malformed(cause);
  }
  return text.replace(DELIMITERS, (character) => encodeURIComponent(character));
}

function hasUnsafe(segment: string): boolean {
  for (let i = 0; i < segment.length; i++) {
    const code = segment.charCodeAt(i);
    if (code < 0x20 || code === 0x7f || code === 0x5c) return true;
  }
  return false;
}

function malformed(cause?: unknown): HttpError {
  return new HttpError(400, 'The path of the request is malformed', { cause });
}

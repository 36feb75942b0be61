import type { IncomingMessage } from 'node:http';
import encodeUrl from 'encodeurl';
import { HttpError } from '../base/errors.js';

const PLAIN = /^(?:\/[\w!$&'()*+,:;=@~-][\w.!$&'()*+,:;=@~-]*)+$/;
const DOT_SEGMENT = /(?:^|\/)\.\.?(?:\/|$)/;
const DELIMITERS = /[/?#%]/g;

/**
 * The canonical spelling of a path, which router and middleware see (RFC 3986, section 6.2.2): decoded, without dot
 * segments and doubled or trailing slashes. Letters keep their case. Only `/`, `?`, `#` and `%` stay escaped, since they
 * would change their meaning.
 *
 * @throws HttpError 400 for a malformed escape, bad UTF-8, a control character, a backslash or a fragment, and for
 * dot segments between escaped slashes, which a parameter would contain.
 */
export function canonicalPath(path: string): string {
  if (path === '/' || PLAIN.test(path)) return path;
  // The router ends a path at `#`, but guards that read the path do not (RFC 9112, section 3.2).
  if (!path.startsWith('/') || path.includes('#')) throw malformed();
  const kept: string[] = [];
  for (const segment of path.split('/')) {
    const decoded = segment.includes('%') ? decode(segment) : segment;
    if (hasUnsafe(decoded)) throw malformed();
    if (decoded.includes('%2F')) refuseDotSegments(decoded.replaceAll('%2F', '/'));
    if (decoded === '..') kept.pop();
    else if (decoded !== '' && decoded !== '.') kept.push(decoded);
  }
  return `/${kept.join('/')}`;
}

/** The canonical path with all characters escaped that a URL cannot contain. */
export function urlPath(path: string): string {
  return PLAIN.test(path) ? path : encodeUrl(path);
}

/** The received targets of requests whose spelling was not canonical. */
const received = new WeakMap<IncomingMessage, string>();

/**
 * Rewrites `request.url` to the canonical path, so that middleware decides by the same path as the router. The query stays
 * as received.
 */
export function spellCanonically(request: IncomingMessage, path: string): void {
  const { url = '/' } = request;
  const mark = url.indexOf('?');
  const canonical = mark === -1 ? urlPath(path) : urlPath(path) + url.slice(mark);
  if (canonical === url) return;
  received.set(request, url);
  request.url = canonical;
}

/** The received target of a request: unlike the canonical one, it shows whether the path ended with a slash. */
export function receivedTarget(request: IncomingMessage): string {
  return received.get(request) ?? request.url ?? '/';
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

/**
 * Rejects a decoded parameter with a segment `.` or `..`: it could leave a folder, or change the path of an upstream.
 * @throws HttpError 400
 */
export function refuseDotSegments(value: string): void {
  if (DOT_SEGMENT.test(value)) throw malformed();
}

function malformed(cause?: unknown): HttpError {
  return new HttpError(400, 'The path of the request is malformed', { code: 'MALFORMED_REQUEST', cause });
}

/** The host of an authority (RFC 3986, section 3.2) in lower case, without port and trailing dot. */
export function hostname(authority: string): string {
  return authority.replace(/:\d*$/, '').replace(/\.$/, '').toLowerCase();
}

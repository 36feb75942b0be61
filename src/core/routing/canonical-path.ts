import type { IncomingMessage } from 'node:http';
import encodeUrl from 'encodeurl';
import { HttpError } from '../base/errors.js';

const PLAIN = /^(?:\/[\w!$&'()*+,:;=@~-][\w.!$&'()*+,:;=@~-]*)+$/;
const DOT_SEGMENT = /(?:^|\/)\.\.?(?:\/|$)/;
const DELIMITERS = /[/?#%]/g;

/**
 * The one spelling of a path that middleware and router see (RFC 3986, section 6.2.2): what need not be
 * escaped is decoded, dot segments and doubled or trailing slashes are gone. Letters keep their case.
 * Only `/`, `?`, `#` and `%` stay escaped, since decoded they would mean something else.
 *
 * @throws HttpError 400 for a malformed escape, bad UTF-8, a control character, a backslash or a fragment, and for
 * dot segments between escaped slashes, which a parameter would hand on.
 */
export function canonicalPath(path: string): string {
  if (path === '/' || PLAIN.test(path)) return path;
  // The router would end the path at a fragment, and guards that read it would not (RFC 9112, section 3.2).
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

/** The canonical path as a URL spells it: what a URL cannot hold is escaped, each character in one way. */
export function urlPath(path: string): string {
  return PLAIN.test(path) ? path : encodeUrl(path);
}

/** Targets of requests as they came, where that was not their canonical spelling. */
const received = new WeakMap<IncomingMessage, string>();

/**
 * Gives the request the one spelling that the router saw, so that all who read `request.url` decide by the same
 * path. The query stays as it came.
 */
export function spellCanonically(request: IncomingMessage, path: string): void {
  const { url = '/' } = request;
  const mark = url.indexOf('?');
  const canonical = mark === -1 ? urlPath(path) : urlPath(path) + url.slice(mark);
  if (canonical === url) return;
  received.set(request, url);
  request.url = canonical;
}

/** The target of a request as it came: the canonical one does not tell whether the path ended with a slash. */
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
 * Refuses a decoded parameter with a segment `.` or `..`: it would lead out of a folder, or change an upstream's path.
 * @throws HttpError 400
 */
export function refuseDotSegments(value: string): void {
  if (DOT_SEGMENT.test(value)) throw malformed();
}

function malformed(cause?: unknown): HttpError {
  return new HttpError(400, 'The path of the request is malformed', { code: 'MALFORMED_REQUEST', cause });
}

/** The name in an authority (RFC 3986, section 3.2) as hosts are compared: without port, the root's dot and case. */
export function hostname(authority: string): string {
  return authority.replace(/:\d*$/, '').replace(/\.$/, '').toLowerCase();
}

import type { IncomingMessage } from 'node:http';
import { isIPv6 } from 'node:net';
import { HttpError } from '../base/errors.js';

/**
 * Refuses what Node's parser lets through and RFC 9112 does not, so that a proxy before the server and the server
 * never read a request differently. `fields` is how many header fields a request may have.
 *
 * @throws HttpError 400, 431, 501 or 505; the connection closes, since nobody knows where the next request begins.
 */
export function checkRequest(
  { httpVersionMajor, httpVersionMinor, rawHeaders }: IncomingMessage,
  fields: number,
): void {
  if (httpVersionMajor !== 1) throw refusal(505, 'This server speaks HTTP/1.1');
  const { length } = rawHeaders;
  if (length > fields * 2) throw refusal(431, 'The request has too many header fields');
  let hosts = 0;
  let codings: string | undefined = undefined;
  // Of each request's fields: their lengths tell most of them apart from those that matter.
  for (let i = 0; i < length; i += 2) {
    const name = rawHeaders[i] as string;
    switch (name.length) {
      case 4:
        if (name !== 'Host' && name.toLowerCase() !== 'host') break;
        hosts++;
        checkHost(rawHeaders[i + 1] as string);
        break;
      case 14:
        if (name.toLowerCase() === 'content-length') checkLength(rawHeaders[i + 1] as string);
        break;
      case 17:
        if (name.toLowerCase() !== 'transfer-encoding') break;
        codings = codings === undefined ? rawHeaders[i + 1] : `${codings}, ${rawHeaders[i + 1]}`;
        break;
    }
  }
  // HTTP/1.0 knew no Host (RFC 9112, section 3.2).
  if (hosts > 1 || (hosts === 0 && httpVersionMinor > 0)) throw refusal(400, 'A request has one Host');
  if (codings !== undefined) checkCodings(codings, httpVersionMinor);
}

const NAME = /^[\w.~-]+(?::(\d{0,5}))?$/;
const LITERAL = /^\[([\da-f:.]+)\](?::(\d{0,5}))?$/i;

/** The last one that was well-formed: most clients name the same. */
let wellFormed = '';

/** A host as it is in use: of the characters that RFC 3986 allows besides, none is ever in a name. */
function checkHost(host: string): void {
  if (host === wellFormed) return;
  const literal = LITERAL.exec(host);
  const port = literal === null ? NAME.exec(host)?.[1] : literal[2];
  const named = literal === null ? NAME.test(host) : isIPv6(literal[1] ?? '');
  if (!named || Number(port ?? 0) > 65_535) throw refusal(400, 'The Host is malformed');
  wellFormed = host;
}

/** Node has seen that it is a number, and takes what is no longer exact as one. */
function checkLength(length: string): void {
  if (length.length > 15) throw refusal(400, 'The Content-Length is too large');
}

/** RFC 9112, sections 6.1 and 6.3. Node ignores all codings but the last, and the field where a body is not usual. */
function checkCodings(codings: string, minor: number): void {
  if (minor === 0) throw refusal(400, 'HTTP/1.0 has no Transfer-Encoding');
  const text = codings.toLowerCase();
  if (text === 'chunked') return;
  if (CODED.test(text)) throw refusal(501, 'No transfer coding but chunked is supported');
  throw refusal(400, 'The Transfer-Encoding is malformed');
}

/** Codings of which the last, as is required, is chunked. */
const CODED = /^(?:(?!chunked\b)[!#$%&'*+.^`|~\w-]+[\t ]*,[\t ]*)+chunked$/;

function refusal(status: number, detail: string): HttpError {
  return new HttpError(status, detail, { headers: { connection: 'close' } });
}

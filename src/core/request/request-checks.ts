import type { IncomingMessage } from 'node:http';
import { isIPv6 } from 'node:net';
import { HttpError } from '../base/errors.js';

/**
 * Refuses what Node's parser accepts against RFC 9112, so that a proxy and this server never read a request differently.
 *
 * @param fields how many header fields a request may have
 * @throws HttpError 400, 431, 501 or 505; the connection closes, because the next request may begin anywhere
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
  // This runs for each field of each request: the length of the name rules most of them out.
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

/** A host as it is in use: the other characters that RFC 3986 allows never occur in a name. */
function checkHost(host: string): void {
  const name = NAME.exec(host);
  const literal = name === null ? LITERAL.exec(host) : null;
  const port = name === null ? literal?.[2] : name[1];
  const isHost = name !== null || isIPv6(literal?.[1] ?? '');
  if (!isHost || Number(port ?? 0) > 65_535) throw refusal(400, 'The Host is malformed');
}

/** Node has checked that it is a number, but accepts numbers that are no longer exact. */
function checkLength(length: string): void {
  if (length.length > 15) throw refusal(400, 'The Content-Length is too large');
}

/** RFC 9112, sections 6.1 and 6.3. Node ignores all codings but the last, and the whole field where a body is unusual. */
function checkCodings(codings: string, minor: number): void {
  if (minor === 0) throw refusal(400, 'HTTP/1.0 has no Transfer-Encoding');
  const text = codings.toLowerCase();
  if (text === 'chunked') return;
  if (CODED.test(text)) throw refusal(501, 'No transfer coding but chunked is supported');
  throw refusal(400, 'The Transfer-Encoding is malformed');
}

/** A list of codings that ends with `chunked`, as the RFC requires. */
const CODED = /^(?:(?!chunked\b)[!#$%&'*+.^`|~\w-]+[\t ]*,[\t ]*)+chunked$/;

function refusal(status: number, detail: string): HttpError {
  const code = status === 400 ? 'MALFORMED_REQUEST' : undefined;
  return new HttpError(status, detail, { code, headers: { connection: 'close' } });
}

import type { IncomingMessage } from 'node:http';
import { HttpError } from '../base/errors.js';

const KEY = /^[+/0-9A-Za-z]{22}==$/;
const ASCII = /^[\t\x20-\x7e]*$/;
const TOKEN = /^[!#$%&'*+.^_`|~\w-]+$/;
const EXTENSIONS = extensions();
/** What a client may ask of permessage-deflate, and the values that it may give (RFC 7692, section 7.1). */
const DEFLATE = new Map([
  ['server_no_context_takeover', /^$/],
  ['client_no_context_takeover', /^$/],
  ['server_max_window_bits', /^=(?:[89]|1[0-5])$/],
  ['client_max_window_bits', /^(?:=(?:[89]|1[0-5]))?$/],
]);

/** Whether a request asks for a WebSocket, so that its route is looked for. All else is plain HTTP (RFC 9110, 7.8). */
export function asksForWebSocket(request: IncomingMessage): boolean {
  if (request.httpVersionMajor !== 1 || request.httpVersionMinor < 1) return false;
  return request.headers.upgrade?.toLowerCase() === 'websocket';
}

/**
 * Checks the opening handshake of RFC 6455, section 4.2.1, where a mistake is certain.
 * @throws HttpError 400, 405 or 426.
 */
export function checkHandshake(request: IncomingMessage): void {
  const { headers, method } = request;
  if (method !== 'GET')
    throw new HttpError(405, 'A WebSocket is opened by GET', { headers: { allow: 'GET' } });
  if (headers['sec-websocket-version'] !== '13') {
    throw new HttpError(426, 'This server speaks version 13 of the WebSocket protocol', {
      headers: { upgrade: 'websocket', connection: 'upgrade, close', 'sec-websocket-version': '13' },
    });
  }
  if (headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0') {
    throw new HttpError(400, 'A WebSocket handshake has no body', { code: 'MALFORMED_REQUEST' });
  }
  if (count(request, 'sec-websocket-key') !== 1 || !KEY.test(headers['sec-websocket-key'] ?? '')) {
    throw new HttpError(400, 'The Sec-WebSocket-Key is missing or malformed', {
      code: 'MALFORMED_REQUEST',
    });
  }
  offeredProtocols(request);
  const offered = headers['sec-websocket-extensions'];
  // RFC 6455, section 9.1: what does not conform fails the handshake; what is unknown is ignored.
  if (offered !== undefined && !EXTENSIONS.test(offered)) {
    throw new HttpError(400, 'The Sec-WebSocket-Extensions is malformed', { code: 'MALFORMED_REQUEST' });
  }
}

/**
 * The handshake with the first offer of permessage-deflate that can be accepted, and no other extension. What cannot
 * be accepted is declined, not refused (RFC 7692, section 7), as ws would.
 */
export function withDeflate(request: IncomingMessage): IncomingMessage {
  const field = request.headers['sec-websocket-extensions'];
  if (field === undefined) return request;
  // The grammar has been checked: between tokens, blanks and quotes say nothing.
  const offer = field
    .replace(/[\s"\\]/g, '')
    .split(',')
    .find(isDeflate);
  const headers = { ...request.headers, 'sec-websocket-extensions': offer };
  return Object.create(request, { headers: { value: headers } }) as IncomingMessage;
}

function isDeflate(offer: string): boolean {
  const [extension, ...parameters] = offer.split(';');
  const names = parameters.map((parameter) => parameter.split('=', 1)[0] ?? '');
  if (extension !== 'permessage-deflate' || new Set(names).size !== names.length) return false;
  return names.every((name, i) => DEFLATE.get(name)?.test((parameters[i] ?? '').slice(name.length)) === true);
}

/** The grammar of RFC 6455, section 9.1: each step is told by its first character, so that it takes linear time. */
function extensions(): RegExp {
  const token = "[!#$%&'*+.^_`|~\\w-]+";
  const value = `(?:${token}|"(?:\\\\?[!#$%&'*+.^_\`|~\\w-])+")`;
  const parameter = `[ \\t]*;[ \\t]*${token}(?:[ \\t]*=[ \\t]*${value})?`;
  const extension = `${token}(?:${parameter})*`;
  return new RegExp(`^${extension}(?:[ \\t]*,[ \\t]*${extension})*$`);
}

/** The subprotocols that the client offers, best first. @throws HttpError 400 for what is no list of tokens. */
export function offeredProtocols(request: IncomingMessage): string[] {
  const field = request.headers['sec-websocket-protocol'];
  if (field === undefined) return [];
  // `trim()` alone would take for white space what is none in HTTP.
  const offered = ASCII.test(field) ? field.split(',').map((name) => name.trim()) : [''];
  if (new Set(offered).size !== offered.length || !offered.every((name) => TOKEN.test(name))) {
    throw new HttpError(400, 'The Sec-WebSocket-Protocol is malformed', { code: 'MALFORMED_REQUEST' });
  }
  return offered;
}

function count({ rawHeaders }: IncomingMessage, name: string): number {
  let found = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) if (rawHeaders[i]?.toLowerCase() === name) found++;
  return found;
}

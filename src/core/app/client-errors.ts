import { STATUS_CODES, type Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { HttpError, problem } from '../base/errors.js';
import { hangUp } from '../node/lingering-close.js';
import type { Logger } from '../base/logger.js';
import { inFlightOn } from '../node/pipeline.js';

type ParserError = Error & { readonly code?: string; readonly reason?: string };

/**
 * Responds to what never becomes a request: bytes that Node's parser rejects, heads and bodies that do not arrive in time,
 * CONNECT. The response is a problem document, follows those in flight on the connection, and closes it. `patience` is the
 * time in milliseconds that it waits for those.
 */
export function answerConnectionErrors(server: Server, logger: Logger, patience: number): void {
  // A parser that has failed fails again with every further byte.
  const refused = new WeakSet<Duplex>();
  server.on('clientError', (error: ParserError, socket) => {
    if (refused.has(socket)) return leave(socket);
    const refusal = refusalOf(error);
    if (refusal === undefined || !socket.writable) return void socket.destroy();
    // The client closed its side within a request: Node ends the exchange in flight.
    if (error.code === EOF && inFlightOn(socket) !== undefined) return void socket.destroy();
    refused.add(socket);
    const { code, reason } = error;
    const { remoteAddress: address } = socket as Socket;
    logger.info({ code, reason, address, status: refusal.status }, 'unreadable request rejected');
    refuse(socket, refusal, patience);
  });
  server.on('connect', (_request, socket) => {
    // Node has removed its own listener.
    socket.on('error', () => socket.destroy());
    const refusal = new HttpError(501, 'This server is not a proxy');
    logger.info({ address: (socket as Socket).remoteAddress, status: refusal.status }, 'CONNECT rejected');
    refuse(socket, refusal, patience);
  });
}

const EOF = 'HPE_INVALID_EOF_STATE';

/** The error that the client receives; none if the connection itself has failed. */
function refusalOf({ code = '', reason }: ParserError): HttpError | undefined {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new HttpError(408, 'The request did not arrive in time');
    case 'HPE_HEADER_OVERFLOW':
      return new HttpError(431, 'The head of the request is too large');
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return new HttpError(413, 'The chunk extensions are too large');
    case 'HPE_INVALID_VERSION':
      // Other reasons mean that the text is not a version.
      if (reason === 'Invalid HTTP version') return new HttpError(505, 'This server speaks HTTP/1.1');
  }
  return code.startsWith('HPE_')
    ? new HttpError(400, 'The request is malformed', { code: 'MALFORMED_REQUEST' })
    : undefined;
}

function refuse(socket: Duplex, refusal: HttpError, patience: number): void {
  if (!socket.writable) return;
  const inFlight = inFlightOn(socket);
  if (inFlight === undefined) {
    socket.write(asText(refusal));
    return hangUp(socket);
  }
  if (inFlight.req.complete) {
    // An earlier request gets its response first; the timer bounds a stream that does not end.
    const timer = setTimeout(() => socket.destroy(), patience).unref();
    inFlight.once('close', () => {
      clearTimeout(timer);
      refuse(socket, refusal, patience);
    });
    return;
  }
  // The error is in the body of the request in flight, so this is its response.
  if (inFlight.headersSent) return void socket.destroy();
  const body = documentOf(refusal);
  for (const name of inFlight.getHeaderNames()) inFlight.removeHeader(name);
  inFlight.writeHead(refusal.status, fieldsOf(body)).end(body);
}

/** Closes our side after the client's: Node does not close the connection of a failed parser. */
function leave(socket: Duplex): void {
  if (socket.readableEnded) socket.end();
}

function asText(refusal: HttpError): string {
  const body = documentOf(refusal);
  const fields = Object.entries({ date: new Date().toUTCString(), ...fieldsOf(body) });
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status]}\r\n${lines}\r\n${body}`;
}

function documentOf(refusal: HttpError): string {
  return JSON.stringify(problem(refusal));
}

function fieldsOf(body: string): Record<string, string> {
  return {
    'content-type': 'application/problem+json',
    'content-length': String(Buffer.byteLength(body)),
    connection: 'close',
  };
}

import { ServerResponse, type IncomingMessage } from 'node:http';
import type { Socket as NetSocket } from 'node:net';
import type { Duplex } from 'node:stream';

/** A response on the socket of an upgrade, so that middleware and refusals are those of every request. */
export function responseOn(socket: Duplex, request: IncomingMessage): ServerResponse {
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket as NetSocket);
  response.once('finish', () => socket.end());
  return response;
}

/** Stands for the response of all open sockets: its head has been sent, and setting a field says so. */
export const SENT = new ServerResponse({
  method: 'GET',
  httpVersionMajor: 1,
  httpVersionMinor: 1,
} as IncomingMessage);
SENT.writeHead(101);

import { ServerResponse, type IncomingMessage } from 'node:http';
import type { Socket as NetSocket } from 'node:net';
import type { Duplex } from 'node:stream';
import { FramedResponse } from './framed-response.js';
import { hangUp } from './lingering-close.js';
import type { Logger } from '../base/logger.js';

/** A response on the socket of an upgrade, so that middleware and refusals are those of every request. */
export function responseOn(socket: Duplex, request: IncomingMessage, logger: Logger): ServerResponse {
  const response = new UpgradeResponse(request, logger);
  response.shouldKeepAlive = false;
  response.assignSocket(socket as NetSocket);
  response.once('finish', () => {
    // Ended before a 101, it has left the socket.
    if (response.socket !== socket) return;
    hangUpWatched(socket);
  });
  return response;
}

class UpgradeResponse extends FramedResponse {
  readonly #logger: Logger;

  constructor(request: IncomingMessage, logger: Logger) {
    super(request);
    this.#logger = logger;
  }

  protected override get logger(): Logger {
    return this.#logger;
  }
}

/** Of all open sockets: what one of them does to its response must not reach the others. */
class SentResponse extends ServerResponse {
  constructor() {
    super({ method: 'GET', httpVersionMajor: 1, httpVersionMinor: 1 } as IncomingMessage);
    this.writeHead(101);
  }

  override destroy(): this {
    return this;
  }

  override end(): this {
    return this;
  }

  override write(): boolean {
    return false;
  }
}

/** Stands for the response of all open sockets: its head has been sent, and setting a field says so. */
export const SENT: ServerResponse = new SentResponse();

/**
 * Notices that the client leaves while it is still being decided: nobody reads an upgraded socket, and what is not
 * read does not end. What comes in the meantime waits in the stream, which stops to read when it is full.
 */
export function watchForEnd(socket: Duplex): void {
  socket.on('readable', lookForEnd);
  socket.on('end', leave);
}

/** Ends the watch: from now on somebody reads. */
export function unwatch(socket: Duplex): void {
  socket.off('readable', lookForEnd);
  socket.off('end', leave);
}

/** Ends the watch, if there is one, and closes our side. */
export function hangUpWatched(socket: Duplex): void {
  unwatch(socket);
  hangUp(socket);
}

function lookForEnd(this: Duplex): void {
  if (this.readableLength === 0) this.read(0);
}

function leave(this: Duplex): void {
  this.destroy();
}

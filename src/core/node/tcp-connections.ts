import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { UnreadWatch } from './response.js';

/** How often, in milliseconds, it is looked who has left without asking. */
const SWEEP = 1_000;

/**
 * The TCP connections of a server, so that its end reaches them all. Node knows those that speak HTTP; what it does
 * not know is followed here, without a listener on each of the others.
 */
export class TcpConnections {
  /** Those on which nothing was asked yet: browsers open them ahead, and to Node they are not idle. */
  readonly #unasked = new Set<Socket>();
  #sweeper: NodeJS.Timeout | undefined = undefined;
  /** Those that are to be upgraded, or that ask for a tunnel: they are not the server's any more. */
  readonly #taken = new Set<Duplex>();
  /** One function for all of them. */
  readonly #forget: (this: Duplex) => void;

  constructor(
    private readonly server: Server,
    unread: UnreadWatch,
  ) {
    keepSending(server, unread);
    const taken = this.#taken;
    this.#forget = function (this: Duplex): void {
      taken.delete(this);
    };
    server.on('connection', (socket) => this.#add(socket));
    server.on('connect', (_request, socket) => this.take(socket));
  }

  /** A request has come on the connection. */
  asked(socket: Duplex): void {
    this.#unasked.delete(socket as Socket);
  }

  /** The connection is not the server's any more. */
  take(socket: Duplex): void {
    this.asked(socket);
    this.#taken.add(socket.on('close', this.#forget));
  }

  /** An upgrade is done: whoever has the connection now ends it. */
  release(socket: Duplex): void {
    this.#taken.delete(socket.off('close', this.#forget));
  }

  /** Ends those that have nothing to wait for. */
  closeIdle(): void {
    this.server.closeIdleConnections();
    for (const socket of this.#unasked) if (socket.bytesRead === 0) socket.destroy();
  }

  /** Cuts all that are open. */
  destroy(): void {
    this.server.closeAllConnections();
    for (const sockets of [this.#unasked, this.#taken]) for (const socket of sockets) socket.destroy();
  }

  #add(socket: Socket): void {
    this.#unasked.add(socket);
    this.#sweeper ??= setInterval(() => this.#sweep(), SWEEP).unref();
  }

  #sweep(): void {
    for (const socket of this.#unasked) if (socket.destroyed) this.#unasked.delete(socket);
    if (this.#unasked.size > 0) return;
    clearInterval(this.#sweeper);
    this.#sweeper = undefined;
  }
}

/**
 * Has the server close no connection as idle while its client reads the rest of a response. Node takes a response for
 * sent once it has ended, also in `server.close()`, which calls the same method.
 */
function keepSending(server: Server, unread: UnreadWatch): void {
  const closeIdle = server.closeIdleConnections.bind(server);
  server.closeIdleConnections = () => {
    const sending = [...unread.responses()].filter((one) => one.finished && !one.writableFinished);
    for (const response of sending) response.finished = false;
    closeIdle();
    for (const response of sending) response.finished = true;
  };
}

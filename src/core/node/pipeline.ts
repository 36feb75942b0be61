import { AsyncResource } from 'node:async_hooks';
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { hangUpWatched, unwatch, watchForEnd } from './upgrade-response.js';

/** How many requests may wait on one connection: what arrives behind them is not parsed, and soon not read any more. */
const MOST = 16;

/**
 * Requests that arrive while an earlier one on their connection is being answered. They run one after the other, in
 * order (RFC 9112, section 9.3.2): each when its response may be sent.
 */
export class Pipeline {
  readonly #queues = new WeakMap<Socket, Queue>();

  /** Calls `run` when it is the response's turn; never, if the connection ends before or the one before closes it. */
  wait(response: ServerResponse, run: () => void): void {
    const { socket } = response.req;
    let queue = this.#queues.get(socket);
    if (queue === undefined) this.#queues.set(socket, (queue = new Queue(socket)));
    queue.add(response, run);
  }
}

/** The response whose turn it is on a connection. Node's own handler of errors goes by the same. */
export function inFlightOn(socket: Duplex): ServerResponse | undefined {
  return (socket as { _httpMessage?: ServerResponse | null })._httpMessage ?? undefined;
}

/** What waits on one connection. Node keeps the order, and gives each response the socket when its turn comes. */
class Queue {
  readonly #waiting = new Set<ServerResponse>();
  /** Whether the rest is left in the stream, which stops to read when it has enough. */
  #full = false;

  constructor(private readonly socket: Socket) {
    socket.once('close', () => this.#clear());
    // A client that sends ahead may have sent more than was read: closed at once, the connection would be reset.
    socket.destroySoon = () => {
      this.#clear();
      hangUpWatched(socket);
    };
  }

  add(response: ServerResponse, run: () => void): void {
    const waiting = this.#waiting.add(response);
    // Node gives it the socket at the end of the response before, in the asynchronous context of that one.
    const arrival = new AsyncResource('PipelinedRequest');
    response.once('socket', () => {
      // Cleared already: the connection has ended.
      if (!waiting.delete(response)) return;
      this.#readOn();
      arrival.runInAsyncScope(run);
    });
    if (this.#full || waiting.size < MOST) return;
    this.#full = true;
    // Once all that has arrived together is parsed. Nothing is parsed while the stream is watched for its end.
    process.nextTick(() => {
      if (this.#full) watchForEnd(this.socket);
    });
  }

  /** Reads on as soon as there is room. */
  #readOn(): void {
    const { socket } = this;
    if (!this.#full || this.#waiting.size >= MOST) return;
    if (isParserPaused(socket)) return void socket.once('drain', () => this.#readOn());
    this.#full = false;
    unwatch(socket);
  }

  /** Ends the waiting responses with their connection: before Node 24, their `close` would never come. */
  #clear(): void {
    for (const response of this.#waiting) {
      this.#waiting.delete(response);
      response.destroy();
      // From Node 24 on, destroy() has scheduled the event already.
      process.nextTick(() => {
        if (!response.closed) response.emit('close');
      });
    }
  }
}

/** Whether Node parses nothing until the connection has drained: bytes that came before would be an error in it. */
function isParserPaused(socket: Socket): boolean {
  return (socket as { _paused?: boolean })._paused === true;
}

import type { Writable } from 'node:stream';
import { WebSocket } from 'ws';
import { bytesOf, isBlob } from '../../core/base/bytes.js';
import type { CloseReason } from '../connections/connection.js';
import type { Outbox } from '../connections/outbox.js';

/** What ws's socket asks of the connection that it belongs to. */
export interface Owner {
  alive: boolean;
  readonly leaving: boolean;
  readonly silent: boolean;
  readonly outbox: Outbox;
  onSendError(error: unknown): void;
  overheard(): void;
}

interface Parser extends Writable {
  readonly _fragmented: number;
  readonly _state: number;
}

/** ws's socket, which knows the connection that it belongs to: listeners are shared by all sockets. */
export class Peer extends WebSocket {
  declare connection: Owner;
  /** The close that was sent first, whoever sent it. */
  sent: CloseReason | undefined = undefined;

  /** ws's own parser, which has no public name. */
  get parser(): Parser {
    return (this as unknown as { _receiver: Parser })._receiver;
  }

  /** Whether a message has begun that has not ended. Only ws's parser knows: there is no event for it. */
  get unfinished(): boolean {
    return this.parser._fragmented !== 0 || this.parser._state !== 0;
  }

  override on(event: string | symbol, listener: (...args: never[]) => void): this {
    this.#heed(event);
    return super.on(event, listener as (...args: unknown[]) => void);
  }

  override addListener(event: string | symbol, listener: (...args: never[]) => void): this {
    return this.on(event, listener);
  }

  override prependListener(event: string | symbol, listener: (...args: never[]) => void): this {
    this.#heed(event);
    return super.prependListener(event, listener as (...args: unknown[]) => void);
  }

  /** Whoever listens to messages here gets all of them from ws: short ones, too, which are read elsewhere otherwise. */
  #heed(event: string | symbol): void {
    // The socket's own listeners come before it is known here.
    if (event === 'message') (this.connection as Owner | undefined)?.overheard();
  }

  /** Messages leave in the order of their sending, whichever way they were sent. */
  override send(...args: [data: unknown, options?: unknown, callback?: unknown]): void {
    const [data] = args;
    const { connection } = this;
    if ((!connection.outbox.awaitsBlob && !isBlob(data)) || this.readyState !== WebSocket.OPEN)
      return this.sendNow(...args);
    this.#sendInTurn(data, args);
  }

  /** @internal What the socket has sent and has not written yet goes first; what waits for a Blob does not. */
  sendNow(...args: [data: unknown, options?: unknown, callback?: unknown]): void {
    this.connection.outbox.flush();
    super.send(...(args as [never, never, never]));
  }

  /** Waits for the Blobs that were sent before, and reads this one if it is one. */
  #sendInTurn(data: unknown, args: [data: unknown, options?: unknown, callback?: unknown]): void {
    const callback = args.findLast((arg) => typeof arg === 'function') as
      ((error?: Error) => void) | undefined;
    const blob = isBlob(data) ? data : undefined;
    let content = data;
    let failure: Error | undefined;
    const read = async (): Promise<void> => {
      try {
        content = await blob?.arrayBuffer();
      } catch (error) {
        failure = error as Error;
      }
    };
    this.connection.outbox.inOrder({
      bytes: blob?.size ?? sizeOf(data),
      ...(blob !== undefined && { read }),
      run: () => {
        try {
          if (failure === undefined) return this.sendNow(content, ...args.slice(1));
        } catch (error) {
          // Its caller has gone on, and what waits behind it is still to be sent.
          failure = error as Error;
        }
        callback?.(failure);
        this.connection.onSendError(failure);
      },
      cancel: () => callback?.(new Error('The socket was closed before the message was sent')),
    });
  }

  /**
   * Node lets a stream flow again at the end of the turn in which it has lost a `readable` listener, as that of an upgrade
   * does when it opens: a pause within that turn would be none.
   */
  override pause(): void {
    super.pause();
    process.nextTick(() => {
      if (this.isPaused) super.pause();
    });
  }

  /** A pong is seen in passing: a fourth listener would double the table that each socket has of them. */
  override emit(event: string | symbol, ...args: unknown[]): boolean {
    if (event === 'pong') this.connection.alive = true;
    return super.emit(event, ...args);
  }

  /**
   * ws closes by itself, too: to answer a close, and for what breaks the protocol. What had come before, often in the
   * same chunk, is answered first: its replies leave within this turn of the loop.
   * @throws TypeError for a code that may not be sent, or a reason of more than 123 bytes.
   */
  override close(code?: number, data?: string | Buffer): void {
    const reason = data?.toString() ?? '';
    if (code !== undefined) {
      checkClose(code, reason);
      this.sent ??= { code, reason };
    }
    const leave = (): void =>
      this.connection.outbox.afterBlobs(() => {
        this.connection.outbox.flush();
        super.close(code, data);
      });
    if (this.connection.leaving || this.connection.silent) leave();
    else setImmediate(leave);
  }
}

function sizeOf(data: unknown): number {
  return bytesOf(data)?.byteLength ?? Buffer.byteLength(String(data));
}

const { get: ofWs } = Object.getOwnPropertyDescriptor(WebSocket.prototype, 'bufferedAmount') as {
  get(this: WebSocket): number;
};

/** What the socket has not written yet waits, too. ws's declarations have a field where its class has an accessor. */
Object.defineProperty(Peer.prototype, 'bufferedAmount', {
  get(this: Peer): number {
    return ofWs.call(this) + ((this.connection as Owner | undefined)?.outbox.unwritten ?? 0);
  },
});

/** @throws TypeError for what RFC 6455 lets nobody send, sections 5.5 and 7.4. */
export function checkClose(code: number, reason: string): void {
  if (!isSendable(code)) throw new TypeError(`${String(code)} is no close code that may be sent`);
  if (Buffer.byteLength(reason) > 123) throw new TypeError('the reason of a close takes at most 123 bytes');
}

function isSendable(code: number): boolean {
  if (!Number.isInteger(code)) return false;
  return (
    (code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 && code !== 1006) ||
    (code >= 3000 && code <= 4999)
  );
}

import type { Writable } from 'node:stream';
import { WebSocket } from 'ws';
import { bytesOf, isBlob } from '../../core/base/bytes.js';
import type { Context } from '../../core/exchange/context.js';
import type { CloseReason } from '../connections/connection.js';
import type { Outbox } from '../connections/outbox.js';
import type { RawMessage } from './message-queue.js';

/** The connection that a socket of ws belongs to. */
export interface SocketOwner {
  readonly context: Context;
  readonly outbox: Outbox;
  readonly pulse: { alive: boolean };
  /** Whether this side closes the connection. */
  readonly leaving: boolean;
  /** Whether no message has come, so that none is still to be answered. */
  readonly silent: boolean;
  receive(message: RawMessage): void;
  onSendError(error: unknown): void;
  /** Other listeners receive the messages from now on. */
  onForeignListener(): void;
  onClose(code: number, reason: string): void;
}

interface Parser extends Writable {
  readonly _fragmented: number;
  readonly _state: number;
}

/** The socket of ws, which knows the connection that it belongs to: all sockets share their listeners. */
export class WsSocket extends WebSocket {
  declare connection: SocketOwner;
  /** The close frame that was sent first. */
  sent: CloseReason | undefined = undefined;

  attach(connection: SocketOwner): void {
    super.on('message', onMessage);
    super.on('error', onError);
    super.on('close', onClose);
    this.connection = connection;
  }

  /** The receiver of ws, which has no public name. */
  get parser(): Parser {
    return (this as unknown as { _receiver: Parser })._receiver;
  }

  /** Whether a message has begun that has not ended. Only the receiver of ws knows: there is no event for it. */
  get unfinished(): boolean {
    return this.parser._fragmented !== 0 || this.parser._state !== 0;
  }

  override on(event: string | symbol, listener: (...args: never[]) => void): this {
    this.#observe(event);
    return super.on(event, listener as (...args: unknown[]) => void);
  }

  override addListener(event: string | symbol, listener: (...args: never[]) => void): this {
    return this.on(event, listener);
  }

  override prependListener(event: string | symbol, listener: (...args: never[]) => void): this {
    this.#observe(event);
    return super.prependListener(event, listener as (...args: unknown[]) => void);
  }

  /** A listener for messages receives all of them from ws, short ones too, which a `FrameReader` reads otherwise. */
  #observe(event: string | symbol): void {
    // ws itself adds listeners before there is a connection.
    if (event === 'message') (this.connection as SocketOwner | undefined)?.onForeignListener();
  }

  /** Sends in order with the messages of the connection. */
  override send(...args: [data: unknown, options?: unknown, callback?: unknown]): void {
    const [data] = args;
    const { connection } = this;
    if ((!connection.outbox.awaitsBlob && !isBlob(data)) || this.readyState !== WebSocket.OPEN)
      return this.sendNow(...args);
    this.#sendInOrder(data, args);
  }

  /** @internal Sends behind what the connection has sent, and before what waits for a Blob. */
  sendNow(...args: [data: unknown, options?: unknown, callback?: unknown]): void {
    this.connection.outbox.flush();
    super.send(...(args as [never, never, never]));
  }

  /** Waits for the Blobs that were sent before, and reads the data if it is a Blob. */
  #sendInOrder(data: unknown, args: [data: unknown, options?: unknown, callback?: unknown]): void {
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
   * Node resumes a stream at the end of the tick in which it has lost a `readable` listener, as that of an upgrade does when it
   * opens, which would undo a pause within that tick.
   */
  override pause(): void {
    super.pause();
    process.nextTick(() => {
      if (this.isPaused) super.pause();
    });
  }

  /** Sees a pong without a listener: a fourth one would double the table of listeners of each socket. */
  override emit(event: string | symbol, ...args: unknown[]): boolean {
    if (event === 'pong') this.connection.pulse.alive = true;
    return super.emit(event, ...args);
  }

  /**
   * Sends a close frame (RFC 6455, section 7.1.2). ws calls this too: to answer a close frame, and when the client breaks the
   * protocol. Messages that came before, often in the same chunk, are answered first, within this turn of the event loop.
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

const { get: bufferedByWs } = Object.getOwnPropertyDescriptor(WebSocket.prototype, 'bufferedAmount') as {
  get(this: WebSocket): number;
};

/** Adds what the connection has not written yet. The declarations of ws have a field where its class has an accessor. */
Object.defineProperty(WsSocket.prototype, 'bufferedAmount', {
  get(this: WsSocket): number {
    return bufferedByWs.call(this) + ((this.connection as SocketOwner | undefined)?.outbox.unwritten ?? 0);
  },
});

/** @throws TypeError for a code or a reason that no endpoint may send (RFC 6455, sections 5.5 and 7.4). */
export function checkClose(code: number, reason: string): void {
  if (!isSendable(code)) throw new TypeError(`${String(code)} is not a close code that may be sent`);
  if (Buffer.byteLength(reason) > 123) throw new TypeError('the reason of a close takes at most 123 bytes');
}

function isSendable(code: number): boolean {
  if (!Number.isInteger(code)) return false;
  return (
    (code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 && code !== 1006) ||
    (code >= 3000 && code <= 4999)
  );
}

function onMessage(this: WebSocket, data: unknown, isBinary: boolean): void {
  const { connection } = this as WsSocket;
  if (!isBinary) connection.receive((data as Buffer).toString());
  else if (Buffer.isBuffer(data)) connection.receive(data);
  // The application may have set the `binaryType` of `socket.raw`.
  else if (Array.isArray(data)) connection.receive(Buffer.concat(data as Buffer[]));
  else if (data instanceof ArrayBuffer) connection.receive(Buffer.from(data));
  else void (data as Blob).arrayBuffer().then((bytes) => connection.receive(Buffer.from(bytes)));
}

/** ws closes the socket itself when the client breaks the protocol; one line informs the operator. */
function onError(this: WebSocket, err: Error): void {
  const { context } = (this as WsSocket).connection;
  context.environment.logger.info({ err, requestId: context.id, path: context.path }, 'the socket failed');
}

function onClose(this: WebSocket, code: number, reason: Buffer): void {
  (this as WsSocket).connection.onClose(code, reason.toString());
}

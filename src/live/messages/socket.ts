import type { Duplex } from 'node:stream';
import { WebSocket } from 'ws';
import { fastPaths } from '../encoding/fast-paths.js';
import type { Context } from '../../core/exchange/context.js';
import { bytesReceived } from '../../core/node/tcp-progress.js';
import { Connection } from '../connections/connection.js';
import { cursorIn } from '../encoding/cursor.js';
import { EVENTS_PROTOCOL, type Format } from '../encoding/format.js';
import { PING } from '../encoding/frame.js';
import { json } from '../encoding/message.js';
import { ClientCalls, type CallResponse } from './client-calls.js';
import { FrameReader } from './frame-reader.js';
import type { Mode, RawMessage } from './message-queue.js';
import { MessageReceiver, type Conversation } from './receiver.js';
import { CompressedOutbox, SocketOutbox } from './socket-outbox.js';
import { checkClose, type WsSocket } from './ws-socket.js';

/**
 * An open WebSocket (RFC 6455): an async iterable of the messages of the client.
 *
 * @example
 * ```ts
 * for await (const { text } of socket) {
 *   if (!socket.send({ echo: text })) await socket.drained();
 * }
 * ```
 */
export class Socket<In = unknown, Out = unknown> extends Connection implements AsyncIterable<In> {
  /** @internal */
  readonly outbox: SocketOutbox;
  /** @internal */
  readonly ws: WsSocket;
  /** Made with the first message, or when the method asks for one: most sockets only send. */
  #receiver: MessageReceiver<Socket> | undefined = undefined;
  /** The mode in which the receiver begins. */
  #mode: Mode = 'held';
  /** @internal Made with the first call to the client. */
  clientCalls: ClientCalls | undefined = undefined;
  /** @internal The sources that it is being sent. */
  sources: { queue: { add(source: AsyncIterator<unknown>): void }; done: Promise<void> } | undefined =
    undefined;
  readonly #conversation: Conversation<Socket>;

  /** @internal */
  constructor(
    context: Context,
    ws: WsSocket,
    stream: Duplex,
    format: Format,
    conversation: Conversation<Socket>,
  ) {
    super(context);
    this.ws = ws;
    this.#conversation = conversation;
    const isCompressed = ws.extensions !== '';
    this.outbox = new (isCompressed ? CompressedOutbox : SocketOutbox)(this, format, stream, ws);
    ws.attach(this);
    // Compressed messages are for ws to read, and so is a stream that has other listeners.
    if (fastPaths && !isCompressed && stream.listenerCount('data') === 1) FrameReader.attach(stream, this);
  }

  /** The `ws` socket, for libraries that take one and for everything else that ws offers. */
  get raw(): WebSocket {
    return this.ws;
  }

  get kind(): 'websocket' {
    return 'websocket';
  }

  /** @internal */
  get limit(): number {
    return this.context.environment.limits.message;
  }

  /** @internal */
  get parser(): WsSocket['parser'] {
    return this.ws.parser;
  }

  /** The negotiated subprotocol; `''` for none. */
  get protocol(): string {
    return this.ws.protocol;
  }

  /** @internal */
  override get resumable(): boolean {
    return this.protocol === EVENTS_PROTOCOL;
  }

  /** @internal */
  override get cursor(): string | undefined {
    return this.resumable ? cursorIn(this.context.query.lastEventId) : undefined;
  }

  /** Sends a message: text as text, bytes as binary, all else as JSON or by the route's codec. */
  override send(value: Out): boolean {
    return this.outbox.send(value);
  }

  /**
   * Calls a method of the client (JSON-RPC 2.0), and resolves with its result.
   *
   * @param name the name of the method
   * @param params an object or an array; none by default
   * @param options `timeout` in milliseconds, 30,000 by default; `signal` to cancel the call
   * @throws Error with the `code` and `data` of the client's error; Error if no response comes within the timeout, if the socket
   * closes, or if 1,000 calls wait already; the reason of the signal
   */
  call<T = unknown>(
    name: string,
    params?: object,
    options: { signal?: AbortSignal; timeout?: number } = {},
  ): Promise<T> {
    if (this.outbox.sealed)
      return Promise.reject(new Error(`the call ${name} was not sent: the socket has closed`));
    const calls = (this.clientCalls ??= new ClientCalls());
    return calls.call((request) => this.answer(json(request)), name, params, options) as Promise<T>;
  }

  protected override get guard(): Conversation<Socket>['guard'] {
    return this.#conversation.guard;
  }

  /** @internal */
  take(value: unknown): boolean {
    return this.#conversation.take(this as Socket, value);
  }

  /** @internal Settles the call that waits for a response. False if none does. */
  settle(response: CallResponse): boolean {
    return this.clientCalls?.settle(response) ?? false;
  }

  /** @internal Counts the further calls of a batch as messages. True if they are too many: the socket is closed. */
  exceeds(count: number): boolean {
    return count > 0 && this.#messages.exceeds(count);
  }

  /** @internal Sends the answer to a call, which no format changes. */
  answer(text: string): boolean {
    return this.outbox.sendPayload(text);
  }

  /**
   * Closes the socket (RFC 6455, section 7).
   *
   * @param code a code that may be sent; 1000 by default
   * @throws TypeError for a code that may not be sent, or a reason of more than 123 bytes
   */
  close(code = 1000, reason = ''): void {
    checkClose(code, reason);
    if (this.outbox.sealed) return;
    this.farewell = { code, reason };
    this.outbox.sealed = true;
    this.ws.close(code, reason);
    this.#mode = 'dropped';
    this.#receiver?.close();
    this.clientCalls?.end();
  }

  /** Iterates over the messages in order. Leaving the loop closes the socket; the end of the socket ends the loop. */
  [Symbol.asyncIterator](): AsyncIterator<In, void> {
    return this.#messages.values<In>();
  }

  /** @internal The 101 is sent, and the method may run: messages flow. */
  open(): void {
    this.outbox.open();
  }

  /** @internal */
  abandon(): void {
    this.terminate();
  }

  /** @internal Hands messages to the method from now on, those that came before first. */
  listen(): void {
    if (this.#receiver !== undefined) this.#receiver.open();
    else if (this.#mode === 'held') this.#mode = 'handler';
  }

  /** @internal Drops messages from now on. They are still read, so that a close frame is seen. */
  ignore(): void {
    this.#mode = 'dropped';
    this.#receiver?.ignore();
  }

  /** @internal ws reads all messages for a listener of the application; none waits for a method that may never ask. */
  onForeignListener(): void {
    FrameReader.detach(this.outbox.stream);
    if (this.#receiver !== undefined) this.#receiver.release();
    else if (this.#mode === 'held') this.#mode = 'dropped';
  }

  /** @internal Whether a loop over the messages runs or has begun. */
  get iterated(): boolean {
    return this.#receiver?.iterated ?? false;
  }

  get #messages(): MessageReceiver<Socket> {
    if (this.#receiver === undefined) {
      this.#receiver = new MessageReceiver<Socket>(this as Socket, this.#conversation, this.#mode);
      if (this.closed !== undefined) this.#receiver.end();
    }
    return this.#receiver;
  }

  /** @internal */
  override beat(interval: number): boolean {
    // While the socket is paused, pongs are not read either.
    const { pulse, ws } = this;
    if (!pulse.hasProgressed(this.outbox.stream, interval) && !pulse.alive && !ws.isPaused) {
      this.#logClose(1006, 'the peer is silent');
      return false;
    }
    pulse.alive = false;
    // Fragments that never end are no silence: pongs may come between them.
    const { message } = this.context.environment.timeouts;
    if ((this.#receiver !== undefined || ws.unfinished) && this.#messages.takesLongerThan(message)) {
      this.closeFor(1008, 'the message took too long');
      return true;
    }
    this.outbox.interject(PING);
    return true;
  }

  /** @internal */
  terminate(): void {
    this.ws.terminate();
  }

  /** @internal */
  receive(message: RawMessage): void {
    this.#messages.receive(message);
  }

  /** @internal Closes the socket because of its client, and logs why. */
  closeFor(code: number, reason: string): void {
    if (this.closed === undefined && !this.leaving) this.#logClose(code, reason);
    this.close(code, reason);
  }

  #logClose(code: number, reason: string): void {
    const { environment, id, path } = this.context;
    environment.logger.info({ code, reason, requestId: id, path }, `closing socket: ${reason}`);
  }

  /** @internal Whether this side closes the connection. */
  get leaving(): boolean {
    return this.farewell !== undefined;
  }

  /** @internal How many bytes have come. */
  get received(): number {
    return bytesReceived(this.outbox.stream);
  }

  /** @internal Whether no message has come, so that none is still to be answered. */
  get silent(): boolean {
    return this.#receiver === undefined;
  }

  /** @internal The socket of ws has closed. */
  onClose(code: number, reason: string): void {
    this.finish(this.farewell ?? this.ws.sent ?? { code, reason });
    this.#receiver?.end();
    this.clientCalls?.end();
    this.context.environment.connections.gone(this);
    this.context.end();
  }

  /** @internal */
  override onSendError(error: unknown): void {
    void this.context.environment.report(error, this.context);
    this.outbox.clear();
    this.close(1011, 'a message could not be sent');
  }

  /** @internal */
  override onOverflow(): void {
    this.outbox.end();
    this.farewell = { code: 1013, reason: 'the reader is too slow' };
    this.ws.close(1013, this.farewell.reason);
    // The close frame waits behind bytes that the client does not read; ws cuts the connection when its timer is over.
    this.context.environment.connections.linger(this);
    this.finish(this.farewell);
  }
}

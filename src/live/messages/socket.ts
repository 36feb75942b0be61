import type { Duplex } from 'node:stream';
import { WebSocket } from 'ws';
import type { Context } from '../../core/exchange/context.js';
import { Connection } from '../connections/connection.js';
import { ClientCalls, type CallResponse } from './client-calls.js';
import { cursorIn } from '../encoding/cursor.js';
import { PING } from '../encoding/frame.js';
import { EVENTS_PROTOCOL, type Format } from '../encoding/format.js';
import { json } from '../encoding/message.js';
import type { RawMessage, Taking } from './message-queue.js';
import { Incoming, type Conversation } from './incoming.js';
import { Intake } from './frame-reader.js';
import { CompressedOutbox, SocketOutbox } from './socket-outbox.js';
import { checkClose, type Peer } from './ws-socket.js';
import { bytesReceived } from '../../core/node/tcp-progress.js';

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
  readonly peer: Peer;
  /** Made when something comes or is waited for: most sockets only listen. */
  #incoming: Incoming<Socket> | undefined = undefined;
  /** What is to be done with the first message. */
  #taking: Taking = 'held';
  /** Made with the first call to the client. */
  #calls: ClientCalls | undefined = undefined;
  /** @internal The sources that it is being sent. */
  sources: { queue: { add(source: AsyncIterator<unknown>): void }; done: Promise<void> } | undefined =
    undefined;
  readonly #conversation: Conversation<Socket>;

  /** @internal */
  constructor(
    context: Context,
    peer: Peer,
    stream: Duplex,
    format: Format,
    conversation: Conversation<Socket>,
  ) {
    super(context);
    this.peer = peer;
    this.#conversation = conversation;
    const isCompressed = peer.extensions !== '';
    this.outbox = new (isCompressed ? CompressedOutbox : SocketOutbox)(this, format, stream, peer);
    peer.on('message', onMessage);
    peer.on('error', onError);
    peer.on('close', onClose);
    peer.connection = this as Socket;
    // What is compressed is ws's to read, and so is a stream that somebody else listens to.
    if (!isCompressed && stream.listenerCount('data') === 1) Intake.attend(stream, this);
  }

  /** The `ws` socket, for libraries that take one and for what is not covered here. */
  get raw(): WebSocket {
    return this.peer;
  }

  get kind(): 'websocket' {
    return 'websocket';
  }

  /** @internal */
  get limit(): number {
    return this.context.environment.limits.message;
  }

  /** @internal */
  get parser(): Peer['parser'] {
    return this.peer.parser;
  }

  /** The negotiated subprotocol; `''` for none. */
  get protocol(): string {
    return this.peer.protocol;
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
    const calls = (this.#calls ??= new ClientCalls());
    return calls.call((request) => this.answer(json(request)), name, params, options) as Promise<T>;
  }

  protected override get guard(): Conversation<Socket>['guard'] {
    return this.#conversation.guard;
  }

  /** @internal */
  take(value: unknown): boolean {
    return this.#conversation.take(this as Socket, value);
  }

  /** @internal Whether a call to the client has been made: its responses are no messages. */
  get callsClient(): boolean {
    return this.#calls !== undefined;
  }

  /** @internal Whether a call to the client waits for its response. */
  get awaitsResponse(): boolean {
    return this.#calls?.waiting ?? false;
  }

  /** @internal */
  settle(response: CallResponse): boolean {
    return this.#calls?.settle(response) ?? false;
  }

  /** @internal Counts the further calls of a batch as messages; true if they are too many. */
  exceeds(count: number): boolean {
    return count > 0 && this.#received.exceeds(count);
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
    this.outbox.seal();
    this.peer.close(code, reason);
    this.#taking = 'nothing';
    this.#incoming?.close();
    this.#calls?.end();
  }

  /** Iterates over the messages in order. Leaving the loop closes the socket; the end of the socket ends the loop. */
  [Symbol.asyncIterator](): AsyncIterator<In, void> {
    return this.#received.values<In>();
  }

  /** @internal The 101 is out, and the method may be run: messages flow. */
  open(): void {
    this.outbox.open();
  }

  /** @internal */
  abandon(): void {
    this.terminate();
  }

  /** @internal The method takes messages from now on, those that came before first. */
  listen(): void {
    if (this.#incoming !== undefined) this.#incoming.open();
    else if (this.#taking === 'held') this.#taking = 'handler';
  }

  /** @internal Nobody takes messages: they are read, so that a close is seen, and dropped. */
  ignore(): void {
    this.#taking = 'nothing';
    this.#incoming?.ignore();
  }

  /** @internal Somebody listens to ws's messages: ws reads them all, and none waits for a method that may not ask. */
  overheard(): void {
    Intake.leave(this.outbox.stream);
    if (this.#incoming !== undefined) this.#incoming.release();
    else if (this.#taking === 'held') this.#taking = 'nothing';
  }

  /** @internal Whether a loop over the messages runs or has begun. */
  get iterated(): boolean {
    return this.#incoming?.iterated ?? false;
  }

  get #received(): Incoming<Socket> {
    if (this.#incoming === undefined) {
      this.#incoming = new Incoming<Socket>(this as Socket, this.#conversation, this.#taking);
      if (this.closed !== undefined) this.#incoming.end();
    }
    return this.#incoming;
  }

  /** @internal */
  override beat(interval: number): boolean {
    // While the handler is behind nothing is read, so the peer's pong cannot be seen either.
    if (!this.progressed(interval) && !this.alive && !this.peer.isPaused) {
      this.#report(1006, 'the peer is silent');
      return false;
    }
    this.alive = false;
    // Fragments that never end are no silence: pongs may come between them.
    const { message } = this.context.environment.timeouts;
    if ((this.#incoming !== undefined || this.peer.unfinished) && this.#received.takesLongerThan(message)) {
      this.giveUp(1008, 'the message took too long');
      return true;
    }
    this.outbox.interject(PING);
    return true;
  }

  /** @internal */
  terminate(): void {
    this.peer.terminate();
  }

  /** @internal */
  receive(message: RawMessage): void {
    this.#received.receive(message);
  }

  /** @internal Closes the socket for what its client did; one line tells the operator. */
  giveUp(code: number, reason: string): void {
    if (this.closed === undefined && !this.leaving) this.#report(code, reason);
    this.close(code, reason);
  }

  #report(code: number, reason: string): void {
    const { environment, id, path } = this.context;
    environment.logger.info({ code, reason, requestId: id, path }, 'the socket was given up');
  }

  /** @internal Whether this side has ended the conversation: nothing more is sent. */
  get leaving(): boolean {
    return this.farewell !== undefined;
  }

  /** @internal How many bytes have come. */
  get received(): number {
    return bytesReceived(this.outbox.stream);
  }

  /** @internal Whether no message has come: there is none that is still to be answered. */
  get silent(): boolean {
    return this.#incoming === undefined;
  }

  /** @internal */
  closedBy(code: number, reason: string): void {
    this.finish(this.farewell ?? this.peer.sent ?? { code, reason });
    this.#incoming?.end();
    this.#calls?.end();
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
    this.peer.close(1013, this.farewell.reason);
    // The close frame waits behind what the peer does not read; ws cuts the connection when its timer is over.
    this.context.environment.connections.linger(this);
    this.finish(this.farewell);
  }
}

function onMessage(this: WebSocket, data: unknown, binary: boolean): void {
  const connection = connectionOf(this);
  if (!binary) connection.receive((data as Buffer).toString());
  else if (Buffer.isBuffer(data)) connection.receive(data);
  // Whoever uses ws's socket may have set its binaryType.
  else if (Array.isArray(data)) connection.receive(Buffer.concat(data as Buffer[]));
  else if (data instanceof ArrayBuffer) connection.receive(Buffer.from(data));
  else void (data as Blob).arrayBuffer().then((bytes) => connection.receive(Buffer.from(bytes)));
}

/** ws closes the socket itself for what breaks the protocol; one line tells the operator. */
function onError(this: WebSocket, err: Error): void {
  const { context } = connectionOf(this);
  context.environment.logger.info({ err, requestId: context.id, path: context.path }, 'the socket failed');
}

function onClose(this: WebSocket, code: number, reason: Buffer): void {
  connectionOf(this).closedBy(code, reason.toString());
}

function connectionOf(socket: WebSocket): Socket {
  return (socket as Peer).connection as Socket;
}

import type { Duplex } from 'node:stream';
import { Channel } from '../../live/broadcast/channel.js';
import { closeCode, closeReason, HttpError, safeInstanceof, isAbort, problem } from '../base/errors.js';
import { isResponse } from '../../live/messages/client-calls.js';
import { bareFormat, eventObjects, EVENTS_PROTOCOL, type Format } from '../../live/encoding/format.js';
import type { RawMessage } from '../../live/messages/message-queue.js';
import type { WsSocket } from '../../live/messages/ws-socket.js';
import type { Conversation } from '../../live/messages/receiver.js';
import { Socket } from '../../live/messages/socket.js';
import type { Step } from '../routing/middleware.js';
import type { Context } from '../exchange/context.js';
import { OPENED, type Opened, type Outcome } from '../exchange/outcome.js';
import { readAll } from '../parameters/invoke.js';
import { parseJson } from '../input/json.js';
import type { Reader, WebSocketOptions } from '../routing/metadata.js';
import { checkOrigin, type OriginRule } from '../routing/origins.js';
import { isBytes, type BoundParameter } from '../parameters/readers.js';
import { isResponse as isHttpResponse, valuesOf } from './forwarded.js';
import { isCut } from './http-body.js';
import { isSource, SourceQueue } from './source-queue.js';
import { parseCall, type Calls } from './rpc.js';
import { known, whenShown } from '../exchange/shown-error.js';
import { isThenable } from '../base/promises.js';
import { messageTracing, traced } from '../exchange/tracing.js';

/** How a socket's method is run: in a scope of its own, if it has scoped services. */
export type Run = (ctx: Context, message: unknown) => unknown;

export interface SocketMethod {
  readonly parameters: readonly BoundParameter[];
  readonly options: WebSocketOptions;
  readonly name: string;
  /** Which pages may open it, where its route says so itself. */
  readonly origins: OriginRule | undefined;
  /** The middleware of the route alone. */
  readonly guard: Step;
  /** Whether there is any. */
  readonly guarded: boolean;
  /** The JSON-RPC methods of the class, if it has any. */
  readonly calls: Calls | undefined;
  /** Runs the method for each message, or once; ends a scope when what it gives is settled, or with the connection. */
  readonly run: { perMessage: Run; perConnection: Run };
}

/** What the message cannot be by its very form: the socket is closed with the code. */
class Unacceptable extends Error {
  constructor(
    readonly code: number,
    message: string,
  ) {
    super(message);
  }
}

/** A socket's route: the middleware has passed, all that the head says is read, and then the 101 goes out. */
export class SocketRoute implements Conversation<Socket> {
  readonly format: Format;
  readonly protocols: readonly string[];
  readonly rate: number | undefined;
  readonly #perMessage: boolean;
  readonly #takesSocket: boolean;
  readonly #text: boolean;
  readonly #bytes: boolean;
  readonly #convert: BoundParameter['message'];
  /** Readers of the parameters that are known before the head; none if no parameter is. */
  readonly #early: readonly Reader[];
  /** The message that was looked at last, and the calls that it holds. */
  #seen: { message: RawMessage; value: unknown } | undefined = undefined;

  constructor(readonly method: SocketMethod) {
    const { parameters, options } = method;
    this.format = bareFormat(options.codec);
    this.protocols = options.protocols ?? [];
    this.rate = options.rate;
    const body = parameters.find(({ from }) => from === 'body');
    this.#perMessage = body !== undefined;
    this.#takesSocket = parameters.some(({ isSocket }) => isSocket);
    const type = (
      body ?? parameters.find(({ from, type: t }) => from === 'outlet' && (t === String || isBytes(t)))
    )?.type;
    this.#text = type === String;
    this.#bytes = isBytes(type);
    this.#convert = parameters.find(({ message }) => message !== undefined)?.message;
    const early = ({ from }: BoundParameter): boolean => from === 'head' || from === 'call';
    this.#early = parameters.some(early) ? parameters.map((one) => (early(one) ? one.read : nothing)) : [];
  }

  /** The innermost of the route: reads what is known before the head, so that bad input is refused by an answer. */
  readonly step: Step = (ctx) => {
    const checking = checkOrigin(ctx, this.method.origins ?? ctx.environment.origins);
    return checking === undefined ? this.#read(ctx) : checking.then(() => this.#read(ctx));
  };

  #read(ctx: Context): Outcome | Promise<Outcome> {
    const values = readAll(this.#early, ctx, undefined);
    const open = (read: readonly unknown[]): Outcome => {
      // Only middleware can have made an asynchronous context.
      if (this.method.guarded) ctx.keepAsyncContext();
      return read.length === 0 ? OPENED : { type: 'opened', values: read };
    };
    return isThenable(values) ? values.then((read) => open(read as unknown[])) : open(values);
  }

  /** The 101 is out: the connection is there, and the method runs. */
  open(ctx: Context, { values }: Opened, ws: WsSocket, stream: Duplex): Socket {
    if (values.length > 0) earlyValues.set(ctx, values);
    const format = ws.protocol === EVENTS_PROTOCOL ? eventObjects : this.format;
    const socket = new Socket(ctx, ws, stream, format, this);
    ctx.connection = socket;
    return socket;
  }

  /** Runs the method, once the socket is known to all who list it. */
  start(ctx: Context, socket: Socket): void {
    if (ctx.asyncContext === undefined) this.#start(ctx, socket);
    else ctx.asyncContext.runInAsyncScope(() => this.#start(ctx, socket));
  }

  #start(ctx: Context, socket: Socket): void {
    socket.open();
    try {
      if (ctx.answer !== undefined) this.take(socket, ctx.answer.value);
    } catch (error) {
      // The opening has failed, and the method is not run.
      return this.#fail(socket, error);
    }
    if (this.#perMessage) {
      socket.listen();
      return;
    }
    // What does not take the socket cannot ask for messages: none waits, so that a close frame behind them is seen.
    if (!this.#takesSocket) {
      if (this.method.calls === undefined) socket.ignore();
      else socket.listen();
    }
    try {
      const value = this.method.run.perConnection(ctx, undefined);
      if (isThenable(value))
        void Promise.resolve(value)
          .then((later) => this.#settle(socket, later))
          .catch((error: unknown) => this.#fail(socket, error));
      else this.#settle(socket, value);
    } catch (error) {
      this.#fail(socket, error);
    }
  }

  get guard(): Step {
    return this.method.guard;
  }

  isCall(message: RawMessage): boolean {
    if (!this.#takesSocket || this.method.calls === undefined) return false;
    return this.#parsed(message) !== undefined;
  }

  settles(socket: Socket, message: RawMessage): number | undefined {
    const value = this.#parsed(message);
    const all = Array.isArray(value) ? value : [value];
    const responses = all.filter(isResponse);
    const settled = responses.filter((response) => socket.settle(response)).length;
    return responses.length === all.length ? settled : undefined;
  }

  /** The calls that a message holds: parsed once, by whoever asks first. */
  #parsed(message: RawMessage): unknown {
    if (this.#seen?.message !== message) this.#seen = { message, value: parseCall(message) };
    return this.#seen.value;
  }

  receive(socket: Socket, message: RawMessage): unknown {
    const { context } = socket;
    if (context.asyncContext === undefined) return this.#receive(socket, message);
    return context.asyncContext.runInAsyncScope(() => this.#receive(socket, message));
  }

  #receive(socket: Socket, message: RawMessage): unknown {
    try {
      const value = messageTracing.hasSubscribers
        ? traced(messageTracing, socket.context, this.method.name, () => this.#handle(socket, message))
        : this.#handle(socket, message);
      if (!isThenable(value)) {
        if (value === undefined) return undefined;
        this.take(socket, value);
        return socket.sources?.done;
      }
      return Promise.resolve(value).then(
        (later) => this.#reply(socket, later),
        (error: unknown) => this.refuse(socket, error),
      );
    } catch (error) {
      return this.refuse(socket, error);
    }
  }

  /** What a message comes to: the answer to a call goes out by itself, all else is the reply. */
  #handle(socket: Socket, message: RawMessage): unknown {
    const { calls } = this.method;
    if (calls !== undefined) {
      if (!this.#perMessage && !this.#takesSocket) return calls.answer(socket, message);
      const request = this.#parsed(message);
      this.#seen = undefined;
      if (request !== undefined) return calls.answerParsed(socket, request);
      if (!this.#perMessage) return calls.answer(socket, message);
    }
    return this.#perMessage ? this.method.run.perMessage(socket.context, this.#decode(message)) : undefined;
  }

  decode(message: RawMessage): unknown {
    const value = this.#decode(message);
    return this.#convert === undefined ? value : this.#convert(value);
  }

  #decode(message: RawMessage): unknown {
    if (this.#bytes) return typeof message === 'string' ? Buffer.from(message) : message;
    const { codec } = this.method.options;
    if (!this.#text && codec !== undefined) return this.#decodeBy(codec, message);
    if (typeof message !== 'string') throw new Unacceptable(1003, 'this socket takes text');
    return this.#text ? message : parseJson(message);
  }

  /** Answers a message that failed by the problem; the socket stays open, unless the problem cannot be encoded. */
  refuse(socket: Socket, error: unknown): void | Promise<void> {
    const { context } = socket;
    if (safeInstanceof(Unacceptable, error)) {
      socket.closeFor(error.code, error.message);
      return;
    }
    const shown = context.environment.report(error, context, this.method.options.onError);
    return whenShown(shown, (known) => {
      try {
        socket.send({ error: problem(known, context.id) });
      } catch (failure) {
        void context.environment.report(failure, context);
        socket.close(1011, 'an error could not be sent');
      }
    });
  }

  #reply(socket: Socket, value: unknown): void | Promise<void> {
    if (value === undefined) return undefined;
    try {
      this.take(socket, value);
      // The next message waits for a reply of many parts.
      return socket.sources?.done;
    } catch (error) {
      return this.refuse(socket, error);
    }
  }

  /** What a method that runs once has returned: a source is pumped, a channel subscribed, a value sent. */
  #settle(socket: Socket, value: unknown): void {
    if (this.#takesSocket && !socket.iterated) {
      if (this.method.calls === undefined) socket.ignore();
      else socket.listen();
    }
    if (value === undefined) return;
    if (value instanceof Channel || isSource(value)) {
      try {
        this.take(socket, value);
      } catch (error) {
        this.#fail(socket, error);
      }
      return;
    }
    if (socket.closed !== undefined) return;
    void this.#reply(socket, value);
  }

  /** Does what the value says, returned or sent. False says that the reader is behind. */
  take(socket: Socket, value: unknown): boolean {
    if (typeof value !== 'object' || value === null) return socket.send(value);
    if (value instanceof Channel) {
      value.subscribe(socket);
      return true;
    }
    if (isSource(value)) {
      // Where the client has left already the source is told so: it may hold something since it was made.
      this.#pump(socket, valuesOf(value));
      return !socket.needsDrain;
    }
    if (isHttpResponse(value)) {
      throw new TypeError(
        `${this.method.name} is a socket, which cannot send a Response: send its body, or refuse in middleware before the 101`,
      );
    }
    return socket.send(value);
  }

  /** The sources of one socket are sent one after the other. Of replies the socket outlives the last, else it ends with it. */
  #pump(socket: Socket, source: AsyncIterator<unknown>): void {
    if (socket.sources !== undefined) return socket.sources.queue.add(source);
    const queue = new SourceQueue(socket.context, socket);
    queue.add(source);
    const done = queue.run().then(
      () => {
        socket.sources = undefined;
        if (!this.#perMessage) socket.close();
      },
      (error: unknown) => {
        socket.sources = undefined;
        // The client has left, and the source was told so: that it stopped is no failure.
        if (socket.closed !== undefined && (isCut(error) || isAbort(error))) return undefined;
        return this.#perMessage ? this.refuse(socket, error) : this.#fail(socket, error);
      },
    );
    socket.sources = { queue, done };
  }

  #fail(socket: Socket, error: unknown): void {
    const { context } = socket;
    // What was aborted because the socket has closed did as it was told.
    if (socket.closed !== undefined && isAbort(error)) return;
    const close = (shown: HttpError): void => {
      // An error that nobody knows is no status 500 that was meant.
      const meant = known(error) !== undefined || shown.status !== 500;
      socket.close(meant ? closeCode(shown) : 1011, closeReason(shown.detail ?? ''));
    };
    void whenShown(context.environment.report(error, context, this.method.options.onError), close);
  }

  #decodeBy(codec: NonNullable<WebSocketOptions['codec']>, data: string | Buffer): unknown {
    try {
      return codec.decode(data);
    } catch (cause) {
      throw new HttpError(400, 'The message cannot be decoded', { code: 'MALFORMED_MESSAGE', cause });
    }
  }
}

function nothing(): undefined {
  return undefined;
}

/** What the parameters of each open socket have read before the head. */
const earlyValues = new WeakMap<Context, readonly unknown[]>();

/** Readers for one message or one connection: what was read before the head is not read again. */
export function messageReaders(parameters: readonly BoundParameter[], perMessage: boolean): Reader[] {
  return parameters.map(({ from, read }, index): Reader => {
    if (from === 'outlet') return read;
    if (from === 'body' || (from === 'call' && perMessage)) return read;
    return (ctx) => earlyValues.get(ctx)?.[index];
  });
}

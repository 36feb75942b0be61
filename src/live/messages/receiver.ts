import type { Context } from '../../core/exchange/context.js';
import type { Outcome } from '../../core/exchange/outcome.js';
import { isThenable } from '../../core/base/promises.js';
import { MessageQueue, type Mode, type RawMessage } from './message-queue.js';
import { Rate } from './rate.js';
import { Session } from '../../core/exchange/session.js';
import type { WsSocket } from './ws-socket.js';

/** The socket of a conversation, as its messages need it. */
interface OpenSocket {
  readonly context: Context;
  readonly ws: WsSocket;
  readonly pulse: { alive: boolean };
  readonly leaving: boolean;
  /** Made with the first call to the client: from then on messages may be responses. */
  readonly clientCalls: { readonly waiting: boolean } | undefined;
  /** Bytes that have come. */
  readonly received: number;
  /** Bytes that one message may have. */
  readonly limit: number;
  closeFor(code: number, reason: string): void;
  close(): void;
}

/** Handles the messages of the sockets of one route. */
export interface Conversation<S> {
  /** The middleware of the route, which `renew()` runs again. */
  readonly guard: (ctx: Context) => Outcome | PromiseLike<Outcome>;
  /** Messages a second that one socket may send; undefined for no limit. */
  readonly rate: number | undefined;
  /** Whether a message is a call, which no loop over the messages receives. */
  isCall(message: RawMessage): boolean;
  /** Settles the calls that a message responds to. Returns their number; undefined if the message is no response. */
  settles(socket: S, message: RawMessage): number | undefined;
  /** Handles one message; the next one waits until it is done. */
  receive(socket: S, message: RawMessage): unknown;
  /** Turns a message into a value, for loops over the socket. */
  decode(message: RawMessage): unknown;
  /** Sends a value as if the method had returned it. */
  take(socket: S, value: unknown): boolean;
  /** Answers a message that could not be handled. */
  refuse(socket: S, error: unknown): unknown;
}

/** Bytes a second that a message under way must bring to be given more time. */
const SLOW_LINE = 1_000;

/** Receives the messages of one socket: checks its rate, settles calls, and queues the rest, calls apart from messages. */
export class MessageReceiver<S extends OpenSocket> {
  readonly #messages: MessageQueue;
  /** Apart, since a loop over the messages may not ask for its next one until a call is answered. */
  #calls: MessageQueue | undefined = undefined;
  readonly #rate: Rate | undefined;
  /** When a message was first seen that has not ended, and how many bytes had come by then. */
  #unfinished: { since: number; received: number } | undefined = undefined;

  constructor(
    private readonly socket: S,
    private readonly conversation: Conversation<S>,
    mode: Mode,
  ) {
    this.#messages = new MessageQueue(this, mode);
    this.#rate = conversation.rate === undefined ? undefined : new Rate(conversation.rate);
  }

  get raw(): WsSocket {
    return this.socket.ws;
  }

  /** Whether a loop over the messages runs or has begun. */
  get iterated(): boolean {
    return this.#messages.iterated;
  }

  receive(message: RawMessage): void {
    const { socket } = this;
    // The peer may go on sending after our close frame.
    if (socket.leaving) return this.#messages.drop(message);
    const { environment, session } = socket.context as {
      environment: Context['environment'];
      session: unknown;
    };
    environment.counters.messagesIn++;
    // A message is a use of the session: its idle time begins anew.
    if (session instanceof Session) session.touch();
    socket.pulse.alive = true;
    this.#unfinished = undefined;
    // The handler that waits for the response may keep all other messages waiting.
    const settled = socket.clientCalls !== undefined ? this.conversation.settles(socket, message) : undefined;
    // Responses do not count: the server has asked for them.
    if (!settled && this.exceeds(1)) return;
    if (settled !== undefined) return;
    if (!this.conversation.isCall(message)) this.#messages.push(message);
    else (this.#calls ??= new MessageQueue(this, 'handler')).push(message);
  }

  /** Counts messages, or calls of a batch. True if they are too many: the socket is closed. */
  exceeds(count: number): boolean {
    if (this.#rate?.exceeded(count) !== true) return false;
    this.socket.closeFor(1008, 'too many messages');
    return true;
  }

  /** Whether a handler waits for a response, which comes after the messages that wait. */
  get awaitsResponse(): boolean {
    return this.socket.clientCalls?.waiting ?? false;
  }

  /** @internal Handles the next message. */
  handle(message: RawMessage): unknown {
    return this.conversation.receive(this.socket, message);
  }

  /** Hands messages to the method from now on, those that came before first. */
  open(): void {
    this.#messages.open();
  }

  /** Messages as values; leaving the loop closes the socket. */
  values<In>(): AsyncIterator<In, void> {
    const messages = this.#messages.messages();
    const next = async (): Promise<IteratorResult<In, void>> => {
      for (;;) {
        const message = await messages.next();
        if (message === undefined) return { done: true, value: undefined };
        try {
          const value = this.conversation.decode(message);
          return { done: false, value: (isThenable(value) ? await value : value) as In };
        } catch (error) {
          await this.conversation.refuse(this.socket, error);
        }
      }
    };
    return {
      next,
      return: () => {
        this.ignore();
        // A throw leaves the loop as `break` does, and reaches us only after this: its code is the one to close with.
        setImmediate(() => this.socket.close());
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }

  /** Drops messages from now on; calls are still answered. */
  ignore(): void {
    this.#messages.discard();
  }

  /** Drops messages if no method has asked for them yet: other listeners receive them. */
  release(): void {
    this.#messages.release();
  }

  /** This side closes: drops messages, and ends a loop with the close handshake. */
  close(): void {
    this.#messages.close();
    this.#calls?.close();
  }

  /** The socket has closed. Messages that came before are still handled. */
  end(): void {
    this.#messages.end();
  }

  /**
   * Whether a message has been under way for longer than `limit` milliseconds, and the time that the bytes since then take on a
   * slow line: a message that goes on arriving may arrive, and fragments that never end have their end.
   */
  takesLongerThan(limit: number): boolean {
    // While the socket is paused the rest of the message may wait in the system.
    if (!this.raw.unfinished || this.raw.isPaused) this.#unfinished = undefined;
    else this.#unfinished ??= { since: performance.now(), received: this.socket.received };
    if (this.#unfinished === undefined) return false;
    const { since, received } = this.#unfinished;
    const progress = Math.min(this.socket.received - received, this.socket.limit);
    return performance.now() - since >= limit + (progress / SLOW_LINE) * 1_000;
  }
}

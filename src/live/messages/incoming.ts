import type { Context } from '../../core/exchange/context.js';
import type { Outcome } from '../../core/exchange/outcome.js';
import { isThenable } from '../../core/base/promises.js';
import { Inbox, type RawMessage, type Taking } from './message-queue.js';
import { Rate } from './rate.js';
import { Session } from '../../core/exchange/session.js';
import type { Peer } from './ws-socket.js';

/** The socket of a conversation, as far as its messages go. */
interface OpenSocket {
  readonly context: Context;
  readonly peer: Peer;
  alive: boolean;
  readonly leaving: boolean;
  readonly callsClient: boolean;
  readonly awaitsResponse: boolean;
  /** Bytes that have come. */
  readonly received: number;
  /** Bytes that one message may have. */
  readonly limit: number;
  giveUp(code: number, reason: string): void;
  close(): void;
}

/** What a socket does with its messages. */
export interface Conversation<S> {
  /** The middleware of the route, which `renew()` runs again. */
  readonly guard: (ctx: Context) => Outcome | PromiseLike<Outcome>;
  /** Messages a second that one socket may send; undefined for no limit. */
  readonly rate: number | undefined;
  /** Whether a message is a call, which goes past a loop over the messages. */
  isCall(message: RawMessage): boolean;
  /** Gives responses of the client to the calls that wait: how many there were; undefined for any other message. */
  settles(socket: S, message: RawMessage): number | undefined;
  /** Handles one message; the next one waits until it is done. */
  receive(socket: S, message: RawMessage): unknown;
  /** Turns a message into a value, for those who iterate over the socket. */
  decode(message: RawMessage): unknown;
  /** Does with a value what is done with one that the method returns. */
  take(socket: S, value: unknown): boolean;
  /** Answers a message that could not be handled. */
  refuse(socket: S, error: unknown): unknown;
}

/** Bytes a second that a message under way must bring. */
const SLOW_LINE = 1_000;

/** What comes in on one socket: within its rate, calls in a line of their own. */
export class Incoming<S extends OpenSocket> {
  readonly #messages: Inbox;
  /** The loop over the messages may not ask for its next one until a call is answered. */
  #calls: Inbox | undefined = undefined;
  readonly #rate: Rate | undefined;
  /** When a message was first seen that has not ended, and how many bytes had come by then. */
  #unfinished: { since: number; received: number } | undefined = undefined;

  constructor(
    private readonly socket: S,
    private readonly conversation: Conversation<S>,
    taking: Taking,
  ) {
    this.#messages = new Inbox(this, taking);
    this.#rate = conversation.rate === undefined ? undefined : new Rate(conversation.rate);
  }

  get raw(): Peer {
    return this.socket.peer;
  }

  /** Whether a loop over the messages runs or has begun. */
  get iterated(): boolean {
    return this.#messages.iterated;
  }

  receive(message: RawMessage): void {
    const { socket } = this;
    // The peer may go on sending although it was told that it is over.
    if (socket.leaving) return this.#messages.drop(message);
    const { environment, session } = socket.context as {
      environment: Context['environment'];
      session: unknown;
    };
    environment.counters.messagesIn++;
    // Who sends uses the session: its idle time begins anew.
    if (session instanceof Session) session.touch();
    socket.alive = true;
    this.#unfinished = undefined;
    // Whoever waits for a response may be the handler that keeps all other messages waiting.
    const settled = socket.callsClient ? this.conversation.settles(socket, message) : undefined;
    // What was asked for is no message too many.
    if (!settled && this.exceeds(1)) return;
    if (settled !== undefined) return;
    if (!this.conversation.isCall(message)) this.#messages.push(message);
    else (this.#calls ??= new Inbox(this, 'handler')).push(message);
  }

  /** Counts messages, or calls of a batch; true if they are too many, for which the socket is closed. */
  exceeds(count: number): boolean {
    if (this.#rate?.exceeded(count) !== true) return false;
    this.socket.giveUp(1008, 'too many messages');
    return true;
  }

  /** Whether something that comes after the waiting messages is needed first. */
  get awaitsResponse(): boolean {
    return this.socket.awaitsResponse;
  }

  /** @internal Handles a message whose turn has come. */
  handle(message: RawMessage): unknown {
    return this.conversation.receive(this.socket, message);
  }

  /** The method takes messages from now on, those that came before first. */
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

  /** Nobody takes messages any more; calls are still answered. */
  ignore(): void {
    this.#messages.discard();
  }

  /** No method has asked for messages yet, and others take them: none is held. */
  release(): void {
    this.#messages.release();
  }

  /** This side closes: nothing is taken any more, and a loop ends with the closing handshake. */
  close(): void {
    this.#messages.close();
    this.#calls?.close();
  }

  /** The socket has closed. What had come before is still handled. */
  end(): void {
    this.#messages.end();
  }

  /**
   * Whether a message has been under way for longer than `limit` milliseconds, and the time that as many bytes as have
   * come since take on a slow line: what goes on arriving is let arrive, and fragments that never end have their end.
   */
  takesLongerThan(limit: number): boolean {
    // While nothing is read the rest of the message may wait on the way.
    if (!this.raw.unfinished || this.raw.isPaused) this.#unfinished = undefined;
    else this.#unfinished ??= { since: performance.now(), received: this.socket.received };
    if (this.#unfinished === undefined) return false;
    const { since, received } = this.#unfinished;
    const progress = Math.min(this.socket.received - received, this.socket.limit);
    return performance.now() - since >= limit + (progress / SLOW_LINE) * 1_000;
  }
}

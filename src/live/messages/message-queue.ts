import type { WebSocket } from 'ws';
import { isThenable } from '../../core/base/promises.js';

/** One message as it came: a text is a string, a binary message its bytes. */
export type RawMessage = string | Buffer;

/** How much may wait for a handler that is behind before the socket is paused. */
const MAX_MESSAGES = 16;
const MAX_BYTES = 65_536;

/**
 * The same while a handler waits for the client's response to a call, and while the method may still ask for messages: the
 * response, or a close frame that the method has to learn of, comes after the messages that wait.
 */
const MAX_HELD = 1_024;
const MAX_HELD_BYTES = 262_144;

/** What one socket may use per turn of the event loop: bytes, and a fixed cost for handling each message. */
const ALLOWANCE = 65_536;
const COST = 128;

/** Where messages go. They are held until the method has said so. */
export type Mode = 'held' | 'handler' | 'iterator' | 'dropped';

/** The socket that the messages belong to. */
interface QueueOwner {
  readonly raw: WebSocket;
  readonly awaitsResponse: boolean;
  handle(message: RawMessage): unknown;
}

/**
 * Messages of one socket, handled one at a time and in order. While a handler is behind, the socket is paused, so that the
 * client's TCP sees backpressure; what was read already waits here.
 */
export class MessageQueue {
  readonly #owner: QueueOwner;
  #queue: RawMessage[] | undefined = undefined;
  // Where the queue begins: shifting a long array would move all of it for each message.
  #head = 0;
  #bytes = 0;
  #spent = 0;
  #mode: Mode;
  #busy = false;
  #ended = false;
  #closing = false;
  #waiter: ((message: RawMessage | undefined) => void) | undefined = undefined;

  constructor(owner: QueueOwner, mode: Mode = 'held') {
    this.#owner = owner;
    this.#mode = mode;
  }

  /** Whether a loop over the messages runs or has begun. */
  get iterated(): boolean {
    return this.#mode === 'iterator';
  }

  push(message: RawMessage): void {
    if (this.#mode === 'dropped') return this.drop(message);
    if (this.#mode === 'handler' && !this.#busy) {
      if (this.#spent < ALLOWANCE) {
        this.#spent += COST + message.length;
        this.#handle(message);
        return;
      }
      this.#yield();
    }
    if (this.#waiter !== undefined) {
      const waiter = this.#waiter;
      this.#waiter = undefined;
      waiter(message);
      return;
    }
    (this.#queue ??= []).push(message);
    this.#bytes += message.length;
    if (this.#full && !this.#owner.raw.isPaused) this.#owner.raw.pause();
  }

  get #full(): boolean {
    const waiting = (this.#queue?.length ?? 0) - this.#head;
    if (waiting < MAX_MESSAGES && this.#bytes < MAX_BYTES) return false;
    if (this.#mode !== 'held' && !this.#owner.awaitsResponse) return true;
    return waiting >= MAX_HELD || this.#bytes >= MAX_HELD_BYTES;
  }

  /** Hands messages to the handler from now on, those that waited first. */
  open(): void {
    if (this.#mode !== 'held') return;
    this.#mode = 'handler';
    this.#drain();
  }

  /** Hands messages to a loop, one for each `next()`. */
  messages(): { next(): Promise<RawMessage | undefined> } {
    if (this.#mode === 'iterator') throw new Error('the messages of a socket go to one loop at a time');
    this.#mode = 'iterator';
    return {
      next: () =>
        new Promise((resolve, reject) => {
          if (this.#spent < ALLOWANCE) this.#next(resolve, reject);
          else this.#afterOthers(() => this.#next(resolve, reject));
        }),
    };
  }

  /** Drops a message. A client that sends many of those is not read from for the rest of this turn of the event loop. */
  drop(message: RawMessage): void {
    const { raw } = this.#owner;
    this.#spent += COST + message.length;
    if (this.#spent < ALLOWANCE || raw.isPaused) return;
    raw.pause();
    this.#afterOthers(() => raw.resume());
  }

  /** Drops what waits and what comes; a waiting `next()` resolves as done. */
  discard(): void {
    this.#drop();
    this.#waiter?.(undefined);
    this.#waiter = undefined;
  }

  /** Drops what waits and what comes, if no method has asked for it. */
  release(): void {
    if (this.#mode === 'held') this.#drop();
  }

  /** Drops what waits and what comes while the close handshake runs; a waiting `next()` resolves when it is over. */
  close(): void {
    this.#closing = true;
    this.#drop();
  }

  #drop(): void {
    this.#mode = 'dropped';
    this.#queue = undefined;
    this.#head = 0;
    this.#bytes = 0;
    if (this.#owner.raw.isPaused) this.#owner.raw.resume();
  }

  /** The socket has closed. Messages that came before are still handled. */
  end(): void {
    this.#ended = true;
    this.#waiter?.(undefined);
    this.#waiter = undefined;
  }

  #handle(message: RawMessage): void {
    const result = this.#owner.handle(message);
    if (!isThenable(result)) return;
    this.#busy = true;
    const done = (): void => {
      this.#busy = false;
      this.#drain();
    };
    // The handler has answered and reported its errors already.
    result.then(done, done);
  }

  #drain(): void {
    while (!this.#busy && this.#mode === 'handler' && this.#queue !== undefined) {
      if (this.#spent >= ALLOWANCE) return this.#yield();
      const message = this.#shift();
      if (message !== undefined) this.#handle(message);
    }
  }

  #next(resolve: (message: RawMessage | undefined) => void, reject: (error: Error) => void): void {
    const message = this.#shift();
    if (message !== undefined) resolve(message);
    else if (this.#ended || (this.#mode === 'dropped' && !this.#closing)) resolve(undefined);
    else if (this.#waiter !== undefined) reject(new Error('next() was called before the last one was done'));
    else this.#waiter = resolve;
  }

  /** A chunk holds thousands of small messages: the rest of them waits until other sockets were served. */
  #yield(): void {
    this.#busy = true;
    this.#afterOthers(() => {
      this.#busy = false;
      this.#drain();
    });
  }

  #afterOthers(then: () => void): void {
    setImmediate(() => {
      this.#spent = 0;
      then();
    });
  }

  #shift(): RawMessage | undefined {
    const queue = this.#queue;
    if (queue === undefined) return undefined;
    const message = queue[this.#head++];
    if (message === undefined) return undefined;
    this.#bytes -= message.length;
    this.#spent += COST + message.length;
    if (this.#head === queue.length) {
      this.#queue = undefined;
      this.#head = 0;
      if (this.#owner.raw.isPaused && !this.#ended) this.#owner.raw.resume();
    }
    return message;
  }
}

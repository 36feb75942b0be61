import type { WebSocket } from 'ws';
import { isThenable } from '../../core/base/promises.js';

/** One message as it came: a text is a string, a binary message its bytes. */
export type RawMessage = string | Buffer;

/** How much may wait for a handler that is behind before nothing more is read from the network. */
const MAX_MESSAGES = 16;
const MAX_BYTES = 65_536;

/**
 * The same while a handler waits for the client's response to a call, and while the method may still ask for messages
 * or not: a close frame is behind them, and a method that never asks has to learn of it.
 */
const MAX_HELD = 1_024;
const MAX_HELD_BYTES = 262_144;

/** What one socket may use up before others get their turn: bytes, and for each message what handling it costs. */
const ALLOWANCE = 65_536;
const COST = 128;

/** Who takes the messages; they are held until that is known. */
export type Taking = 'held' | 'handler' | 'iterator' | 'nothing';

/** The socket that the messages belong to. */
interface InboxOwner {
  readonly raw: WebSocket;
  readonly awaitsResponse: boolean;
  handle(message: RawMessage): unknown;
}

/**
 * Messages of one socket, handled one at a time and in order. While a handler is behind, the socket is
 * paused, so that back-pressure reaches the client's TCP; what was read already waits here.
 */
export class Inbox {
  readonly #owner: InboxOwner;
  #queue: RawMessage[] | undefined = undefined;
  // Where the queue begins: shifting a long array would move all of it for each message.
  #head = 0;
  #bytes = 0;
  #spent = 0;
  #taking: Taking;
  #busy = false;
  #ended = false;
  #closing = false;
  #waiter: ((message: RawMessage | undefined) => void) | undefined = undefined;

  constructor(owner: InboxOwner, taking: Taking = 'held') {
    this.#owner = owner;
    this.#taking = taking;
  }

  get iterated(): boolean {
    return this.#taking === 'iterator';
  }

  push(message: RawMessage): void {
    if (this.#taking === 'nothing') return this.drop(message);
    if (this.#taking === 'handler' && !this.#busy) {
      if (this.#spent < ALLOWANCE) {
        this.#spent += COST + message.length;
        this.#handle(message);
        return;
      }
      this.#rest();
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
    if (this.#taking !== 'held' && !this.#owner.awaitsResponse) return true;
    return waiting >= MAX_HELD || this.#bytes >= MAX_HELD_BYTES;
  }

  /** Gives messages to the handler from now on; those that waited first. */
  open(): void {
    if (this.#taking !== 'held') return;
    this.#taking = 'handler';
    this.#drain();
  }

  /** Gives messages to whoever asks for the next one. */
  messages(): { next(): Promise<RawMessage | undefined> } {
    if (this.#taking === 'iterator') throw new Error('the messages of a socket go to one loop at a time');
    this.#taking = 'iterator';
    return {
      next: () =>
        new Promise((resolve, reject) => {
          if (this.#spent < ALLOWANCE) this.#take(resolve, reject);
          else this.#inNextTurn(() => this.#take(resolve, reject));
        }),
    };
  }

  /** Nobody takes the message; one who sends many of them is not read from for the rest of this turn. */
  drop(message: RawMessage): void {
    const { raw } = this.#owner;
    this.#spent += COST + message.length;
    if (this.#spent < ALLOWANCE || raw.isPaused) return;
    raw.pause();
    this.#inNextTurn(() => raw.resume());
  }

  /** Drops what waits and what comes; whoever waits is told that nothing comes any more. */
  discard(): void {
    this.#drop();
    this.#waiter?.(undefined);
    this.#waiter = undefined;
  }

  /** Drops what waits and what comes, where no method has asked for it. */
  release(): void {
    if (this.#taking === 'held') this.#drop();
  }

  /** Drops what waits and what comes, while the closing handshake runs; whoever waits is told when it is over. */
  close(): void {
    this.#closing = true;
    this.#drop();
  }

  #drop(): void {
    this.#taking = 'nothing';
    this.#queue = undefined;
    this.#head = 0;
    this.#bytes = 0;
    if (this.#owner.raw.isPaused) this.#owner.raw.resume();
  }

  /** The socket has closed. What had come before is still handled. */
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
    // The handler answers its errors itself: what comes here has been told already.
    result.then(done, done);
  }

  #drain(): void {
    while (!this.#busy && this.#taking === 'handler' && this.#queue !== undefined) {
      if (this.#spent >= ALLOWANCE) return this.#rest();
      const message = this.#shift();
      if (message !== undefined) this.#handle(message);
    }
  }

  #take(resolve: (message: RawMessage | undefined) => void, reject: (error: Error) => void): void {
    const message = this.#shift();
    if (message !== undefined) resolve(message);
    else if (this.#ended || (this.#taking === 'nothing' && !this.#closing)) resolve(undefined);
    else if (this.#waiter !== undefined) reject(new Error('next() was called before the last one was done'));
    else this.#waiter = resolve;
  }

  /** A chunk holds thousands of small messages: what is left of them waits until others have had their turn. */
  #rest(): void {
    this.#busy = true;
    this.#inNextTurn(() => {
      this.#busy = false;
      this.#drain();
    });
  }

  #inNextTurn(then: () => void): void {
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

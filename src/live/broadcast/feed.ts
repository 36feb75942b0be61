import type { Context } from '../../core/exchange/context.js';
import { HttpError } from '../../core/base/errors.js';
import type { Overflow } from './definition.js';
import { Connection } from '../connections/connection.js';
import type { EncodedMessage } from '../encoding/encoded-message.js';
import { HeldMessages } from './held-messages.js';
import type { Reader, Source } from './reader.js';

/** How many messages may wait for a slow loop. */
const CAPACITY = 1_000;

/** The iterator of `for await (const value of channel)`. It receives from the moment it is created. */
export class Feed<T> implements Reader, AsyncIterator<T, void> {
  readonly #held: HeldMessages<T>;
  #ended = false;
  #exchange: Context | undefined = undefined;
  #unbind: (() => void) | undefined = undefined;
  /** The error that `next()` throws once the held messages are taken. */
  #failure: { error: unknown } | undefined = undefined;
  #waiter: ((result: IteratorResult<T, void> | Promise<never>) => void) | undefined = undefined;

  constructor(
    private readonly source: Source,
    private readonly overflow: Overflow<never>,
  ) {
    this.#held = new HeldMessages(overflow, source);
  }

  /** Ends the loop together with its exchange, even while it waits for a message. */
  endWith(exchange: Context): void {
    this.#exchange = exchange;
    const { signal } = exchange;
    const end = (): void => void this.return();
    if (signal.aborted) return end();
    signal.addEventListener('abort', end, { once: true });
    this.#unbind = () => signal.removeEventListener('abort', end);
  }

  /** Ends the loop of an exchange; a loop of the server itself continues. */
  revoke(reason: string): void {
    if (this.#exchange === undefined) return;
    const { connection } = this.#exchange;
    // The client gets the close code of the connection; the loop ends with it.
    if (connection instanceof Connection) return connection.close(3000, reason);
    this.#held.clear();
    this.fail(new HttpError(401, 'The channel was revoked', { code: 'CHANNEL_REVOKED' }));
    connection?.abandon();
  }

  deliver(encoded: EncodedMessage): void {
    const value = encoded.message.value as T;
    if (this.#waiter !== undefined) {
      const waiter = this.#waiter;
      this.#waiter = undefined;
      waiter({ done: false, value });
      return;
    }
    this.#held.add(value, encoded);
    if (this.#held.size <= CAPACITY) return;
    if (this.overflow !== 'close') return this.#held.drop();
    this.fail(new Error(`a loop over a channel fell more than ${CAPACITY} messages behind`));
  }

  next(): Promise<IteratorResult<T, void>> {
    if (this.#held.size > 0) return Promise.resolve({ done: false, value: this.#held.shift() as T });
    const failure = this.#failure;
    if (failure !== undefined) {
      this.#failure = undefined;
      return Promise.reject(failure.error as Error);
    }
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => {
      this.#waiter = resolve;
    });
  }

  return(): Promise<IteratorResult<T, void>> {
    this.#held.clear();
    this.#end();
    return Promise.resolve({ done: true, value: undefined });
  }

  /** Ends the loop with an error, after the messages that it holds. */
  fail(error: unknown): void {
    if (this.#ended) return;
    const waiter = this.#waiter;
    this.#waiter = undefined;
    if (waiter === undefined) this.#failure = { error };
    else waiter(Promise.reject(error as Error));
    this.#end();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#unbind?.();
    this.source.remove(this);
    this.#waiter?.({ done: true, value: undefined });
    this.#waiter = undefined;
  }
}

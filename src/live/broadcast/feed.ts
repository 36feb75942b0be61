import type { Context } from '../../core/exchange/context.js';
import { HttpError } from '../../core/base/errors.js';
import type { Overflow } from './definition.js';
import { Connection } from '../connections/connection.js';
import type { EncodedMessage } from '../encoding/encoded-message.js';
import type { Source, Subscriber } from './subscription.js';

/** How many messages may wait for a loop in the server that is behind. */
const CAPACITY = 1_000;

/** A loop over a channel, for code in the server: works from the moment it is made. */
export class Feed<T> implements Subscriber, AsyncIterator<T, void> {
  readonly #held = new Map<unknown, T>();
  #serial = 0;
  #ended = false;
  #exchange: Context | undefined = undefined;
  #unbind: (() => void) | undefined = undefined;
  /** What it fails with, once what it holds was taken. */
  #failure: Error | undefined = undefined;
  #waiter: ((result: IteratorResult<T, void> | Promise<never>) => void) | undefined = undefined;

  constructor(
    private readonly source: Source,
    private readonly overflow: Overflow<T>,
  ) {}

  /** Ends with its exchange, also while it waits. */
  endWith(exchange: Context): void {
    this.#exchange = exchange;
    const { signal } = exchange;
    const end = (): void => void this.return();
    if (signal.aborted) return end();
    signal.addEventListener('abort', end, { once: true });
    this.#unbind = () => signal.removeEventListener('abort', end);
  }

  /** Its channel was revoked. A loop of the server's own goes on. */
  revoke(reason: string): void {
    if (this.#exchange === undefined) return;
    const { outlet } = this.#exchange;
    // It ends with its connection, which tells its client.
    if (outlet instanceof Connection) return outlet.close(3000, reason);
    this.#held.clear();
    this.#fail(new HttpError(401, 'The channel was revoked', { code: 'CHANNEL_REVOKED' }));
    outlet?.abandon();
  }

  deliver(encoded: EncodedMessage): void {
    const value = encoded.message.value as T;
    if (this.#waiter !== undefined) {
      const waiter = this.#waiter;
      this.#waiter = undefined;
      waiter({ done: false, value });
      return;
    }
    const key = this.#keyOf(encoded, value);
    if (this.#held.delete(key)) this.source.skipped(0, 1);
    this.#held.set(key, value);
    if (this.#held.size <= CAPACITY) return;
    if (this.overflow === 'close') {
      return this.#fail(new Error(`a loop over a channel fell more than ${CAPACITY} messages behind`));
    }
    this.#held.delete(this.#held.keys().next().value);
    this.source.skipped(1, 0);
  }

  next(): Promise<IteratorResult<T, void>> {
    for (const [key, value] of this.#held) {
      this.#held.delete(key);
      return Promise.resolve({ done: false, value });
    }
    const failure = this.#failure;
    if (failure !== undefined) {
      this.#failure = undefined;
      return Promise.reject(failure);
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

  #keyOf(encoded: EncodedMessage, value: T): unknown {
    if (typeof this.overflow !== 'object') return this.#serial++;
    try {
      return this.overflow.key(value);
    } catch (error) {
      encoded.failure ??= { error };
      return encoded;
    }
  }

  #fail(error: Error): void {
    const waiter = this.#waiter;
    this.#waiter = undefined;
    if (waiter === undefined) this.#failure = error;
    else waiter(Promise.reject(error));
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

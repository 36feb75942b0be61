import type { EncodedMessage } from '../encoding/encoded-message.js';
import type { Overflow } from './definition.js';
import type { Source } from './reader.js';

/** The messages that wait for a slow reader, oldest first; with `conflate(key)`, only the latest per key. */
export class HeldMessages<T> {
  readonly #items = new Map<unknown, T>();
  #serial = 0;

  constructor(
    private readonly overflow: Overflow<never>,
    private readonly source: Source,
    /** Called for each item that is added (1) or removed (-1). */
    private readonly weigh: (item: T, sign: 1 | -1) => void = () => undefined,
  ) {}

  get size(): number {
    return this.#items.size;
  }

  /** Adds the newest item, with `encoded` as the message that it belongs to. */
  add(item: T, encoded: EncodedMessage): void {
    const key = this.#keyOf(encoded);
    if (this.#items.has(key)) {
      this.#remove(key, this.#items.get(key) as T);
      this.source.skipped(0, 1);
    }
    this.#items.set(key, item);
    this.weigh(item, 1);
  }

  /** Removes the oldest item; undefined if there is none. */
  shift(): T | undefined {
    for (const [key, item] of this.#items) {
      this.#remove(key, item);
      return item;
    }
    return undefined;
  }

  /** Drops the oldest item: its reader never gets it. */
  drop(): void {
    this.shift();
    this.source.skipped(1, 0);
  }

  clear(): void {
    while (this.size > 0) this.shift();
  }

  #remove(key: unknown, item: T): void {
    this.#items.delete(key);
    this.weigh(item, -1);
  }

  #keyOf(encoded: EncodedMessage): unknown {
    if (typeof this.overflow !== 'object') return this.#serial++;
    try {
      return this.overflow.key(encoded.message.value as never);
    } catch (error) {
      // The publisher gets the error. The message replaces no other.
      encoded.failure ??= { error };
      return encoded;
    }
  }
}

import type { Replay } from './broker.js';
import type { Overflow } from './definition.js';
import type { Connection, Follower } from '../connections/connection.js';
import { isAfter } from '../encoding/cursor.js';
import type { Format } from '../encoding/format.js';
import { Message } from '../encoding/message.js';
import { EncodedMessage } from '../encoding/encoded-message.js';

/** Who receives what a channel is told. */
export interface Subscriber {
  /** In which format it receives messages; undefined for code in the server, which receives values. */
  readonly format?: Format;
  deliver(encoded: EncodedMessage): void;
}

/** What a subscription tells the channel that it reads. */
export interface Source {
  remove(subscriber: Subscriber): void;
  /** Messages that a slow reader was not sent, for the counters. */
  skipped(dropped: number, conflated: number): void;
}

/** One connection's reading of one channel: sends at the reader's pace, by the channel's policy. */
export class Subscription implements Subscriber, Follower {
  /** What waits while the reader is behind, by key where the policy conflates; in order of arrival. */
  #held: Map<unknown, EncodedMessage> | undefined = undefined;
  #heldBytes = 0;
  #missed = 0;
  #serial = 0;
  /** What came while the history was read. */
  #early: EncodedMessage[] | undefined = undefined;
  /** Up to where the history went that was read meanwhile: what comes late and is not after it is known. */
  #covered: string | undefined = undefined;
  #ended = false;
  /** Runs once, when the subscription is over. */
  onEnd: (() => void) | undefined = undefined;

  constructor(
    readonly connection: Connection,
    private readonly source: Source,
    private readonly overflow: Overflow<never>,
  ) {
    connection.follow(this);
  }

  /** Keeps what comes until the history is there. */
  pause(): void {
    this.#early = [];
  }

  /** Sends what the reader missed, and says so if something is missing; then what came in the meantime. */
  begin({ messages, gap, top }: Replay): void {
    if (this.#ended) return;
    const early = this.#early;
    this.#early = undefined;
    const fitting = this.#fitting(messages);
    const reason = fitting.length < messages.length ? (gap ?? 'limit') : gap;
    if (this.connection.resumable) {
      if (reason !== undefined) this.connection.send(new Message({ reason }, 'gap'));
      // Without data it is no event: it only tells where the reader is, should it receive nothing else.
      if (fitting.length === 0) this.connection.send(new Message(undefined, undefined, top));
    }
    for (const encoded of fitting) this.deliver(encoded);
    if (early === undefined) return;
    this.#covered = top;
    for (const encoded of early) this.deliver(encoded);
  }

  /** Sends a message before what came in the meantime. */
  greet(message: Message): void {
    if (this.#ended) return;
    const early = this.#early ?? [];
    this.#early = undefined;
    this.deliver(new EncodedMessage(message));
    for (const encoded of early) this.deliver(encoded);
  }

  deliver(encoded: EncodedMessage): void {
    if (this.#early !== undefined) {
      this.#early.push(encoded);
      return;
    }
    if (this.#covered !== undefined) {
      if (!isAfter(encoded.message.id, this.#covered)) return;
      this.#covered = undefined;
    }
    if (this.#held !== undefined) this.#hold(encoded);
    else if (this.overflow === 'close') this.connection.deliver(encoded);
    // A policy that keeps connections is not to fill one over its limit.
    else if (!this.connection.offer(encoded)) this.#hold(encoded);
  }

  get format(): Format {
    return this.connection.format;
  }

  /** Ends the subscription; the connection stays. */
  end(): void {
    this.connection.unfollow(this);
    this.closed();
  }

  drained(): void {
    const held = this.#held;
    if (held === undefined) return;
    if (this.connection.behind) return this.connection.notify();
    if (this.#missed > 0) {
      const missed = this.#missed;
      this.#missed = 0;
      this.connection.deliver(new EncodedMessage(new Message({ missed }, 'missed')));
    }
    for (const [key, encoded] of held) {
      if (this.connection.behind) return this.connection.notify();
      held.delete(key);
      this.#weigh(-this.#size(encoded));
      this.connection.deliver(encoded);
    }
    this.#held = undefined;
  }

  stalled(): boolean {
    if (this.overflow === 'close') return false;
    if (this.#held !== undefined) this.#trim(this.#held, this.#limit);
    return true;
  }

  closed(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#held = undefined;
    this.#early = undefined;
    this.#weigh(-this.#heldBytes);
    this.onEnd?.();
    this.source.remove(this);
  }

  /** The latest messages, as many as half of what may wait for the reader: a longer history would close it. */
  #fitting(messages: readonly Message[]): EncodedMessage[] {
    let room = this.#limit / 2;
    const fitting: EncodedMessage[] = [];
    for (const message of messages.toReversed()) {
      const encoded = new EncodedMessage(message);
      room -= this.#size(encoded);
      if (room < 0) break;
      fitting.push(encoded);
    }
    return fitting.reverse();
  }

  get #limit(): number {
    return this.connection.context.environment.limits.buffered;
  }

  #hold(encoded: EncodedMessage): void {
    const { connection } = this;
    if (this.#held === undefined) connection.notify();
    const held = (this.#held ??= new Map<unknown, EncodedMessage>());
    const key = this.#keyOf(encoded);
    const older = held.get(key);
    if (older !== undefined) {
      held.delete(key);
      this.#weigh(-this.#size(older));
      this.source.skipped(0, 1);
    }
    held.set(key, encoded);
    this.#weigh(this.#size(encoded));
    this.#trim(held, this.connection.context.environment.backlog.allowance(connection));
  }

  /** What is on its way counts, too: all that waits for one reader is within the limit. The newest message stays. */
  #trim(held: Map<unknown, EncodedMessage>, limit: number): void {
    const { connection } = this;
    for (const [oldest, dropped] of held) {
      if (held.size === 1 || connection.buffered <= limit) break;
      held.delete(oldest);
      this.#weigh(-this.#size(dropped));
      this.#missed++;
      this.source.skipped(1, 0);
    }
  }

  #keyOf(encoded: EncodedMessage): unknown {
    if (typeof this.overflow !== 'object') return this.#serial++;
    try {
      return this.overflow.key(encoded.message.value as never);
    } catch (error) {
      // Nothing is the same as what has no key; its publisher is told.
      encoded.failure ??= { error };
      return encoded;
    }
  }

  #weigh(bytes: number): void {
    this.#heldBytes += bytes;
    this.connection.held += bytes;
  }

  #size(encoded: EncodedMessage): number {
    return encoded.blobSize ?? encoded.frame(this.connection.format)?.length ?? 0;
  }
}

import type { Replay } from '../broker/broker.js';
import type { Overflow } from './definition.js';
import { HeldMessages } from './held-messages.js';
import type { Reader, Source } from './reader.js';
import type { Connection, Follower } from '../connections/connection.js';
import { isAfter } from '../encoding/cursor.js';
import type { Format } from '../encoding/format.js';
import { Message } from '../encoding/message.js';
import { EncodedMessage } from '../encoding/encoded-message.js';

/** The subscription of one connection to one channel: sends at the reader's pace, by the overflow policy of the channel. */
export class Subscription implements Reader, Follower {
  /** The messages that wait while the reader is behind; undefined while it keeps up. */
  #held: HeldMessages<EncodedMessage> | undefined = undefined;
  /** How many messages were dropped since the reader fell behind. */
  #missed = 0;
  /** Messages that arrive while the history is being read; undefined otherwise. */
  #early: EncodedMessage[] | undefined = undefined;
  /** The newest cursor of the history that was read: live messages up to it were sent with the history. */
  #covered: string | undefined = undefined;
  /** How many times the connection has subscribed, less how many times it has unsubscribed. */
  #uses = 0;
  #ended = false;
  /** Runs once, when the subscription ends. */
  onEnd: (() => void) | undefined = undefined;

  constructor(
    readonly connection: Connection,
    private readonly source: Source,
    private readonly overflow: Overflow<never>,
  ) {
    connection.follow(this);
  }

  /** Subscribes once more. The result unsubscribes; the last one ends the subscription. */
  use(): () => void {
    this.#uses++;
    let over = false;
    return () => {
      if (over) return;
      over = true;
      if (--this.#uses === 0) this.end();
    };
  }

  /** Keeps live messages until the history is read. */
  pause(): void {
    this.#early = [];
  }

  /** Sends the messages that the reader missed, preceded by `gap` if some are gone; then those that came meanwhile. */
  begin({ messages, gap, top }: Replay): void {
    if (this.#ended) return;
    const early = this.#takeEarly();
    const fitting = this.#fitting(messages);
    const reason = fitting.length < messages.length ? (gap ?? 'limit') : gap;
    if (this.connection.resumable) {
      if (reason !== undefined) this.connection.send(new Message({ reason }, 'gap'));
      // An id without data is not an event: it only moves the cursor of a reader that has missed nothing.
      if (fitting.length === 0) this.connection.send(new Message(undefined, undefined, top));
    }
    for (const encoded of fitting) this.deliver(encoded);
    if (early === undefined) return;
    this.#covered = top;
    for (const encoded of early) this.deliver(encoded);
  }

  /** Sends a first message, then those that came meanwhile. The result is the failure to encode the first one. */
  greet(message: Message): EncodedMessage['failure'] {
    if (this.#ended) return undefined;
    const first = new EncodedMessage(message);
    const early = this.#takeEarly();
    this.deliver(first);
    for (const encoded of early ?? []) this.deliver(encoded);
    return first.failure;
  }

  deliver(encoded: EncodedMessage): void {
    if (this.#early !== undefined) return this.#keep(encoded, this.#early);
    if (this.#covered !== undefined) {
      if (!isAfter(encoded.message.id, this.#covered)) return;
      this.#covered = undefined;
    }
    if (this.#held !== undefined) this.#hold(encoded);
    else if (this.overflow === 'close') this.connection.outbox.deliver(encoded);
    // The other policies keep the connection open, so they must not fill it beyond its limit.
    else if (!this.connection.outbox.tryDeliver(encoded)) this.#hold(encoded);
  }

  get format(): Format {
    return this.connection.outbox.format;
  }

  /** Ends the subscription; the connection stays. */
  end(): void {
    this.connection.unfollow(this);
    this.closed();
  }

  drained(): void {
    const held = this.#held;
    if (held === undefined) return;
    if (this.connection.needsDrain) return this.connection.outbox.requestDrain();
    if (this.#missed > 0) {
      const missed = this.#missed;
      this.#missed = 0;
      this.connection.outbox.deliver(new EncodedMessage(new Message({ missed }, 'missed')));
    }
    while (held.size > 0) {
      if (this.connection.needsDrain) return this.connection.outbox.requestDrain();
      this.connection.outbox.deliver(held.shift() as EncodedMessage);
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
    this.#held?.clear();
    this.#held = undefined;
    this.#takeEarly();
    this.onEnd?.();
    this.source.remove(this.connection);
  }

  revoke(reason: string): void {
    this.connection.close(3000, reason);
  }

  /** Keeps a live message until the history is read. A broker that does not answer closes the connection, not the process. */
  #keep(encoded: EncodedMessage, early: EncodedMessage[]): void {
    const { connection } = this;
    early.push(encoded);
    connection.outbox.held += this.#size(encoded);
    if (early.length === 1) return;
    if (connection.buffered <= connection.context.environment.backlog.allowance(connection.outbox)) return;
    connection.close(1013, 'the channel cannot be read');
    // The closing handshake takes its time: until then more would arrive.
    this.end();
  }

  #takeEarly(): EncodedMessage[] | undefined {
    const early = this.#early;
    this.#early = undefined;
    for (const encoded of early ?? []) this.connection.outbox.held -= this.#size(encoded);
    return early;
  }

  /** The newest messages that fit into half of `limits.buffered`: a longer history would close the connection. */
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
    if (this.#held === undefined) connection.outbox.requestDrain();
    const held = (this.#held ??= new HeldMessages<EncodedMessage>(this.overflow, this.source, (one, sign) => {
      connection.outbox.held += sign * this.#size(one);
    }));
    held.add(encoded, encoded);
    this.#trim(held, connection.context.environment.backlog.allowance(connection.outbox));
  }

  /** Drops the oldest messages until all that waits for the reader is within the limit. The newest message stays. */
  #trim(held: HeldMessages<EncodedMessage>, limit: number): void {
    while (held.size > 1 && this.connection.buffered > limit) {
      held.drop();
      this.#missed++;
    }
  }

  #size(encoded: EncodedMessage): number {
    return encoded.blobSize ?? encoded.frame(this.connection.outbox.format)?.length ?? 0;
  }
}

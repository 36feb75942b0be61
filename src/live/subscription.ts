import type { Replay } from './broker.js';
import type { OnFull } from './channel-definition.js';
import type { Connection, Follower } from './connection.js';
import { Message } from './message.js';
import { Publication } from './publication.js';

/** Who receives what a channel is told. */
export interface Subscriber {
  deliver(publication: Publication): void;
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
  #held: Map<unknown, Publication> | undefined = undefined;
  #heldBytes = 0;
  #missed = 0;
  #serial = 0;
  /** What came while the history was read. */
  #early: Publication[] | undefined = undefined;
  /** Runs once, when the subscription is over. */
  onEnd: (() => void) | undefined = undefined;

  constructor(
    readonly connection: Connection,
    private readonly source: Source,
    private readonly onFull: OnFull<never>,
  ) {
    connection.follow(this);
  }

  /** Keeps what comes until the history is there. */
  pause(): void {
    this.#early = [];
  }

  /** Sends what the reader missed, and says so if something is missing; then what came in the meantime. */
  begin({ messages, gap, top }: Replay): void {
    const early = this.#early ?? [];
    this.#early = undefined;
    const fitting = this.#fitting(messages);
    const reason = fitting.length < messages.length ? (gap ?? 'limit') : gap;
    if (this.connection.resumable) {
      if (reason !== undefined) this.connection.send(new Message({ reason }, 'gap'));
      // Without data it is no event: it only tells where the reader is, should it receive nothing else.
      if (messages.length === 0) this.connection.send(new Message(undefined, undefined, top));
    }
    const seen = new Set<string | undefined>();
    for (const publication of fitting) {
      seen.add(publication.message.id);
      this.deliver(publication);
    }
    for (const publication of early) if (!seen.has(publication.message.id)) this.deliver(publication);
  }

  deliver(publication: Publication): void {
    if (this.#early !== undefined) {
      this.#early.push(publication);
      return;
    }
    if (this.#held !== undefined) this.#hold(publication);
    else if (this.onFull === 'close' || !this.connection.behind) this.connection.deliver(publication);
    else this.#hold(publication);
  }

  /** Ends the subscription; the connection stays. */
  end(): void {
    this.connection.unfollow(this);
    this.closed();
  }

  drained(): void {
    const held = this.#held;
    if (held === undefined) return;
    if (this.#missed > 0) {
      const missed = this.#missed;
      this.#missed = 0;
      this.connection.send(new Message({ missed }, 'missed'));
    }
    for (const [key, publication] of held) {
      if (this.connection.behind) return;
      held.delete(key);
      this.#heldBytes -= this.#size(publication);
      this.connection.deliver(publication);
    }
    this.#held = undefined;
  }

  closed(): void {
    this.#held = undefined;
    this.onEnd?.();
    this.source.remove(this);
  }

  /** The latest messages, as many as half of what may wait for the reader: a longer history would close it. */
  #fitting(messages: readonly Message[]): Publication[] {
    let room = this.connection.context.environment.limits.buffered / 2;
    const fitting: Publication[] = [];
    for (const message of messages.toReversed()) {
      const publication = new Publication(message);
      room -= this.#size(publication);
      if (room < 0) break;
      fitting.push(publication);
    }
    return fitting.reverse();
  }

  #hold(publication: Publication): void {
    const held = (this.#held ??= new Map<unknown, Publication>());
    const key =
      typeof this.onFull === 'object' ? this.onFull.key(publication.message.value as never) : this.#serial++;
    const older = held.get(key);
    if (older !== undefined) {
      held.delete(key);
      this.#heldBytes -= this.#size(older);
      this.source.skipped(0, 1);
    }
    held.set(key, publication);
    this.#heldBytes += this.#size(publication);
    for (const [oldest, dropped] of held) {
      if (this.#heldBytes <= this.connection.context.environment.limits.buffered) break;
      held.delete(oldest);
      this.#heldBytes -= this.#size(dropped);
      this.#missed++;
      this.source.skipped(1, 0);
    }
  }

  #size(publication: Publication): number {
    return publication.frame(this.connection.format)?.length ?? 0;
  }
}

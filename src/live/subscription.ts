import type { OnFull } from './channel-definition.js';
import type { Connection, Follower } from './connection.js';
import { Message } from './message.js';
import type { Publication } from './publication.js';

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

  constructor(
    readonly connection: Connection,
    private readonly source: Source,
    private readonly onFull: OnFull<never>,
  ) {
    connection.follow(this);
  }

  deliver(publication: Publication): void {
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
    this.source.remove(this);
  }

  #hold(publication: Publication): void {
    const held = (this.#held ??= new Map<unknown, Publication>());
    const key = typeof this.onFull === 'object' ? this.onFull.key(publication.message.value as never) : this.#serial++;
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

import { isThenable } from '../../core/base/promises.js';
import type { Broker, Member, Replay } from '../broker/broker.js';
import type { HistoryBounds } from '../broker/history.js';
import type { Connection } from '../connections/connection.js';
import { EncodedMessage } from '../encoding/encoded-message.js';
import { Message } from '../encoding/message.js';
import { boundsOf, type ChannelDefinition, type Overflow } from './definition.js';
import { Feed } from './feed.js';
import type { Reader, Source } from './reader.js';
import { Subscription } from './subscription.js';

/** What a topic needs of the whole. */
export interface TopicHost {
  readonly broker: Broker;
  readonly counters: { dropped: number; conflated: number };
  /** The maximum size of an encoded message in bytes. */
  readonly most: number;
  report(error: unknown): void;
  /** Takes the failure of a delivery. */
  failed(failure: { error: unknown }): void;
  publish(name: string, message: Message, bounds: HistoryBounds | undefined): void;
  /** Forgets a topic that has lost its last reader. */
  close(name: string): void;
  /** Makes a request that no caller waits for; reports its error. */
  ask<T>(request: () => T | Promise<T>, then?: (value: T) => void): void;
}

/** How a subscription begins: `read` asks the broker, `begin` sends the answer. */
export type Opening = (subscription: Subscription) => Beginning | undefined;

interface Beginning {
  read(): unknown;
  begin(value: never): void;
}

/** The readers of one channel in this process. */
export class Topic implements Source {
  /** By connection for subscriptions, by itself for loops. */
  readonly #readers = new Map<object, Reader>();
  readonly #bounds: HistoryBounds | undefined;
  readonly #overflow: Overflow<never>;
  /** Resolves when the broker has attached the topic; undefined if it did so synchronously. */
  #attaching: Promise<void> | undefined = undefined;

  constructor(
    readonly name: string,
    private readonly definition: ChannelDefinition<never>,
    private readonly host: TopicHost,
  ) {
    const { history, overflow = 'close' } = definition.options;
    this.#bounds = boundsOf(history);
    this.#overflow = overflow;
    const attached = host.broker.attach(name, (message) => this.#receive(message));
    if (!isThenable(attached)) return;
    this.#attaching = Promise.resolve(attached as Promise<void>);
    const done = (): void => {
      this.#attaching = undefined;
    };
    // Each reader handles the failure: subscriptions close, loops throw it.
    this.#attaching.then(done, () => undefined);
  }

  get size(): number {
    return this.#readers.size;
  }

  /** Subscribes a connection; the result unsubscribes it. A second subscription of a connection adds no messages. */
  subscribe(connection: Connection, opening?: Opening): () => void {
    const subscription =
      (this.#readers.get(connection) as Subscription | undefined) ?? this.#open(connection, opening);
    return subscription.use();
  }

  /** Subscribes first, then reads the history, then merges: no message is lost or sent twice in between. */
  #open(
    connection: Connection,
    opening: Opening = (subscription) => this.#history(subscription),
  ): Subscription {
    const subscription = new Subscription(connection, this, this.#overflow);
    this.#readers.set(connection, subscription);
    try {
      subscription.onEnd = this.#join(connection);
    } catch (error) {
      subscription.end();
      throw error;
    }
    this.#begin(subscription, opening(subscription));
    return subscription;
  }

  feed(): Feed<never> {
    const feed = new Feed<never>(this, this.#overflow);
    this.#readers.set(feed, feed);
    this.#attaching?.catch((error: unknown) => feed.fail(error));
    return feed;
  }

  /** Ends the connections that read the channel, and the loops of exchanges. */
  revoke(reason: string): void {
    for (const reader of Array.from(this.#readers.values())) reader.revoke(reason);
  }

  remove(key: object): void {
    if (this.#readers.delete(key) && this.#readers.size === 0) this.host.close(this.name);
  }

  skipped(dropped: number, conflated: number): void {
    this.host.counters.dropped += dropped;
    this.host.counters.conflated += conflated;
  }

  #receive(message: Message): void {
    const encoded = new EncodedMessage(message, this.host.most, (error) => this.host.report(error));
    if (!encoded.isTooLarge(this.#readers.values())) {
      for (const reader of this.#readers.values()) reader.deliver(encoded);
    }
    if (encoded.failure !== undefined) this.host.failed(encoded.failure);
  }

  #history(subscription: Subscription): Beginning | undefined {
    const bounds = this.#bounds;
    if (bounds === undefined) return undefined;
    return {
      read: () => this.host.broker.replay(this.name, subscription.connection.cursor, bounds),
      begin: (replay: Replay) => subscription.begin(replay),
    };
  }

  #begin(subscription: Subscription, opening: Beginning | undefined): void {
    if (opening === undefined && this.#attaching === undefined) return;
    // The broker must attach first: a history read before that would end before the live messages begin.
    const value =
      this.#attaching === undefined ? opening?.read() : this.#attaching.then(() => opening?.read());
    if (!isThenable(value)) return opening?.begin(value as never);
    if (opening !== undefined) subscription.pause();
    const begun = Promise.resolve(value).then((later) => opening?.begin(later as never));
    void begun.catch((error: unknown) => {
      this.host.report(error);
      subscription.connection.close(1013, 'the channel cannot be read');
    });
  }

  /** Announces the user of a connection, if the channel has `presence`; the result announces its leaving. */
  #join(connection: Connection): (() => void) | undefined {
    const { presence } = this.definition.options;
    const id = presence && connection.userId;
    if (presence === undefined || id === undefined) return undefined;
    return this.#joinAs({ id, info: presence(connection.user as never) });
  }

  #joinAs(member: Member): () => void {
    const { broker } = this.host;
    const topic = presenceTopic(this.name);
    const announce = (type: 'join' | 'leave') => (is: boolean) => {
      if (is) this.host.publish(topic, new Message({ type, ...member }, type), undefined);
    };
    this.host.ask(() => broker.join(topic, member), announce('join'));
    return () => this.host.ask(() => broker.leave(topic, member), announce('leave'));
  }
}

/** The topic of a channel's presence events. */
export function presenceTopic(name: string): string {
  return `${name}#presence`;
}

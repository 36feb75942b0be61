import { isBlob } from '../../core/base/bytes.js';
import { isThenable } from '../../core/base/promises.js';
import type { Broker, Member, Replay } from './broker.js';
import { boundsOf, type ChannelDefinition, type Overflow } from './definition.js';
import type { Connection, Follower } from '../connections/connection.js';
import { Feed } from './feed.js';
import type { HistoryBounds } from './history.js';
import { tooLarge } from '../encoding/frame.js';
import { Message } from '../encoding/message.js';
import { EncodedMessage } from '../encoding/encoded-message.js';
import { RevokedChannels } from '../connections/revocations.js';
import { Subscription, type Source, type Subscriber } from './subscription.js';

/** What channels count, for operators. */
export interface ChannelCounters {
  published: number;
  dropped: number;
  conflated: number;
}

/** The channels that somebody in this process reads: others cost nothing here. */
export class Topics {
  readonly counters: ChannelCounters = { published: 0, dropped: 0, conflated: 0 };
  readonly revoked = new RevokedChannels();
  readonly #topics = new Map<string, Topic>();
  /** What is being published now, so that its publisher is told of what fails with it. */
  #publishing: { failure: { error: unknown } | undefined } | undefined = undefined;

  constructor(
    readonly broker: Broker,
    /** Tells the operator of what fails while nobody waits for it. */
    readonly report: (error: unknown) => void,
    /** Bytes that an encoded message may have. */
    readonly most = Infinity,
  ) {}

  get size(): number {
    return this.#topics.size;
  }

  get(name: string): Topic | undefined {
    return this.#topics.get(name);
  }

  open(name: string, definition: ChannelDefinition<never>): Topic {
    let topic = this.#topics.get(name);
    if (topic === undefined) {
      topic = new Topic(name, definition, this);
      this.#topics.set(name, topic);
    }
    return topic;
  }

  /** A connection that is over reads nothing: it would never leave. */
  subscribe(
    name: string,
    definition: ChannelDefinition<never>,
    connection: Connection,
    opening?: Opening,
  ): () => void {
    if (connection.closed !== undefined) return () => undefined;
    return this.open(name, definition).subscribe(connection, opening);
  }

  /**
   * @throws what an encoder has thrown; readers of other formats have received the message. RangeError for a message
   * that is too large: nobody has received it.
   */
  publish(name: string, message: Message, bounds: HistoryBounds | undefined): void {
    const { value } = message;
    const bytes = bounds !== undefined || isBlob(value) ? message.size : isText(value) ? value.length : 0;
    if (bytes > this.most) throw tooLarge(bytes, this.most);
    const outer = this.#publishing;
    const publishing = (this.#publishing = { failure: undefined as { error: unknown } | undefined });
    try {
      this.settle(this.broker.publish(name, message, bounds));
    } finally {
      this.#publishing = outer;
    }
    if (publishing.failure !== undefined) throw publishing.failure.error;
  }

  /** A message could not be sent to all. Where it has come from afar, its publisher is out of reach. */
  failed(failure: { error: unknown }): void {
    if (this.#publishing === undefined) this.report(failure.error);
    else this.#publishing.failure ??= failure;
  }

  /** Ends the connections that read a channel, or who is on it. */
  revoke(name: string, reason: string): void {
    this.revoked.add(name);
    for (const topic of [name, presenceTopic(name)]) this.#topics.get(topic)?.revoke(reason);
  }

  close(name: string): void {
    this.#topics.delete(name);
    this.settle(this.broker.detach(name));
  }

  /** Goes on with what the broker answers, at once where it does so at once. */
  settle<T>(value: T | Promise<T>, then?: (value: T) => void): void {
    if (!isThenable(value)) then?.(value);
    else
      Promise.resolve(value as Promise<T>)
        .then(then)
        .catch((error: unknown) => this.report(error));
  }
}

interface Failure {
  error: unknown;
}

function isText(value: unknown): value is string | Uint8Array {
  return typeof value === 'string' || value instanceof Uint8Array;
}

/** How a subscription begins: what is read first, and what is made of it. */
export type Opening = (subscription: Subscription) => { read(): unknown; begin(value: never): void };

/** The readers of one channel in this process. */
export class Topic implements Source, Follower {
  readonly #subscribers = new Set<Subscriber>();
  /** Of readers that are more than plain. */
  readonly #subscriptions = new Map<Connection, Subscription>();
  /** How many times more than once a connection has subscribed: it reads the channel until it has left as often. */
  readonly #repeated = new Map<Connection, number>();
  readonly #bounds: HistoryBounds | undefined;
  readonly #overflow: Overflow<never>;
  /** Whether nothing is to be known of a reader: nothing is kept for it, and nobody is told of it. */
  readonly #plain: boolean;
  /** The broker has been asked, and has not answered yet. */
  #attaching: Promise<void> | undefined = undefined;

  constructor(
    readonly name: string,
    private readonly definition: ChannelDefinition<never>,
    private readonly topics: Topics,
  ) {
    const { history, overflow = 'close', presence } = definition.options;
    this.#bounds = boundsOf(history);
    this.#overflow = overflow;
    const attached = topics.broker.attach(name, (message) => this.#receive(message));
    if (isThenable(attached)) this.#attaching = attached as Promise<void>;
    this.#plain =
      overflow === 'close' &&
      this.#bounds === undefined &&
      presence === undefined &&
      this.#attaching === undefined;
  }

  get size(): number {
    return this.#subscribers.size;
  }

  subscribe(connection: Connection, opening?: Opening): () => void {
    if (this.#subscribers.has(connection) || this.#subscriptions.has(connection)) {
      this.#repeated.set(connection, (this.#repeated.get(connection) ?? 0) + 1);
    } else if (this.#plain && opening === undefined) {
      // The connection is its own subscriber: what it is sent is its own to keep or to lose.
      this.#subscribers.add(connection);
      connection.follow(this);
    } else {
      this.#subscribe(connection, opening);
    }
    let over = false;
    return () => {
      if (over) return;
      over = true;
      this.#leave(connection);
    };
  }

  #leave(connection: Connection): void {
    const repeated = this.#repeated.get(connection);
    if (repeated !== undefined) {
      if (repeated > 1) this.#repeated.set(connection, repeated - 1);
      else this.#repeated.delete(connection);
    } else if (this.#subscribers.has(connection)) {
      connection.unfollow(this);
      this.remove(connection);
    } else {
      this.#subscriptions.get(connection)?.end();
    }
  }

  /** Subscribes first, then reads the history, then merges: nothing is lost or doubled in between. */
  #subscribe(connection: Connection, opening: Opening | undefined): void {
    const subscription = new Subscription(connection, this, this.#overflow);
    this.#subscribers.add(subscription);
    this.#subscriptions.set(connection, subscription);
    try {
      subscription.onEnd = this.#join(connection);
    } catch (error) {
      subscription.end();
      throw error;
    }
    if (opening !== undefined) this.#begin(subscription, opening(subscription));
    else this.#begin(subscription, this.#history(subscription));
  }

  feed(): Feed<never> {
    const feed = new Feed<never>(this, this.#overflow);
    this.#subscribers.add(feed);
    return feed;
  }

  /** Ends the connections that read the channel. */
  revoke(reason: string): void {
    for (const subscriber of Array.from(this.#subscribers)) {
      if (subscriber instanceof Feed) subscriber.revoke(reason);
      else connectionOf(subscriber).close(3000, reason);
    }
  }

  /** A plain reader is over. */
  closed(connection: Connection): void {
    this.remove(connection);
  }

  remove(subscriber: Subscriber): void {
    const connection = connectionOf(subscriber);
    this.#subscriptions.delete(connection);
    this.#repeated.delete(connection);
    // Only the first time: by the second one the channel may have been opened anew.
    if (this.#subscribers.delete(subscriber) && this.#subscribers.size === 0) this.topics.close(this.name);
  }

  skipped(dropped: number, conflated: number): void {
    this.topics.counters.dropped += dropped;
    this.topics.counters.conflated += conflated;
  }

  #receive(message: Message): void {
    const encoded = new EncodedMessage(message, this.topics.most, this.topics.report);
    if (encoded.isTooLarge(this.#subscribers)) return this.topics.failed(encoded.failure as Failure);
    for (const subscriber of this.#subscribers) subscriber.deliver(encoded);
    if (encoded.failure !== undefined) this.topics.failed(encoded.failure);
  }

  #history(subscription: Subscription): ReturnType<Opening> | undefined {
    const bounds = this.#bounds;
    if (bounds === undefined) return undefined;
    return {
      read: () => this.topics.broker.replay(this.name, subscription.connection.cursor, bounds),
      begin: (replay: Replay) => subscription.begin(replay),
    };
  }

  #begin(subscription: Subscription, opening: ReturnType<Opening> | undefined): void {
    if (opening === undefined && this.#attaching === undefined) return;
    // What is read before the broker has attached ends before what it hands on begins.
    const value =
      this.#attaching === undefined ? opening?.read() : this.#attaching.then(() => opening?.read());
    if (!isThenable(value)) return opening?.begin(value as never);
    if (opening !== undefined) subscription.pause();
    const begun = Promise.resolve(value).then((later) => opening?.begin(later as never));
    void begun.catch((error: unknown) => {
      this.topics.report(error);
      subscription.connection.close(1013, 'the channel cannot be read');
    });
  }

  /** Tells who is there, where the channel has a presence; a user with several connections comes and goes once. */
  #join(connection: Connection): (() => void) | undefined {
    const { presence } = this.definition.options;
    const id = presence && connection.userId;
    if (presence === undefined || id === undefined) return undefined;
    return this.#joinAs({ id, info: presence(connection.user as never) });
  }

  #joinAs(member: Member): () => void {
    const { broker } = this.topics;
    const topic = presenceTopic(this.name);
    const announce = (type: 'join' | 'leave') => (is: boolean) => {
      if (is) this.topics.publish(topic, new Message({ type, ...member }, type), undefined);
    };
    this.topics.settle(broker.join(topic, member), announce('join'));
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.topics.settle(broker.leave(topic, member), announce('leave'));
    };
  }
}

/** The connection of a reader that is none of a loop's: plain readers are their own. */
function connectionOf(subscriber: Subscriber): Connection {
  return subscriber instanceof Subscription ? subscriber.connection : (subscriber as Connection);
}

/** The topic on which a channel's comings and goings are told. */
export function presenceTopic(name: string): string {
  return `${name}#presence`;
}

import type { ChannelDefinition } from './channel-definition.js';
import type { Connection } from './connection.js';
import { Feed } from './feed.js';
import { Message, messageOf } from './message.js';
import { Publication } from './publication.js';
import { Subscription, type Source, type Subscriber } from './subscription.js';

/** A handle on one channel. It costs nothing while nobody reads it. */
export class Channel<T = unknown> implements AsyncIterable<T> {
  /** @internal */
  constructor(
    readonly definition: ChannelDefinition<T>,
    /** The template, filled: `rooms/lobby`. */
    readonly name: string,
    private readonly topics: Topics,
  ) {}

  /** How many read the channel. */
  get size(): number {
    return this.topics.get(this.name)?.size ?? 0;
  }

  /**
   * Sends a value to all who read the channel; it is encoded once for each format.
   * @throws TypeError for a value without a JSON form; those whose format can encode it receive it.
   */
  publish(value: T): void {
    const topic = this.topics.get(this.name) ?? this.topics.keep(this.name, this.definition);
    topic?.publish(messageOf(value));
  }

  /** The connection reads the channel from now on, until it ends or the returned function is called. */
  subscribe(connection: Connection): () => void {
    const topic = this.topics.open(this.name, this.definition);
    return topic.subscribe(connection);
  }

  /** What the channel has kept, oldest first. */
  history(): T[] {
    return (this.topics.get(this.name)?.kept ?? []).map((message) => message.value as T);
  }

  /** Reads the channel in the server, from the moment that this is called. */
  [Symbol.asyncIterator](): AsyncIterator<T, void> {
    return this.topics.open(this.name, this.definition).feed() as AsyncIterator<T, void>;
  }
}

/** The channels that somebody reads, or that keep a history. */
export class Topics {
  readonly #topics = new Map<string, Topic>();
  readonly counters = { published: 0, dropped: 0, conflated: 0 };

  get size(): number {
    return this.#topics.size;
  }

  get(name: string): Topic | undefined {
    return this.#topics.get(name);
  }

  open(name: string, definition: ChannelDefinition<never>): Topic {
    let topic = this.#topics.get(name);
    if (topic === undefined) {
      topic = new Topic(definition, this, name);
      this.#topics.set(name, topic);
    }
    return topic;
  }

  /** Opens a channel that nobody reads, where what is published now is kept for later. */
  keep(name: string, definition: ChannelDefinition<never>): Topic | undefined {
    return definition.options.history === undefined ? undefined : this.open(name, definition);
  }

  close(name: string): void {
    this.#topics.delete(name);
  }
}

/** The readers of one channel, and what it keeps. */
class Topic implements Source {
  readonly kept: Message[] = [];
  readonly #subscribers = new Set<Subscriber>();
  readonly #limit: number;

  constructor(
    readonly definition: ChannelDefinition<never>,
    readonly topics: Topics,
    readonly name: string,
  ) {
    const { history = 0 } = definition.options;
    this.#limit = typeof history === 'number' ? history : (history.messages ?? Infinity);
  }

  get size(): number {
    return this.#subscribers.size;
  }

  publish(message: Message): void {
    this.topics.counters.published++;
    if (this.#limit > 0) {
      this.kept.push(message);
      if (this.kept.length > this.#limit) this.kept.shift();
    }
    const publication = new Publication(message);
    for (const subscriber of this.#subscribers) subscriber.deliver(publication);
    publication.rethrow();
  }

  subscribe(connection: Connection): () => void {
    const subscription = new Subscription(connection, this, this.definition.options.onFull ?? 'close');
    for (const message of this.kept) subscription.deliver(new Publication(message));
    this.#subscribers.add(subscription);
    return () => subscription.end();
  }

  feed(): Feed<never> {
    const feed = new Feed<never>(this, this.definition.options.onFull ?? 'close');
    this.#subscribers.add(feed);
    return feed;
  }

  remove(subscriber: Subscriber): void {
    this.#subscribers.delete(subscriber);
    if (this.#subscribers.size === 0 && this.#limit === 0) this.topics.close(this.name);
  }

  skipped(dropped: number, conflated: number): void {
    this.topics.counters.dropped += dropped;
    this.topics.counters.conflated += conflated;
  }
}

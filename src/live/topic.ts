import { isThenable } from '../core/thenable.js';
import type { Broker, Replay } from './broker.js';
import { boundsOf, type ChannelDefinition } from './channel-definition.js';
import type { Connection } from './connection.js';
import { Feed } from './feed.js';
import type { HistoryBounds } from './history.js';
import { Message } from './message.js';
import { Publication } from './publication.js';
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
  readonly #topics = new Map<string, Topic>();

  constructor(readonly broker: Broker) {}

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

  close(name: string): void {
    this.#topics.delete(name);
    void this.broker.detach(name);
  }
}

/** The readers of one channel in this process. */
export class Topic implements Source {
  readonly #subscribers = new Set<Subscriber>();
  readonly #bounds: HistoryBounds | undefined;
  #failure: { error: unknown } | undefined = undefined;

  constructor(
    readonly name: string,
    private readonly definition: ChannelDefinition<never>,
    private readonly topics: Topics,
  ) {
    this.#bounds = boundsOf(definition.options.history);
    void topics.broker.attach(name, (message) => this.#receive(message));
  }

  get size(): number {
    return this.#subscribers.size;
  }

  /** What the encoder threw at the last message, for its publisher; once. */
  takeFailure(): { error: unknown } | undefined {
    const failure = this.#failure;
    this.#failure = undefined;
    return failure;
  }

  /** Subscribes first, then reads the history, then merges: nothing is lost or doubled in between. */
  subscribe(connection: Connection): () => void {
    const subscription = new Subscription(connection, this, this.definition.options.onFull ?? 'close');
    this.#subscribers.add(subscription);
    subscription.onEnd = this.#join(connection);
    const end = (): void => subscription.end();
    if (this.#bounds === undefined) return end;
    const replay = this.topics.broker.replay(this.name, connection.cursor, this.#bounds);
    if (isThenable(replay)) {
      subscription.pause();
      (replay as Promise<Replay>).then(
        (later) => subscription.begin(later),
        () => connection.close(1013, 'the history cannot be read'),
      );
    } else {
      subscription.begin(replay as Replay);
    }
    return end;
  }

  feed(): Feed<never> {
    const feed = new Feed<never>(this, this.definition.options.onFull ?? 'close');
    this.#subscribers.add(feed);
    return feed;
  }

  remove(subscriber: Subscriber): void {
    // Only the first time: by the second one the channel may have been opened anew.
    if (this.#subscribers.delete(subscriber) && this.#subscribers.size === 0) this.topics.close(this.name);
  }

  skipped(dropped: number, conflated: number): void {
    this.topics.counters.dropped += dropped;
    this.topics.counters.conflated += conflated;
  }

  #receive(message: Message): void {
    const publication = new Publication(message);
    for (const subscriber of this.#subscribers) subscriber.deliver(publication);
    this.#failure = publication.failure;
  }

  /** Tells who is there, where the channel has a presence; a user with several connections comes and goes once. */
  #join(connection: Connection): () => void {
    const { presence } = this.definition.options;
    const id = connection.userId;
    if (presence === undefined || id === undefined) return () => undefined;
    const { broker } = this.topics;
    const topic = presenceTopic(this.name);
    const member = { id, info: presence(connection.user as never) };
    const announce = (type: 'join' | 'leave') => (is: boolean) => {
      if (is) void broker.publish(topic, new Message({ type, ...member }, type), undefined);
    };
    settle(broker.join(topic, member), announce('join'));
    let left = false;
    return () => {
      if (left) return;
      left = true;
      settle(broker.leave(topic, id), announce('leave'));
    };
  }
}

/** The topic on which a channel's comings and goings are told. */
export function presenceTopic(name: string): string {
  return `${name}#presence`;
}

function settle<T>(value: T | Promise<T>, then: (value: T) => void): void {
  if (isThenable(value)) void (value as Promise<T>).then(then);
  else then(value);
}

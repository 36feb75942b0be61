import { isBlob } from '../../core/base/bytes.js';
import { isThenable } from '../../core/base/promises.js';
import type { Broker } from '../broker/broker.js';
import type { HistoryBounds } from '../broker/history.js';
import type { Connection } from '../connections/connection.js';
import { RevokedChannels } from '../connections/revocations.js';
import { tooLarge } from '../encoding/frame.js';
import type { Message } from '../encoding/message.js';
import type { ChannelDefinition } from './definition.js';
import { presenceTopic, Topic, type Opening, type TopicHost } from './topic.js';

/** Counters of the channels, for `app.stats()`. */
export interface ChannelCounters {
  published: number;
  dropped: number;
  conflated: number;
}

/** The topics that have readers in this process. A topic without readers costs nothing. */
export class Topics implements TopicHost {
  readonly counters: ChannelCounters = { published: 0, dropped: 0, conflated: 0 };
  readonly revoked = new RevokedChannels();
  readonly #topics = new Map<string, Topic>();
  /** The call of `publish()` in progress, which throws the first failure of its delivery. */
  #publishing: { failure: Failure | undefined } | undefined = undefined;

  constructor(
    readonly broker: Broker,
    /** Reports an error that no caller waits for. */
    readonly report: (error: unknown) => void,
    /** The maximum size of an encoded message in bytes. */
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

  /** Subscribes a connection, unless it is closed already: it would never unsubscribe. */
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
   * @throws the error of an encoder, with the message delivered in other formats; RangeError for a message that is too
   * large, delivered to no reader
   */
  publish(name: string, message: Message, bounds: HistoryBounds | undefined): void {
    const { value } = message;
    const bytes = bounds !== undefined || isBlob(value) ? message.size : isText(value) ? value.length : 0;
    if (bytes > this.most) throw tooLarge(bytes, this.most);
    const outer = this.#publishing;
    const publishing = (this.#publishing = { failure: undefined as Failure | undefined });
    try {
      const published = this.broker.publish(name, message, bounds);
      this.ask(() => published);
    } finally {
      this.#publishing = outer;
    }
    if (publishing.failure !== undefined) throw publishing.failure.error;
  }

  /** Hands the failure of a delivery to the publisher, or reports it if the message came from another process. */
  failed(failure: Failure): void {
    if (this.#publishing === undefined) this.report(failure.error);
    else this.#publishing.failure ??= failure;
  }

  /** Ends the connections that read a channel or its presence. */
  revoke(name: string, reason: string): void {
    this.revoked.add(name);
    for (const topic of [name, presenceTopic(name)]) this.#topics.get(topic)?.revoke(reason);
  }

  close(name: string): void {
    this.#topics.delete(name);
    this.ask(() => this.broker.detach(name));
  }

  /** Makes a request that no caller waits for, and calls `then` with the answer; reports what either throws. */
  ask<T>(request: () => T | Promise<T>, then?: (value: T) => void): void {
    const report = (error: unknown): void => this.report(error);
    try {
      const value = request();
      if (isThenable(value))
        Promise.resolve(value as Promise<T>)
          .then(then)
          .catch(report);
      else then?.(value);
    } catch (error) {
      report(error);
    }
  }
}

interface Failure {
  readonly error: unknown;
}

function isText(value: unknown): value is string | Uint8Array {
  return typeof value === 'string' || value instanceof Uint8Array;
}

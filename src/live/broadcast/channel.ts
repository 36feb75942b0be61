import type { Context } from '../../core/exchange/context.js';
import { HttpError } from '../../core/base/errors.js';
import { Subscribable } from '../../core/exchange/open-connection.js';
import { isThenable } from '../../core/base/promises.js';
import { valuePublished } from '../../core/exchange/tracing.js';
import type { Member } from '../broker/broker.js';
import { boundsOf, defineChannel, type ChannelDefinition } from './definition.js';
import type { Connection } from '../connections/connection.js';
import type { RevocationMark } from '../connections/revocations.js';
import type { HistoryBounds } from '../broker/history.js';
import { Message, messageOf } from '../encoding/message.js';
import { presenceTopic, type Opening } from './topic.js';
import type { Topics } from './topics.js';

/** A handle on one channel. A channel without readers costs nothing. */
export class Channel<T = unknown> extends Subscribable implements AsyncIterable<T> {
  readonly #topics: Topics;
  readonly #bounds: HistoryBounds | undefined;
  /** Says whether the channel was revoked since an exchange received the handle. */
  readonly #mark: RevocationMark | undefined;

  /** @internal */
  constructor(
    readonly definition: ChannelDefinition<T>,
    /** The template, filled: `rooms/lobby`. */
    readonly name: string,
    topics: Topics,
    /** The exchange or call that received it: loops over the channel end with it. */
    private readonly exchange?: Context,
  ) {
    super();
    this.#topics = topics;
    this.#bounds = boundsOf(definition.options.history);
    this.#mark = exchange === undefined ? undefined : topics.revoked.markOf(name);
  }

  /** The number of readers in this process. */
  get size(): number {
    return this.#topics.get(this.name)?.size ?? 0;
  }

  /**
   * Sends a value to all readers, encoded once per format, and adds it to the history, if the channel has one.
   * @throws TypeError for a value that has no JSON form, or that the schema of the channel rejects. Readers whose format
   * can encode the value get it all the same.
   */
  publish(value: T): void {
    const { schema } = this.definition.options;
    if (schema !== undefined) check(schema, value, this.name);
    this.#topics.counters.published++;
    if (valuePublished.hasSubscribers) valuePublished.publish({ channel: this, value });
    this.#topics.publish(this.name, messageOf(value), this.#bounds);
  }

  /**
   * Subscribes a connection: it gets the messages that it missed, then live ones. Call the returned function to unsubscribe.
   *
   * @throws HttpError 401 if the readers of the channel were revoked since `@Channel` gave it
   */
  subscribe(connection: Connection): () => void {
    return this.admit(connection, this.name, () =>
      this.#topics.subscribe(this.name, this.definition, connection),
    );
  }

  /** @internal Subscribes a connection to the topic of the channel or of its presence, if the channel may be read. */
  admit(connection: Connection, topic: string, subscribe: () => () => void): () => void {
    this.#mayBeRead();
    const end = subscribe();
    // renew() authorizes the channels of the connection's own method anyway, but not those of its calls.
    const own: unknown = this.exchange === connection.context ? undefined : this.exchange?.connection;
    if (own !== connection || this.definition.options.authorize === undefined) return end;
    // Kept for as long as the connection reads: it holds the definition, not the call.
    const { definition } = this;
    const admit = (fresh: Context): unknown => fresh.environment.channels.read(definition, fresh);
    return connection.admittedBy(topic, admit, end);
  }

  /** The values in the history, oldest first. @throws HttpError 401 if the channel was revoked since `@Channel` gave it */
  async history(): Promise<T[]> {
    this.#mayBeRead();
    if (this.#bounds === undefined) return [];
    const { messages } = await this.#topics.broker.replay(this.name, undefined, this.#bounds);
    this.#mayBeRead();
    return messages.map(({ value }) => value as T);
  }

  /**
   * @internal The newest values in the history, oldest first, as many as fit into `bytes` of JSON. Values without a JSON
   * form are left out, as they are for readers of events.
   */
  async newest(bytes: number): Promise<T[]> {
    const kept = await this.history();
    const newest: T[] = [];
    let room = bytes;
    for (const value of kept.reverse()) {
      const text = jsonOf(value);
      if (text === undefined) continue;
      room -= Buffer.byteLength(text) + 1;
      if (room < 0) break;
      newest.push(value);
    }
    return newest.reverse();
  }

  /** The users who read the channel, each once; empty unless the definition has `presence`. */
  async members(): Promise<Member[]> {
    this.#mayBeRead();
    return await this.#topics.broker.members(presenceTopic(this.name));
  }

  /** Events about who reads the channel: `present` with the members, then `join` and `leave`. */
  get presence(): Presence {
    this.#mayBeRead();
    return new Presence(this as Channel, this.#topics);
  }

  /** Reads the channel on the server: `for await (const value of channel)`, from this moment on. */
  [Symbol.asyncIterator](): AsyncIterator<T, void> {
    this.#mayBeRead();
    const feed = this.#topics.open(this.name, this.definition).feed();
    if (this.exchange !== undefined) feed.endWith(this.exchange);
    return feed as AsyncIterator<T, void>;
  }

  /** @throws HttpError 401 if the channel was revoked since the exchange received it; never for code on the server */
  #mayBeRead(): void {
    if (this.#mark?.revoked !== true) return;
    throw new HttpError(401, 'The channel was revoked', { code: 'CHANNEL_REVOKED' });
  }
}

function check<T>(
  schema: NonNullable<ChannelDefinition<T>['options']['schema']>,
  value: T,
  name: string,
): void {
  const result = schema['~standard'].validate(value);
  if (isThenable(result))
    throw new TypeError(`the schema of the channel ${name} is asynchronous: publish() is not`);
  const { issues } = result as { issues?: readonly { message: string }[] };
  if (issues !== undefined) {
    throw new TypeError(
      `the channel ${name} refuses the value: ${issues.map(({ message }) => message).join('; ')}`,
    );
  }
}

const Comings = defineChannel<never>('presence');

/** Events about who reads a channel: `channel.presence`. */
export class Presence {
  /** @internal */
  constructor(
    private readonly channel: Channel,
    private readonly topics: Topics,
  ) {}

  /** Sends the connection `present` with the members, then `join` and `leave`. Call the returned function to unsubscribe. */
  subscribe(connection: Connection): () => void {
    const name = presenceTopic(this.channel.name);
    const { broker } = this.topics;
    const open: Opening = (subscription) => ({
      read: () => broker.members(name),
      begin: (members) => {
        const failure = subscription.greet(new Message({ type: 'present', members }, 'present'));
        if (failure !== undefined) this.topics.report(failure.error);
      },
    });
    return this.channel.admit(connection, name, () => this.topics.subscribe(name, Comings, connection, open));
  }
}

/** The JSON text of a value; undefined if it has none: `publish()` has thrown for it. */
function jsonOf(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    return undefined;
  }
}

import type { Context } from '../core/context.js';
import { HttpError } from '../core/errors.js';
import { isThenable } from '../core/thenable.js';
import type { Broker } from './broker.js';
import { Channel } from './channel.js';
import type { ChannelDefinition } from './channel-definition.js';
import { Topics } from './topic.js';

/** The channels of the application: injectable wherever something is to be published. */
export class Channels {
  /** @internal */ readonly topics: Topics;

  /** @internal */
  constructor(broker: Broker, report: (error: unknown) => void, most?: number) {
    this.topics = new Topics(broker, report, most);
  }

  /**
   * The channel that the parameters pick: `channels.of(Room, { room: 'lobby' })`.
   * @throws TypeError if a parameter of the template is missing.
   */
  of<T>(definition: ChannelDefinition<T>, params: Readonly<Record<string, unknown>> = {}): Channel<T> {
    return new Channel(definition, definition.name(params), this.topics);
  }

  /** @internal The channel that the path of an exchange picks, if the exchange may read it. */
  read(definition: ChannelDefinition<never>, ctx: Context): Channel<never> | Promise<Channel<never>> {
    const channel = new Channel(definition, definition.name(ctx.params), this.topics, ctx);
    const { authorize } = definition.options;
    if (authorize === undefined) return channel;
    const decide = (allowed: unknown): Channel<never> => {
      if (allowed === false) throw new HttpError(403, 'The channel may not be read');
      return channel;
    };
    const allowed = authorize(ctx, ctx.params);
    return isThenable(allowed) ? Promise.resolve(allowed).then(decide) : decide(allowed);
  }
}

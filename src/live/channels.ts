import { Channel, Topics } from './channel.js';
import type { ChannelDefinition } from './channel-definition.js';

/** The channels of the application: injectable wherever something is to be published. */
export class Channels {
  /** @internal */ readonly topics = new Topics();

  /**
   * The channel that the parameters pick: `channels.of(Room, { room: 'lobby' })`.
   * @throws TypeError if a parameter of the template is missing.
   */
  of<T>(definition: ChannelDefinition<T>, params: Readonly<Record<string, unknown>> = {}): Channel<T> {
    return new Channel(definition, definition.name(params), this.topics);
  }
}

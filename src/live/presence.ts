import { defineChannel } from './channel-definition.js';
import type { Connection } from './connection.js';
import { Message } from './message.js';
import { presenceTopic, type Topics } from './topic.js';

const Comings = defineChannel<never>('presence');

/** The comings and goings of a channel. */
export class Presence {
  /** @internal */
  constructor(
    private readonly channel: string,
    private readonly topics: Topics,
  ) {}

  /** Sends the connection who is there (`present`), and from then on who comes (`join`) and goes (`leave`). */
  subscribe(connection: Connection): () => void {
    const name = presenceTopic(this.channel);
    const { broker } = this.topics;
    return this.topics.subscribe(name, Comings, connection, (subscription) => ({
      read: () => broker.members(name),
      begin: (members) => subscription.greet(new Message({ type: 'present', members }, 'present')),
    }));
  }
}

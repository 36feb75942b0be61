import { isThenable } from '../core/thenable.js';
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
    const end = this.topics.open(name, Comings).subscribe(connection);
    const present = this.topics.broker.members(name);
    const send = (members: unknown): void =>
      void connection.send(new Message({ type: 'present', members }, 'present'));
    if (isThenable(present)) void present.then(send);
    else send(present);
    return end;
  }
}

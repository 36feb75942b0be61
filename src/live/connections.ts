import type { Connection, Follower } from './connection.js';
import type { Heartbeat } from './heartbeat.js';

/** What is open, of both kinds. Injectable. */
export class Connections implements Iterable<Connection> {
  readonly #all = new Map<Connection, () => void>();
  readonly #follower: Follower = {
    drained() {},
    closed: (connection) => {
      this.#all.get(connection)?.();
      this.#all.delete(connection);
    },
  };

  /** @internal */
  constructor(private readonly heartbeat: Heartbeat) {}

  /** How many are open. */
  get count(): number {
    return this.#all.size;
  }

  [Symbol.iterator](): Iterator<Connection> {
    return this.#all.keys();
  }

  /** @internal */
  add(connection: Connection): void {
    this.#all.set(connection, this.heartbeat.add(connection));
    connection.follow(this.#follower);
  }
}

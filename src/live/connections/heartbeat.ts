import type { Connection } from './connection.js';

/** Between two beats of one connection all others have theirs: spread, so that no moment has to carry all. */
const SPOKES = 16;

/** One timer for the heartbeats of all connections. A peer that was silent for a whole round is cut. */
export class Heartbeat {
  readonly #spokes: Set<Connection>[] = Array.from({ length: SPOKES }, () => new Set<Connection>());
  #turn = 0;
  #next = 0;
  #timer: NodeJS.Timeout | undefined = undefined;

  constructor(
    /** Milliseconds between two beats of one connection. */
    private readonly interval: number,
  ) {}

  /** Gives the spoke, which the connection is to be taken off when it ends. */
  add(connection: Connection): Set<Connection> {
    const spoke = this.#spokes[this.#next++ % SPOKES] as Set<Connection>;
    spoke.add(connection);
    if (this.#timer === undefined) {
      this.#timer = setInterval(() => this.#beat(), this.interval / SPOKES);
      this.#timer.unref();
    }
    return spoke;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #beat(): void {
    for (const connection of this.#spokes[this.#turn++ % SPOKES] ?? []) {
      if (!connection.beat(this.interval)) connection.terminate();
    }
  }
}

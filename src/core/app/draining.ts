import { setTimeout as wait } from 'node:timers/promises';
import type { Connection } from '../../live/connections/connection.js';
import { Message } from '../../live/encoding/message.js';

/** How many connections are told in one go. */
const BATCH = 100;
/** Milliseconds between two batches. */
const PAUSE = 20;
/** The longest that a reader is asked to wait before it comes back, in milliseconds. */
const SPREAD = 5_000;

/**
 * Tells all that is open to come back later: sockets by 1012, streams by a `retry` of their own, so that they do
 * not all come at once. In batches, so that what is in flight is answered in between.
 */
export async function drain(connections: Iterable<Connection>, grace: number): Promise<void> {
  // A streamed response ends by itself, within the grace.
  const all = [...connections].filter(({ kind }) => kind !== 'http');
  const spread = Math.min(SPREAD, Math.max(all.length * 2, 100));
  // However many there are, half of the grace is left for them to go.
  const pause = Math.min(PAUSE, (grace / 2) * (BATCH / Math.max(all.length, 1)));
  for (let i = 0; i < all.length; i += BATCH) {
    if (i > 0) await wait(pause);
    for (const connection of all.slice(i, i + BATCH)) {
      if (connection.kind === 'sse') {
        const retry = 1_000 + Math.floor(Math.random() * spread);
        connection.send(new Message(undefined, undefined, undefined, retry));
        connection.close();
      } else {
        connection.close(1012, 'the server restarts');
      }
    }
  }
}

import { setTimeout as wait } from 'node:timers/promises';
import type { Connection } from '../../live/connections/connection.js';
import { Message } from '../../live/encoding/message.js';

/** Connections per batch. */
const BATCH = 100;
/** Milliseconds between two batches. */
const PAUSE = 20;
/** The longest `retry` of a stream, in milliseconds, beyond its first second. */
const SPREAD = 5_000;

/**
 * Closes sockets with 1012, and ends streams with a random `retry`, so that clients do not all reconnect at once. Works in
 * batches, so that requests in flight get their responses in between.
 */
export async function drain(connections: Iterable<Connection>, grace: number): Promise<void> {
  // A streamed response ends by itself.
  const all = [...connections].filter(({ kind }) => kind !== 'http');
  const spread = Math.min(SPREAD, Math.max(all.length * 2, 100));
  // Half of the grace period is left for the clients to leave, however many there are.
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

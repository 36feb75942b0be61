import { once } from 'node:events';
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { setImmediate as turn, setTimeout as wait } from 'node:timers/promises';
import type { Connections } from '../live/connections.js';
import { drain } from '../live/draining.js';
import type { Context } from './context.js';
import type { InFlight } from './in-flight.js';

/** How often connections that have become idle are looked for. */
const LOOK = 50;

/** What is to end, and is given the grace to do so. */
export interface Closing {
  readonly server: Server;
  /** Connections of the server. Those on which nothing was asked yet are not idle to Node: browsers open them ahead. */
  readonly sockets: ReadonlySet<Socket>;
  readonly connections: Connections;
  readonly inFlight: InFlight;
  readonly pending: ReadonlySet<Promise<unknown>>;
}

/** Ends what is open: told first, waited for as long as the grace lasts, and then cut. */
export async function closeWithin(grace: number, closing: Closing): Promise<void> {
  const { server, sockets, connections, inFlight, pending } = closing;
  const over = new AbortController();
  const cut = wait(grace, undefined, { signal: over.signal }).then(
    () => {
      for (const connection of connections) connection.terminate();
      // Upgrades are not the server's any more: those that wait for a guard, and those that nobody ends.
      for (const socket of sockets) socket.destroy();
    },
    // The orderly end came first.
    () => undefined,
  );
  const closed = server.listening ? once(server, 'close') : Promise.resolve();
  if (server.listening) server.close();
  for (const ctx of inFlight) closeAfter(ctx);
  const looking = setInterval(() => {
    server.closeIdleConnections();
    for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy();
  }, LOOK);
  server.closeIdleConnections();
  await drain(connections, grace);
  await closed;
  clearInterval(looking);
  // The server has closed when its sockets are destroyed. They tell so when the loop closes its handles, between
  // two turns: what the last exchanges defer is to be waited for as well.
  await turn();
  await turn();
  await Promise.race([settled(pending), cut]);
  over.abort();
}

/** A kept connection would stay open after its answer. */
function closeAfter({ response }: Context): void {
  if (!response.headersSent) response.shouldKeepAlive = false;
}

async function settled(pending: ReadonlySet<Promise<unknown>>): Promise<void> {
  while (pending.size > 0) await Promise.allSettled(pending);
}

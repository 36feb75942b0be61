import { once } from 'node:events';
import type { Server } from 'node:http';
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
  readonly connections: Connections;
  readonly inFlight: InFlight;
  readonly handshakes: InFlight;
  readonly pending: ReadonlySet<Promise<unknown>>;
}

/** Ends what is open: told first, waited for as long as the grace lasts, and then cut. */
export async function closeWithin(grace: number, closing: Closing): Promise<void> {
  const { server, connections, inFlight, handshakes, pending } = closing;
  const over = new AbortController();
  const cut = wait(grace, undefined, { signal: over.signal }).then(
    () => {
      for (const connection of connections) connection.terminate();
      for (const ctx of handshakes) ctx.request.socket.destroy();
      server.closeAllConnections();
    },
    // The orderly end came first.
    () => undefined,
  );
  const closed = server.listening ? once(server, 'close') : Promise.resolve();
  if (server.listening) server.close();
  for (const ctx of inFlight) closeAfter(ctx);
  const looking = setInterval(() => server.closeIdleConnections(), LOOK);
  server.closeIdleConnections();
  await drain(connections, grace);
  await closed;
  clearInterval(looking);
  // The last exchanges end with events of this turn: what they defer is to be waited for as well.
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

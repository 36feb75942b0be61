import { once } from 'node:events';
import type { Server } from 'node:http';
import { setImmediate as nextTurn, setTimeout as wait } from 'node:timers/promises';
import type { Connections } from '../../live/connections/connections.js';
import { drain } from './draining.js';
import type { Context } from '../exchange/context.js';
import type { InFlight } from '../request/in-flight.js';
import type { Logger } from '../base/logger.js';
import type { TcpConnections } from '../node/tcp-connections.js';

/** Milliseconds between two searches for connections that have become idle. */
const IDLE_INTERVAL = 50;

/** Milliseconds that each piece of deferred or closing work has at least, even after the grace period. */
const MINIMUM = 500;

/** The parts of an application that shut down. */
export interface Closing {
  readonly server: Server;
  readonly sockets: TcpConnections;
  readonly connections: Connections;
  readonly inFlight: InFlight;
  readonly handshakes: InFlight;
  readonly pending: ReadonlySet<Promise<unknown>>;
  readonly logger: Logger;
}

/** Drains connections, waits for what is in flight, and cuts what is open after `grace` milliseconds. */
export async function closeWithin(grace: number, closing: Closing): Promise<GracePeriod> {
  const { server, sockets, connections, inFlight, handshakes, pending, logger } = closing;
  const gracePeriod = new GracePeriod(grace, logger);
  const expiry = setTimeout(() => {
    const open = { exchanges: inFlight.size, handshakes: handshakes.size, connections: connections.count };
    logger.warn(open, 'grace period expired: closing remaining connections');
    connections.terminate();
    sockets.destroy();
  }, grace);
  const closed = server.listening ? once(server, 'close') : Promise.resolve();
  if (server.listening) server.close();
  for (const ctx of inFlight) closeAfterResponse(ctx);
  const idle = setInterval(() => sockets.closeIdle(), IDLE_INTERVAL);
  server.closeIdleConnections();
  await drain(connections, grace);
  await closed;
  clearInterval(idle);
  // The server emits `close` before its sockets do, and their exchanges defer work when they close.
  await nextTurn();
  await nextTurn();
  clearTimeout(expiry);
  if (!(await gracePeriod.holds(settled(pending))))
    logger.warn({ works: pending.size }, 'deferred work did not finish in time');
  return gracePeriod;
}

/** The rest of a grace period, for work that ends last. */
export class GracePeriod {
  readonly #end: number;

  constructor(
    grace: number,
    private readonly logger: Logger,
  ) {
    this.#end = performance.now() + grace;
  }

  /** Whether the work settles within the rest, or within half a second if that is longer. @throws what the work throws */
  async holds(work: Promise<unknown>): Promise<boolean> {
    const abort = new AbortController();
    const rest = Math.max(this.#end - performance.now(), MINIMUM);
    const expired = wait(rest, false, { signal: abort.signal }).catch(() => false);
    try {
      return await Promise.race([work.then(() => true), expired]);
    } finally {
      abort.abort();
    }
  }

  /** Runs work of the application or its services, and logs if it fails or does not finish in time. */
  async end(what: string, end: () => unknown): Promise<void> {
    try {
      const done = await this.holds((async () => end())());
      if (!done) this.logger.error({}, `${what} did not finish in time`);
    } catch (err) {
      this.logger.error({ err }, `${what} failed`);
    }
  }
}

/** Has the response close its connection, which would stay open otherwise. */
function closeAfterResponse({ response }: Context): void {
  if (!response.headersSent) response.shouldKeepAlive = false;
}

async function settled(pending: ReadonlySet<Promise<unknown>>): Promise<void> {
  while (pending.size > 0) await Promise.allSettled(pending);
}

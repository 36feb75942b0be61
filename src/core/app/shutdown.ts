import { once } from 'node:events';
import type { Server } from 'node:http';
import { setImmediate as turn, setTimeout as wait } from 'node:timers/promises';
import type { Connections } from '../../live/connections/connections.js';
import { drain } from './draining.js';
import type { Context } from '../exchange/context.js';
import type { InFlight } from '../request/in-flight.js';
import type { Logger } from '../base/logger.js';
import type { TcpConnections } from '../node/tcp-connections.js';

/** How often connections that have become idle are looked for. */
const LOOK = 50;

/** Milliseconds that what ends last is given at least, however little is left of the grace. */
const LEAST = 500;

/** What is to end, and is given the grace to do so. */
export interface Closing {
  readonly server: Server;
  readonly sockets: TcpConnections;
  readonly connections: Connections;
  readonly inFlight: InFlight;
  readonly handshakes: InFlight;
  readonly pending: ReadonlySet<Promise<unknown>>;
  readonly logger: Logger;
}

/** Ends what is open: told first, waited for as long as the grace lasts, and then cut. Gives what is left of the grace. */
export async function closeWithin(grace: number, closing: Closing): Promise<GracePeriod> {
  const { server, sockets, connections, inFlight, handshakes, pending, logger } = closing;
  const gracePeriod = new GracePeriod(grace, logger);
  const over = new AbortController();
  wait(grace, undefined, { signal: over.signal }).then(
    () => {
      const open = {
        exchanges: inFlight.size,
        handshakes: handshakes.size,
        connections: connections.count,
      };
      logger.warn(open, 'the grace is over: what is open is cut');
      connections.terminate();
      sockets.destroy();
    },
    // The orderly end came first.
    () => undefined,
  );
  const closed = server.listening ? once(server, 'close') : Promise.resolve();
  if (server.listening) server.close();
  for (const ctx of inFlight) closeAfter(ctx);
  const looking = setInterval(() => sockets.closeIdle(), LOOK);
  server.closeIdleConnections();
  await drain(connections, grace);
  await closed;
  clearInterval(looking);
  // The server has closed when its sockets are destroyed. They tell so when the loop closes its handles, between
  // two turns: what the last exchanges defer is to be waited for as well.
  await turn();
  await turn();
  over.abort();
  if (!(await gracePeriod.holds(settled(pending))))
    logger.warn({ works: pending.size }, 'deferred work was given up');
  return gracePeriod;
}

/** What is left of a grace. */
export class GracePeriod {
  readonly #over: number;

  constructor(
    grace: number,
    private readonly logger: Logger,
  ) {
    this.#over = performance.now() + grace;
  }

  /** Whether the work is done within what is left, or half a second where that is more. @throws what the work throws */
  async holds(work: Promise<unknown>): Promise<boolean> {
    const late = new AbortController();
    const limit = Math.max(this.#over - performance.now(), LEAST);
    const patience = wait(limit, false, { signal: late.signal }).catch(() => false);
    try {
      return await Promise.race([work.then(() => true), patience]);
    } finally {
      late.abort();
    }
  }

  /** Ends what is others' work: that it fails or never settles is told, and keeps nothing else from its end. */
  async end(what: string, end: () => unknown): Promise<void> {
    try {
      const done = await this.holds((async () => end())());
      if (!done) this.logger.error({}, `${what} was given up`);
    } catch (err) {
      this.logger.error({ err }, `${what} failed`);
    }
  }
}

/** A kept connection would stay open after its answer. */
function closeAfter({ response }: Context): void {
  if (!response.headersSent) response.shouldKeepAlive = false;
}

async function settled(pending: ReadonlySet<Promise<unknown>>): Promise<void> {
  while (pending.size > 0) await Promise.allSettled(pending);
}

import type { IncomingMessage } from 'node:http';
import type { Context } from './context.js';
import type { HttpError } from './errors.js';
import type { Backlog } from '../live/backlog.js';
import type { Broker } from '../live/broker.js';
import type { Channels } from '../live/channels.js';
import type { Connections } from '../live/connections.js';
import type { Logger } from './logger.js';
import type { KeepAlive } from './response.js';
import type { ShedLoad } from './shed-load.js';
import type { OnError } from './shown-error.js';
import type { Counters } from './stats.js';
import type { Limits, Timeouts } from './options.js';
import type { OriginRule } from './origins.js';

/** What all exchanges of one application share. */
export interface Environment {
  readonly logger: Logger;
  readonly limits: Limits;
  readonly timeouts: Timeouts;
  readonly origins: OriginRule;
  readonly broker: Broker;
  readonly channels: Channels;
  readonly counters: Counters;
  /** The log of what limits of ours have refused. */
  readonly shed: ShedLoad;
  /** Node's server, as it is set now. */
  readonly server: KeepAlive;
  readonly connections: Connections;
  /** The readers for whom much waits. */
  readonly backlog: Backlog;
  /** By which id the user of an exchange is known; undefined for nobody. */
  userId(context: Context): string | undefined;
  /** Logs that the user of an exchange, which is about to open a connection, cannot be named. */
  reportUnnamed(context: Context): void;
  /** The address of the client, behind the proxies that are trusted. */
  address(request: IncomingMessage): string;
  /** Whether the client's side of the connection is encrypted, by TLS or by a trusted proxy's word. */
  secure(request: IncomingMessage): boolean;
  /** The authority that the client asked for: `Host`, or a trusted proxy's `X-Forwarded-Host`. */
  host(request: IncomingMessage): string | undefined;
  /** Whether a peer, so many hops away, is trusted to tell of its client. */
  trust(address: string, hop: number): boolean;
  /** Whether any is. */
  readonly trustsProxies: boolean;
  /**
   * Tells of an error: the route's `onError`, the application's, then the log. Gives what the client may see of it,
   * later where an `onError` is asynchronous.
   */
  report(error: unknown, context: Context, onError?: OnError): HttpError | Promise<HttpError>;
  /** Counts work that outlives its exchange, so that `close()` waits for it. */
  pending(work: Promise<unknown>): void;
}

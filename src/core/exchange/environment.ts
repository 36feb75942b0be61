import type { IncomingMessage } from 'node:http';
import type { Logger } from '../base/logger.js';
import type { KeepAlive } from '../node/response.js';
import type { ShedLoad } from './shed-load.js';
import type { Limits, Timeouts } from './limits.js';

/**
 * What all exchanges of one application share. Files that stand above this one add what is theirs to it, by a
 * declaration of their own.
 */
export interface Environment {
  readonly logger: Logger;
  readonly limits: Limits;
  readonly timeouts: Timeouts;
  readonly counters: Counters;
  /** The log of what limits of ours have refused. */
  readonly shed: ShedLoad;
  /** Node's server, as it is set now. */
  readonly server: KeepAlive;
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
  /** Stands for all revocations until now. */
  readonly lastRevocation: object;
  /** Counts work that outlives its exchange, so that `close()` waits for it. */
  pending(work: Promise<unknown>): void;
}

/** Counts since the start, for operators; incremented where the thing happens. */
export class Counters {
  /** Messages that sockets have sent us. */
  messagesIn = 0;
  /** Events and messages that were written to connections. */
  messagesOut = 0;
  /** Upgrades and streams that were answered otherwise. */
  refused = 0;
  /** Connections that have been open. */
  opened = 0;
}

import type { Context } from '../../core/exchange/context.js';
import { closeReason, HttpError, LimitReached } from '../../core/base/errors.js';
import type { Limits } from '../../core/exchange/limits.js';
import { connectionClosed, connectionOpened } from '../../core/exchange/tracing.js';
import { Connection } from './connection.js';
import type { Heartbeat, Slot } from './heartbeat.js';
import { messageOf } from '../encoding/message.js';
import { EncodedMessage } from '../encoding/encoded-message.js';
import { Revocation, targetOf, type Revocable, type RevokeTarget } from './revocations.js';
import { Session } from '../../core/exchange/session.js';
import { mustBeId, type UserId } from './user-id.js';

declare module '../../core/exchange/environment.js' {
  interface Environment {
    readonly connections: Connections;
    /** The id of the request's user; undefined without a user. */
    userId(context: Context): string | undefined;
    /** Logs that the user of a request that opens a connection has no usable id. */
    reportUnnamed(context: Context): void;
  }
}

/** The part of a broker that carries revocations between processes. */
interface RevocationCarrier {
  revoke(target: RevokeTarget, reason: string): void | Promise<void>;
  onRevoke(listener: (target: RevokeTarget, reason: string) => void): void;
}

/** Ends the connections that read a channel. */
interface ChannelReaders {
  revoke(channel: string, reason: string): void;
}

/** A connection that is about to open. It is registered already, so that nothing that ends it meanwhile is missed. */
export interface Admission {
  /** Ends the admission: the connection does not open after all. */
  withdraw(): void;
}

/**
 * The open connections of this process, streamed responses included. Inject it to list who is connected, to send to a user, and to
 * disconnect one.
 *
 * @example
 * ```ts
 * constructor(private readonly connections: Connections) {}
 *
 * async lock(id: string) {
 *   this.connections.send(id, 'your account is locked');
 *   await this.connections.revoke({ user: id }, 'locked');
 * }
 * ```
 */
export class Connections implements Iterable<Connection> {
  readonly #open = new Set<Connection>();
  readonly #byUser = new Map<string, Set<Entry>>();
  readonly #bySession = new Map<string, Set<Entry>>();
  readonly #byAddress = new Map<string, Set<Entry>>();
  /** Closed, and not gone yet: their readers take nothing, not even the close frame. */
  readonly #lingering = new Set<Connection>();
  #entries = 0;
  #lastRevocation = new Revocation(undefined, '');
  #draining = false;

  /** @internal */
  constructor(
    private readonly heartbeat: Heartbeat,
    private readonly broker: RevocationCarrier,
    private readonly limits: Limits,
    private readonly channels: ChannelReaders,
  ) {
    broker.onRevoke((target, reason) => this.revokeHere(target, reason));
  }

  /** The number of open connections in this process. */
  get count(): number {
    return this.#open.size;
  }

  [Symbol.iterator](): Iterator<Connection> {
    return this.#open.keys();
  }

  /** The open connection with that id. */
  get(id: string): Connection | undefined {
    for (const connection of this.#open.keys()) if (connection.knownId === id) return connection;
    return undefined;
  }

  /** The connections of a user, by the user's id or its text. @throws TypeError for a value that cannot be an id */
  of(userId: UserId): Connection[] {
    return [...(this.#byUser.get(mustBeId(userId)) ?? [])].flatMap(({ connection }) => connection ?? []);
  }

  /**
   * Sends a value to all connections of a user in this process, and returns their number.
   *
   * @throws what an encoder threw, after connections of other formats have received the value; RangeError for a value of more
   * than `limits.value` bytes, which no connection receives
   */
  send(userId: UserId, value: unknown): number {
    const outboxes = this.of(userId).flatMap(({ kind, outbox }) => (kind === 'http' ? [] : outbox));
    const encoded = new EncodedMessage(messageOf(value), this.limits.value);
    if (!encoded.isTooLarge(outboxes)) for (const outbox of outboxes) outbox.deliver(encoded);
    if (encoded.failure !== undefined) throw encoded.failure.error;
    return outboxes.length;
  }

  /**
   * Ends the connections of a user or of a session, one connection, or those that read a channel, in all processes: 3000
   * for sockets, an `end` event for streams; streamed responses are cut. A connection that is about to open is refused with 401; who
   * asks afterwards is decided anew. Whoever was given the channel by `@Channel` before may no longer read it: 401.
   *
   * @param reason sent to the clients, cut to the 123 bytes that a close frame holds
   * @throws TypeError for a target that does not name exactly one thing; what the broker throws, after the connections of this
   * process have ended
   */
  async revoke(target: Revocable, reason = 'revoked'): Promise<void> {
    const named = targetOf(target);
    try {
      await this.broker.revoke(named, reason);
    } catch (error) {
      // A broker that fails keeps no connection of this process open.
      this.revokeHere(named, reason);
      throw error;
    }
  }

  /** @internal Ends the connections of this process that the target names. */
  revokeHere(target: RevokeTarget, reason: string): void {
    const text = closeReason(reason);
    if ('channel' in target) return this.channels.revoke(target.channel, text);
    const revocation = new Revocation(target, text);
    this.#lastRevocation.next = revocation;
    this.#lastRevocation = revocation;
    for (const connection of this.#named(target)) connection.close(3000, text);
  }

  /** @internal An exchange keeps it while it may still open a connection. */
  get lastRevocation(): Revocation {
    return this.#lastRevocation;
  }

  /** @internal The revocation that names an exchange, if there was one since it began. */
  revocationOf(ctx: Context): Revocation | undefined {
    const { since } = ctx;
    if (!(since instanceof Revocation) || since.next === undefined) return undefined;
    const connection = ctx.connection instanceof Connection ? ctx.connection.knownId : undefined;
    return since.firstSince({ user: ctx.environment.userId(ctx), session: sessionOf(ctx)?.id, connection });
  }

  /** @internal @throws HttpError 401 for an exchange that was revoked since it began. */
  mustNotBeRevoked(ctx: Context): void {
    if (this.revocationOf(ctx) !== undefined)
      throw new HttpError(401, 'The session has ended', { code: 'SESSION_ENDED' });
  }

  /**
   * @internal Registers a connection before it opens.
   * @throws HttpError 429 or 503 where there are too many.
   */
  admit(ctx: Context): Admission {
    this.mustBeOpen();
    const { connections, connectionsPerUser, connectionsPerAddress } = this.limits;
    const user = ctx.environment.userId(ctx);
    if (user === undefined) ctx.environment.reportUnnamed(ctx);
    const session = sessionOf(ctx);
    this.mustNotBeRevoked(ctx);
    if (this.#entries >= connections) throw tooMany(503, 'Too many connections are open');
    const ofUser = user === undefined ? 0 : (this.#byUser.get(user)?.size ?? 0);
    if (ofUser >= connectionsPerUser) throw tooMany(429, 'The user has too many connections open');
    // Addresses are only looked up where they are counted: idle connections are many.
    const address = connectionsPerAddress === Infinity ? undefined : ctx.ip;
    const ofAddress = address === undefined ? 0 : (this.#byAddress.get(address)?.size ?? 0);
    if (ofAddress >= connectionsPerAddress)
      throw tooMany(429, 'Too many connections are open from the address');
    const entry = new Entry(user, session?.id, address, this);
    entry.unwatch = session?.watch();
    this.#entries++;
    put(this.#byUser, user, entry);
    put(this.#bySession, entry.session, entry);
    put(this.#byAddress, address, entry);
    return entry;
  }

  /** @internal @throws HttpError 503 once nothing may open any more. */
  mustBeOpen(): void {
    if (this.#draining) throw tooMany(503, 'The server is going down');
  }

  /** @internal Refuses connections from now on. */
  drain(): void {
    this.#draining = true;
  }

  /** @internal The connection is open. */
  add(connection: Connection, admission: Admission): void {
    // It may have ended while its head was sent: it would stay registered for ever.
    if (connection.closed !== undefined) return admission.withdraw();
    const entry = admission as Entry;
    entry.connection = connection;
    entry.slot = this.heartbeat.add(connection);
    connection.entry = entry;
    this.#open.add(connection);
    const { context } = connection;
    const { deadline, environment } = context;
    environment.counters.opened++;
    if (connectionOpened.hasSubscribers) connectionOpened.publish({ connection });
    if (deadline !== undefined) connection.expires(deadline);
    const revocation = this.revocationOf(context);
    context.since = undefined;
    if (revocation !== undefined) connection.close(3000, revocation.reason);
  }

  /** @internal The connection is over before its peer has gone. */
  linger(connection: Connection): void {
    this.#lingering.add(connection);
  }

  /** @internal The peer has gone. */
  gone(connection: Connection): void {
    this.#lingering.delete(connection);
  }

  /** @internal Cuts all that is open or lingers. */
  terminate(): void {
    for (const connections of [this.#open, this.#lingering]) {
      for (const connection of connections) connection.terminate();
    }
  }

  /** @internal The connection has renewed its credentials: it ends with its new session, not with the old one. */
  renewed(connection: Connection): void {
    const { entry } = connection;
    if (!(entry instanceof Entry)) return;
    const session = sessionOf(connection.context);
    const { unwatch } = entry;
    take(this.#bySession, entry.session, entry);
    entry.session = session?.id;
    entry.unwatch = session?.watch();
    put(this.#bySession, entry.session, entry);
    unwatch?.();
  }

  /** @internal The entry is withdrawn, or its connection is over. */
  forget(entry: Entry): void {
    const { connection } = entry;
    if (connection !== undefined && this.#open.delete(connection) && connectionClosed.hasSubscribers) {
      connectionClosed.publish({ connection });
    }
    this.#entries--;
    entry.unwatch?.();
    take(this.#byUser, entry.user, entry);
    take(this.#bySession, entry.session, entry);
    take(this.#byAddress, entry.address, entry);
  }

  #named(target: Exclude<RevokeTarget, { channel: string }>): Connection[] {
    if ('connection' in target) return [this.get(target.connection) ?? []].flat();
    const entries = 'user' in target ? this.#byUser.get(target.user) : this.#bySession.get(target.session);
    return [...(entries ?? [])].flatMap(({ connection }) => connection ?? []);
  }
}

class Entry implements Admission {
  connection: Connection | undefined = undefined;
  /** Its slot in the heartbeat. */
  slot: Slot | undefined = undefined;
  /** Stops watching its session: the connection ends when the session does, used or not. */
  unwatch: (() => void) | undefined = undefined;

  constructor(
    readonly user: string | undefined,
    public session: string | undefined,
    readonly address: string | undefined,
    /** Where it is registered, until it is withdrawn. */
    private index: Connections | undefined,
  ) {}

  closed(): void {
    this.withdraw();
  }

  withdraw(): void {
    const { index, connection } = this;
    if (index === undefined) return;
    this.index = undefined;
    if (connection !== undefined) this.slot?.delete(connection);
    index.forget(this);
  }
}

function sessionOf(ctx: Context): Session | undefined {
  const { session } = ctx as { session: unknown };
  return session instanceof Session && session.exists ? session : undefined;
}

function put(index: Map<string, Set<Entry>>, key: string | undefined, entry: Entry): void {
  if (key === undefined) return;
  const entries = index.get(key);
  if (entries === undefined) index.set(key, new Set([entry]));
  else entries.add(entry);
}

function take(index: Map<string, Set<Entry>>, key: string | undefined, entry: Entry): void {
  if (key === undefined) return;
  const entries = index.get(key);
  entries?.delete(entry);
  if (entries?.size === 0) index.delete(key);
}

function tooMany(status: 429 | 503, detail: string): HttpError {
  return new LimitReached(status, detail, { code: 'TOO_MANY_CONNECTIONS', headers: { 'retry-after': '5' } });
}

import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { closeCode, HttpError } from '../../core/base/errors.js';
import type { RegisteredUser } from '../../core/base/registered-types.js';
import type { Context, Kind } from '../../core/exchange/context.js';
import type { Outcome } from '../../core/exchange/outcome.js';
import { timeOf } from '../../core/exchange/open-connection.js';
import { Session } from '../../core/exchange/session.js';
import { known } from '../../core/exchange/shown-error.js';
import { Pulse } from './heartbeat.js';
import type { Outbox } from './outbox.js';

/** Why a connection ended: a close code (RFC 6455, section 7.4), for streams too. */
export interface CloseReason {
  code: number;
  reason: string;
}

/** Follows a connection until it is over. */
export interface Follower {
  /** The reader has caught up, as `outbox.requestDrain` has asked for. */
  drained?(connection: Connection): void;
  /** The reader takes nothing. True if the follower drops messages, so that the connection need not be closed. */
  stalled?(connection: Connection): boolean;
  closed(connection: Connection): void;
}

/** A timer cannot wait longer: 2^31 - 1 milliseconds. */
const LONGEST_TIMER = 0x7fffffff;

/** Times are kept as milliseconds since the process began: small numbers, which need no object of their own. */
const BEGAN = Date.now();

/** An open connection: an event stream, a socket or a streamed response. */
export abstract class Connection {
  /** `sse` or `websocket`; `http` for a streamed response. */
  abstract get kind(): Kind;
  /** Code and reason of its end; `undefined` while it is open. */
  closed: CloseReason | undefined = undefined;
  /** @internal */
  abstract readonly outbox: Outbox;
  /** @internal */
  readonly pulse = new Pulse();
  /** @internal Its entry in `Connections`. */
  entry: { closed(): void } | undefined = undefined;
  /** @internal How this side closes it, while the close takes its time. */
  farewell: CloseReason | undefined = undefined;

  readonly #opened = Date.now() - BEGAN;
  #id: string | undefined = undefined;
  /** Most connections have one, for which a set would weigh as much as the connection. */
  #followers: Follower | Set<Follower> | undefined = undefined;
  #deadline: NodeJS.Timeout | undefined = undefined;
  /** Channels that calls have subscribed it to, by name: how `renew()` asks again, and how many subscriptions there are. */
  #admitted: Map<string, { admit: (fresh: Context) => unknown; count: number }> | undefined = undefined;
  /** @internal */
  constructor(
    /** The exchange that opened it. */
    readonly context: Context,
  ) {}

  /** The id of the connection, for `connections.get(id)`: a random UUID. */
  get id(): string {
    return (this.#id ??= randomUUID());
  }

  /** @internal The id, if it was read before: no client can know it otherwise. */
  get knownId(): string | undefined {
    return this.#id;
  }

  /** When it was opened, in milliseconds since the epoch. */
  get opened(): number {
    return BEGAN + this.#opened;
  }

  /** The user of the exchange that opened it, or that `renew()` has found since. */
  get user(): RegisteredUser | undefined {
    return this.context.user;
  }

  /** The text of the user's id; `undefined` for a user without one. See `AppOptions.userId`. */
  get userId(): string | undefined {
    return this.context.environment.userId(this.context);
  }

  /** @internal Whether its messages carry cursors, so that the reader can resume. */
  get resumable(): boolean {
    return false;
  }

  /** @internal The cursor from which the reader resumes. */
  get cursor(): string | undefined {
    return undefined;
  }

  /** The number of bytes that wait for the reader. */
  get buffered(): number {
    return this.outbox.waiting;
  }

  /** Whether the reader is so far behind that you should wait for `drained()` before you send more. */
  get needsDrain(): boolean {
    return this.outbox.needsDrain;
  }

  /**
   * Sends a value: an event, or a message. Returns false if the reader is behind. The bytes of a Blob are read after
   * everything before it was sent, and what is sent after it waits for them.
   * A reader that takes nothing while more than `limits.buffered` waits for it is disconnected: 1013, or the end of the
   * stream.
   * @throws TypeError for a value that has no JSON form; RangeError for one of more than `limits.value` bytes.
   */
  send(value: unknown): boolean {
    return this.outbox.send(value);
  }

  /**
   * Resolves when the reader has caught up, or when the connection has ended. Before the head of a stream is sent it resolves at
   * once, and what is sent waits within `limits.buffered`.
   */
  drained(): Promise<void> {
    return this.outbox.drained();
  }

  /** Ends the connection, with 1000 by default; what was sent before still arrives. */
  abstract close(code?: number, reason?: string): void;

  /**
   * Ends the connection at `date`, with 3000, for example when the token expires.
   *
   * @throws TypeError for anything but a valid Date
   */
  expires(date: Date): void {
    const time = timeOf(date);
    clearTimeout(this.#deadline);
    if (this.closed !== undefined) return;
    const wait = Math.min(Math.max(time - Date.now(), 0), LONGEST_TIMER);
    this.#deadline = setTimeout(() => {
      if (time <= Date.now()) this.close(3000, 'expired');
      else this.expires(date);
    }, wait);
    this.#deadline.unref();
  }

  /** The middleware of the route, which `renew()` runs again; undefined where credentials cannot be renewed. */
  protected get guard(): ((ctx: Context) => Outcome | PromiseLike<Outcome>) | undefined {
    return undefined;
  }

  /**
   * Refreshes the credentials without a reconnect: runs the middleware of the route again with the given header fields. The user
   * and the deadline that it finds replace those of the connection, and `authorize` decides anew on the channels that its method
   * takes and that its calls have subscribed it to. If the middleware rejects, or finds another user, the connection ends.
   *
   * @param headers fields that replace those of the request: `authorization` or `cookie`
   * @throws HttpError the rejection of the middleware; 403 for another user; 401 if the session or the connection has ended
   */
  async renew(headers: Readonly<IncomingHttpHeaders>): Promise<void> {
    const { context, userId, user } = this;
    const { connections } = context.environment;
    const fresh = context.withHeaders(headers);
    try {
      const outcome = await this.guard?.(fresh);
      if (outcome?.type !== 'answered')
        throw new HttpError(fresh.explicitStatus >= 400 ? fresh.explicitStatus : 401);
      for (const { admit } of this.#admitted?.values() ?? []) await admit(fresh);
      if (context.environment.userId(fresh) !== userId || (userId === undefined && fresh.user !== user))
        throw new HttpError(403, "The connection is another user's", { code: 'USER_CHANGED' });
      connections.mustNotBeRevoked(fresh);
    } catch (error) {
      const refusal = known(error);
      this.close(refusal ? closeCode(refusal) : 1011, 'the credentials were refused');
      throw error;
    } finally {
      fresh.end();
    }
    this.#mustBeOpen();
    context.copyIdentity(fresh);
    clearTimeout(this.#deadline);
    if (fresh.deadline !== undefined) this.expires(fresh.deadline);
    connections.renewed(this);
    // As at the handshake: registered first, then verified, so that a session that ends meanwhile is not missed.
    const { session } = fresh as { session: unknown };
    if (!(session instanceof Session) || (await session.verify())) return this.#mustBeOpen();
    this.close(3000, 'the session has ended');
    throw new HttpError(401, 'The session has ended', { code: 'SESSION_ENDED' });
  }

  /** @internal Remembers that a call has admitted it to a channel: `renew()` asks again until each subscription has ended. */
  admittedBy(channel: string, admit: (fresh: Context) => unknown, end: () => void): () => void {
    const admissions = (this.#admitted ??= new Map());
    const admission = admissions.get(channel) ?? { admit, count: 0 };
    admission.count++;
    admissions.set(channel, admission);
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      if (--admission.count === 0) admissions.delete(channel);
      end();
    };
  }

  /** @throws HttpError 401 where the connection has ended while its credentials were renewed. */
  #mustBeOpen(): void {
    if (this.outbox.sealed)
      throw new HttpError(401, 'The connection has ended', { code: 'CONNECTION_ENDED' });
  }

  /** @internal */
  follow(follower: Follower): void {
    const followers = this.#followers;
    if (followers === undefined) this.#followers = follower;
    else if (followers instanceof Set) followers.add(follower);
    else this.#followers = new Set([followers, follower]);
  }

  /** @internal */
  unfollow(follower: Follower): void {
    if (this.#followers instanceof Set) this.#followers.delete(follower);
    else if (this.#followers === follower) this.#followers = undefined;
  }

  /** @internal */
  onDrain(): void {
    for (const follower of this.#following()) follower.drained?.(this);
  }

  /** @internal */
  onStalled(): void {
    let dropped = false;
    for (const follower of this.#following()) if (follower.stalled?.(this) === true) dropped = true;
    if (!dropped) this.onOverflow();
  }

  /** @internal Closes the connection because too many bytes wait for the reader. */
  abstract onOverflow(): void;

  /** @internal */
  onSendError(error: unknown): void {
    void this.context.environment.report(error, this.context);
    this.terminate();
  }

  /** @internal Asks the peer for a sign of life. False if there was none since the last heartbeat. */
  abstract beat(interval: number): boolean;

  /** @internal Cuts the connection, without a close handshake. */
  abstract terminate(): void;

  /** @internal The connection is over. */
  finish(reason: CloseReason): void {
    if (this.closed !== undefined) return;
    this.closed = reason;
    this.outbox.end();
    clearTimeout(this.#deadline);
    const followers = this.#following();
    this.#followers = undefined;
    for (const follower of followers) {
      try {
        follower.closed(this);
      } catch (error) {
        // One that fails keeps neither the others nor the index from learning of the end.
        void this.context.environment.report(error, this.context);
      }
    }
    this.entry?.closed();
  }

  #following(): Iterable<Follower> {
    const followers = this.#followers;
    if (followers === undefined) return [];
    return followers instanceof Set ? followers : [followers];
  }
}

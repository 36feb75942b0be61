import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { Writable } from 'node:stream';
import { isBlob } from '../../core/base/bytes.js';
import type { Context, Kind } from '../../core/exchange/context.js';
import type { Outcome } from '../../core/exchange/outcome.js';
import { timeOf } from '../../core/exchange/open-connection.js';
import { closeCode, HttpError } from '../../core/base/errors.js';
import { known } from '../../core/exchange/shown-error.js';
import type { RegisteredUser } from '../../core/base/registered-types.js';
import type { Format } from '../encoding/format.js';
import { joined, tooLarge, type Frame } from '../encoding/frame.js';
import { Message, messageOf } from '../encoding/message.js';
import { Session } from '../../core/exchange/session.js';
import { EncodedMessage } from '../encoding/encoded-message.js';
import { SendQueue, type SendStep } from './send-queue.js';
import { bytesAccepted, bytesReceived, isBlocked } from '../../core/node/tcp-progress.js';
import { flushSoon } from './tick.js';

/** Why a connection ended: a close code (RFC 6455, section 7.4), for streams too. */
export interface CloseReason {
  code: number;
  reason: string;
}

/** What follows a connection. */
export interface Follower {
  /** The reader has caught up, as `notify` has asked for. */
  drained?(connection: Connection): void;
  /** The reader takes nothing. True if what waits for it beyond its limit is dropped instead of the reader. */
  stalled?(connection: Connection): boolean;
  /** The connection is over. */
  closed(connection: Connection): void;
}

/** From how many waiting bytes on a reader counts as behind; from half of `limits.buffered` on where that is less. */
const HIGH_WATER = 65_536;

/** Bytes a second that count as a slow line, and what our own ping has. */
const SLOW_LINE = 4_000;
const PING_BYTES = 2;

const READY: Promise<void> = Promise.resolve();

/** Times are kept as milliseconds since the process began: small numbers, which need no object of their own. */
const BEGAN = Date.now();

/** What stays open after the head: an event stream or a socket. */
export abstract class Connection {
  /** `sse` or `websocket`; `http` for a streamed response. */
  abstract get kind(): Kind;
  /** Code and reason of its end; `undefined` while it is open. */
  closed: CloseReason | undefined = undefined;
  /** @internal Whether the peer has shown a sign of life since the last heartbeat. */
  alive = true;
  /** @internal Its entry in the index: every connection has one, so it does not follow as others do. */
  entry: { closed(): void } | undefined = undefined;
  /** @internal Bytes that its subscriptions keep for it until it has caught up. */
  held = 0;
  /** How this side has decided to end it, where that takes its time: nothing more is sent. */
  protected farewell: CloseReason | undefined = undefined;

  readonly #opened = Date.now() - BEGAN;
  #id: string | undefined = undefined;
  #pending: Frame | Frame[] | undefined = undefined;
  #pendingBytes = 0;
  /** What waits for a Blob that was sent before it. */
  #later: SendQueue | undefined = undefined;
  /** At the last heartbeat: bytes that had come, bytes that the system had accepted, and whether more waited. */
  #receivedAtBeat = 0;
  #takenAtBeat = 0;
  #blockedAtBeat = false;
  /** Bytes that may still be on their way to the peer although the system has accepted them. */
  #underway = 0;
  #ready = false;
  #corked = false;
  /** Whether somebody is to be told when the reader has caught up, and whether that is waited for already. */
  #drain: 'nobody' | 'wanted' | 'awaited' = 'nobody';
  /** Most have one, for which a set would weigh as much as the connection. */
  #followers: Follower | Set<Follower> | undefined = undefined;
  #deadline: NodeJS.Timeout | undefined = undefined;
  /** Channels that calls have subscribed it to, by name: how `renew()` asks again, and how many subscriptions there are. */
  #admitted: Map<string, { admit: (fresh: Context) => unknown; count: number }> | undefined = undefined;

  constructor(
    /** The exchange that opened it. */
    readonly context: Context,
    /** @internal */ readonly format: Format,
  ) {}

  /** The id of the connection, for `connections.get(id)`: a random UUID. */
  get id(): string {
    return (this.#id ??= randomUUID());
  }

  /** @internal The id, if anybody has asked for it: nobody else can know it. */
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

  /** @internal Whether its messages carry cursors, so that the reader can come back to where it was. */
  get resumable(): boolean {
    return false;
  }

  /** @internal The cursor with which the reader has come back. */
  get cursor(): string | undefined {
    return undefined;
  }

  /** The number of bytes that wait for the reader. */
  get buffered(): number {
    return this.queued + this.held;
  }

  /** Whether the reader is so far behind that you should wait for `drained()` before sending more. */
  get behind(): boolean {
    return this.queued >= this.highWater;
  }

  /** @internal From how many queued bytes on the reader is behind. */
  get highWater(): number {
    return Math.min(HIGH_WATER, this.#limit / 2);
  }

  /** @internal How many bytes the reader has taken so far. */
  taken(): number {
    return bytesAccepted(this.sink);
  }

  /** @internal Whether it is the reader that holds up what waits. */
  blocked(): boolean {
    return isBlocked(this.sink);
  }

  /** @internal The reader takes nothing: its policies drop what waits beyond its limit, or it is given up. */
  stalled(): void {
    let dropped = false;
    for (const follower of this.#following()) if (follower.stalled?.(this) === true) dropped = true;
    if (!dropped) this.overflow();
  }

  /** How many bytes may wait for the reader while it takes nothing. */
  get #limit(): number {
    return this.context.environment.limits.buffered;
  }

  /** Whether nothing more is sent. */
  protected get over(): boolean {
    return this.closed !== undefined || this.farewell !== undefined;
  }

  /** Bytes that are on their way already. */
  protected get queued(): number {
    return this.unwritten + this.sink.writableLength;
  }

  /**
   * Sends a value: an event, or a message. False says that the reader is behind. The bytes of a Blob are read when its turn
   * comes, and what is sent after it waits for them.
   * A reader that takes nothing while more than `limits.buffered` waits for it is given up: 1013, or the end of the
   * stream.
   * @throws TypeError for a value that has no JSON form; RangeError for one of more than `limits.value` bytes.
   */
  send(value: unknown): boolean {
    if (this.over) return false;
    if (isBlob(value instanceof Message ? value.value : value)) return this.sendBlob(value);
    const frame = this.format.frame(this.payloadOf(value));
    const { limits } = this.context.environment;
    if (frame.length > limits.value) throw tooLarge(frame.length, limits.value);
    return this.write(frame);
  }

  protected payloadOf(value: unknown): string | Uint8Array {
    return value instanceof Message ? this.format.payload(value) : this.format.plain(value);
  }

  protected sendBlob(value: unknown): boolean {
    const { limits } = this.context.environment;
    const encoded = new EncodedMessage(messageOf(value), limits.value, (error) => this.failed(error));
    if (encoded.isTooLarge([])) throw encoded.failure?.error;
    return this.#sendLater(encoded);
  }

  /** @internal Sends what is sent to many: it is encoded once for all of one format. */
  deliver(encoded: EncodedMessage): void {
    if (encoded.unread) return void this.#sendLater(encoded);
    const frame = encoded.frame(this.format);
    if (frame !== undefined) this.write(frame);
  }

  /** @internal Delivers where the reader keeps up. False says that it was not sent. */
  offer(encoded: EncodedMessage): boolean {
    const frame = encoded.unread ? '' : encoded.frame(this.format);
    if (frame === undefined || this.over) return true;
    if (this.behind) return false;
    if (encoded.unread) this.#sendLater(encoded);
    else this.write(frame);
    return true;
  }

  /** Sends a Blob once its bytes are there. */
  #sendLater(encoded: EncodedMessage): boolean {
    return this.inTurn({
      bytes: encoded.blobSize ?? 0,
      read: () => encoded.read(),
      run: () => this.release(encoded),
    });
  }

  /** The turn of a message has come, of which the bytes had to be waited for. */
  protected release(encoded: EncodedMessage): void {
    const frame = encoded.frame(this.format);
    if (frame !== undefined) this.#gather(frame);
  }

  /** @internal Sends in its turn what nothing may overtake, within what may wait. False says that the reader is behind. */
  inTurn(step: SendStep): boolean {
    const queued = this.queued + step.bytes;
    const isBehind = queued >= this.highWater;
    if (this.over || (isBehind && !this.grows(step.bytes, queued))) {
      step.cancel?.();
      return false;
    }
    this.#queue.add(step);
    return !isBehind;
  }

  get #queue(): SendQueue {
    return (this.#later ??= new SendQueue(() => {
      this.#later = undefined;
      if (this.#drain === 'wanted' && this.#pending === undefined) this.#awaitDrain();
    }));
  }

  /** @internal Whether a Blob is read: what is sent now waits for it. */
  get isReading(): boolean {
    return this.#later !== undefined;
  }

  /** @internal Ends the conversation when what was sent before has gone; what cannot be read in time is not waited for. */
  leaveInTurn(leave: () => void): void {
    if (this.#later === undefined) return leave();
    const cut = setTimeout(() => this.terminate(), this.context.environment.timeouts.close).unref();
    const cancel = (): void => clearTimeout(cut);
    const run = (): void => {
      cancel();
      leave();
    };
    this.#later.add({ bytes: 0, run, cancel });
  }

  /**
   * Resolves when the reader has caught up, or when the connection has ended. Before the head of a stream is sent it resolves at
   * once, and what is sent waits within `limits.buffered`.
   */
  drained(): Promise<void> {
    // The head waits for the method: who awaited the reader there would wait for itself.
    if (this.closed !== undefined || !this.#ready) return READY;
    this.flush();
    // Whoever has more for it, and nothing else to wait for, waits until it is closed: what is sent meanwhile is dropped.
    const isLeaving = this.farewell !== undefined;
    if (!this.behind && !isLeaving) return READY;
    return new Promise((resolve) => {
      const done = (): void => {
        this.unfollow(waiter);
        resolve();
      };
      const waiter: Follower = isLeaving ? { closed: done } : { drained: done, closed: done };
      this.follow(waiter);
      this.notify();
    });
  }

  /** @internal Asks that those who follow be told when the reader has caught up; once. */
  notify(): void {
    if (this.#drain === 'nobody') this.#drain = 'wanted';
    // What is written later in this turn is waited for as well.
    if (this.#pending === undefined && this.#later === undefined) this.#awaitDrain();
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
    // A timer cannot wait longer than 2^31 - 1 milliseconds: a later deadline is looked at again.
    const wait = Math.min(Math.max(time - Date.now(), 0), 0x7fffffff);
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
    const fresh = context.withHeaders(headers);
    try {
      const outcome = await this.guard?.(fresh);
      if (outcome?.type !== 'answered')
        throw new HttpError(fresh.explicitStatus >= 400 ? fresh.explicitStatus : 401);
      for (const { admit } of this.#admitted?.values() ?? []) await admit(fresh);
      if (context.environment.userId(fresh) !== userId || (userId === undefined && fresh.user !== user))
        throw new HttpError(403, "The connection is another user's", { code: 'USER_CHANGED' });
      context.environment.connections.mustNotBeRevoked(fresh);
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
    context.environment.connections.renewed(this);
    // As at the handshake: known first, then read anew, so that a session that ends meanwhile is not missed.
    const { session } = fresh as { session: unknown };
    if (!(session instanceof Session) || (await session.verify())) return this.#mustBeOpen();
    this.close(3000, 'the session has ended');
    throw new HttpError(401, 'The session has ended', { code: 'SESSION_ENDED' });
  }

  /** @internal Reads a channel because a call may: `renew()` asks again, until each subscription has been ended. */
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
    if (this.over) throw new HttpError(401, 'The connection has ended', { code: 'CONNECTION_ENDED' });
  }

  /** @internal Writes bytes that are framed already, in one write with all others of this turn. */
  write(frame: Frame): boolean {
    if (this.over) return false;
    const queued = this.queued + frame.length;
    const isBehind = queued >= this.highWater;
    if (isBehind && !this.grows(frame.length, queued)) return false;
    if (this.#later === undefined) this.#gather(frame);
    else this.#later.add({ bytes: frame.length, run: () => this.#gather(frame) });
    return !isBehind;
  }

  /** Writes what belongs to no message, between those that are sent: it waits for none. */
  protected interject(frame: Frame): void {
    if (this.#later === undefined) this.write(frame);
    else if (!this.over) this.#gather(frame);
  }

  /** More than a little will wait for the reader. False says that it is given up. */
  protected grows(bytes: number, queued: number): boolean {
    if (this.context.environment.backlog.grows(this, bytes, queued + this.held)) return true;
    if (!this.over) this.overflow();
    return false;
  }

  #gather(frame: Frame): void {
    if (this.#pending === undefined) {
      this.#pending = frame;
      if (this.#ready && !this.#corked) flushSoon(this);
    } else if (Array.isArray(this.#pending)) {
      this.#pending.push(frame);
    } else {
      this.#pending = [this.#pending, frame];
    }
    this.#pendingBytes += frame.length;
    this.context.environment.counters.messagesOut++;
  }

  /** @internal Bytes that are gathered, and not written yet. */
  get unwritten(): number {
    return this.#later === undefined ? this.#pendingBytes : this.#pendingBytes + this.#later.bytes;
  }

  /** @internal What is written until `uncork` waits for it, and leaves at once then. */
  cork(): void {
    this.#corked = true;
  }

  /** @internal */
  uncork(): void {
    this.#corked = false;
    this.flush();
  }

  /** @internal Writes what this turn has gathered. */
  flush(): void {
    const pending = this.#pending;
    if (pending === undefined || !this.#ready) return;
    this.#pending = undefined;
    this.#pendingBytes = 0;
    if (!this.sink.destroyed) this.transmit(Array.isArray(pending) ? joined(pending) : pending);
    if (this.#drain === 'wanted' && this.#later === undefined) this.#awaitDrain();
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

  /** @internal A sign of life is asked for; false says that none came since the last time. */
  abstract beat(interval: number): boolean;

  /**
   * Whether the peer has shown a sign of life since the last heartbeat, `interval` milliseconds ago: bytes have come, or
   * of those that waited some were taken. Our own pings do not count: the system accepts what little there is for a
   * peer that is gone, too. What it has accepted of a large message takes its time on a slow line, and an answer to a
   * ping behind it likewise.
   */
  protected progressed(interval: number): boolean {
    const { sink } = this;
    const [received, taken, blocked] = [bytesReceived(sink), bytesAccepted(sink), isBlocked(sink)];
    const accepted = taken - this.#takenAtBeat;
    const heard = received !== this.#receivedAtBeat;
    const sent = heard ? accepted : this.#underway + accepted;
    this.#underway = Math.max(0, sent - PING_BYTES - (SLOW_LINE * interval) / 1_000);
    const progressed = heard || (this.#blockedAtBeat && accepted > 0) || (!blocked && this.#underway > 0);
    this.#receivedAtBeat = received;
    this.#takenAtBeat = taken;
    this.#blockedAtBeat = blocked;
    return progressed;
  }

  /** @internal The connection is cut, without a farewell. */
  abstract terminate(): void;

  /** The stream into which the bytes go. */
  protected abstract readonly sink: Writable;

  protected abstract transmit(frames: Frame | readonly Frame[]): void;

  /** More waits than may: the reader is given up. */
  protected abstract overflow(): void;

  /** The head is sent: bytes may go. */
  protected ready(): void {
    this.#ready = true;
    this.flush();
  }

  protected drop(): void {
    this.#pending = undefined;
    this.#pendingBytes = 0;
    this.#later?.clear();
    this.#later = undefined;
  }

  /** @internal What was sent can never leave: the author learns of it, and the reader that something is missing. */
  failed(error: unknown): void {
    void this.context.environment.report(error, this.context);
    this.terminate();
  }

  /** The connection is over: all who follow it are told, once. */
  protected finish(reason: CloseReason): void {
    if (this.closed !== undefined) return;
    this.closed = reason;
    this.drop();
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

  /** Calls `then` when what was written has gone. */
  protected whenSent(then: () => void): void {
    // Nothing tells of a queue below the stream's own mark, which may be over ours: an empty write comes last in it.
    if (this.sink.writableNeedDrain) this.sink.once('drain', then);
    else this.sink.write('', () => then());
  }

  #awaitDrain(): void {
    if (this.#drain === 'awaited' || !this.#ready) return;
    this.#drain = 'awaited';
    this.whenSent(() => {
      if (this.#later !== undefined) {
        this.#drain = 'wanted';
        return;
      }
      this.#drain = 'nobody';
      for (const follower of this.#following()) follower.drained?.(this);
    });
  }

  #following(): Iterable<Follower> {
    const followers = this.#followers;
    if (followers === undefined) return [];
    return followers instanceof Set ? followers : [followers];
  }
}

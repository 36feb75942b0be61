import { hash, randomBytes } from 'node:crypto';
import { HttpError } from '../../core/base/errors.js';
import { recordsOf, type SessionRecords } from './records.js';
import type { ActiveSession, Manager } from '../../core/exchange/session.js';
import type { SessionRecord, SessionStore } from './store.js';

interface Active extends ActiveSession {
  record: SessionRecord;
  ended: boolean;
  /** The last write in the queue: each write begins when the one before it is done. */
  last: Promise<unknown>;
  /** The number of completed writes. A record that was read before the latest one is outdated. */
  writes: number;
  /** The number of connections that end with the session. */
  watchers: number;
  timer: NodeJS.Timeout | undefined;
}

/** How many times an update is tried while other processes write to the same session. */
const TRIES = 20;

/** How long sessions last, in milliseconds. */
export interface SessionTimes {
  idle: number;
  absolute: number;
  rolling: boolean;
}

/** Ends the connections of a session, by its key. */
export interface SessionConnections {
  /** In all processes. */
  revoke(key: string, reason: string): Promise<void>;
  /** In this process. */
  close(key: string, reason: string): void;
  /** Logs why the end of a session has failed that no request waits for. */
  report(error: unknown): void;
}

/** Manages the sessions that this process uses: one object per session, shared by all its exchanges and connections. */
export class SessionManager implements Manager {
  // Weak references: once no exchange uses a session, only the store holds it.
  readonly #active = new Map<string, WeakRef<Active>>();
  readonly #forget = new FinalizationRegistry<string>((key) => {
    if (this.#active.get(key)?.deref() === undefined) this.#active.delete(key);
  });

  readonly #records: SessionRecords;

  constructor(
    store: SessionStore,
    private readonly times: SessionTimes,
    private readonly connections: SessionConnections,
  ) {
    this.#records = recordsOf(store);
  }

  /** Finds the session of a token; undefined if it is unknown, expired or ended. */
  async find(token: string): Promise<Active | undefined> {
    const key = keyOf(token);
    const known = this.#active.get(key)?.deref();
    const writes = known?.writes;
    const record = await this.#records.get(key);
    if (record === undefined || this.#isOver(record)) {
      if (known !== undefined && !known.ended) {
        known.ended = true;
        this.connections.close(key, 'expired');
      }
      return undefined;
    }
    // Another exchange may have loaded it while the store was read.
    const active = this.#active.get(key)?.deref() ?? this.#keep(key, record);
    if (active.ended) {
      // The store has not been reached yet: a sign-out that has failed is made up for.
      await this.#delete(active);
      return undefined;
    }
    if (active === known && active.writes === writes) active.record = record;
    return active;
  }

  async begin(data: Record<string, unknown>): Promise<{ token: string; active: Active }> {
    const token = randomBytes(32).toString('base64url');
    const now = Date.now();
    const active = this.#keep(keyOf(token), { data, created: now, seen: now });
    await this.#records.create(active.key, active.record, this.#lifetime(active.record));
    return { token, active };
  }

  update(active: Active, change: (data: Record<string, unknown>) => void): Promise<void> {
    return this.#enqueue(active, async () => {
      let tries = 0;
      for (; tries < TRIES; tries++) {
        const record = await this.#records.get(active.key);
        if (active.ended || record === undefined) break;
        change(record.data);
        if (this.times.rolling) record.seen = Date.now();
        const written = await this.#records.replace(active.key, record, this.#lifetime(record));
        if (written === 'ended') break;
        if (written === 'changed') continue;
        active.record = record;
        active.writes++;
        return;
      }
      throw tries === TRIES
        ? new Error(`the session could not be written: other processes wrote to it ${TRIES} times meanwhile`)
        : new HttpError(401, 'The session has ended', { code: 'SESSION_ENDED' });
    });
  }

  /** Ends a session: first in this process, so that no connection opens with it during the write to the store. */
  async end(active: Active, reason: string): Promise<void> {
    active.ended = true;
    try {
      await this.#delete(active);
    } finally {
      await this.connections.revoke(active.key, reason);
    }
  }

  #delete(active: Active): Promise<void> {
    const lifetime = Math.max(1, active.record.created + this.times.absolute - Date.now());
    return this.#enqueue(active, () => this.#records.end(active.key, lifetime));
  }

  async verify(active: Active): Promise<boolean> {
    if (active.ended) return false;
    const record = await this.#records.get(active.key);
    return record !== undefined && !active.ended && !this.#isOver(record);
  }

  /** Extends the idle time. Writes at most once per tenth of it, not on each use. */
  touch(active: Active): void {
    const now = Date.now();
    if (!this.times.rolling || active.ended || now - active.record.seen < this.times.idle / 10) return;
    active.record.seen = now;
    // A failed write must not fail the exchange: the next use tries again.
    this.update(active, () => undefined).catch(() => undefined);
  }

  /**
   * Ends the session when its time is over, so that its connections end with it even if no exchange uses the session any
   * more. The result stops the watch of one connection.
   */
  watch(active: Active): () => void {
    active.watchers++;
    if (active.timer === undefined) this.#await(active);
    return () => {
      active.watchers--;
      if (active.watchers === 0) this.#stop(active);
    };
  }

  #stop(active: Active): void {
    clearTimeout(active.timer);
    active.timer = undefined;
  }

  #await(active: Active): void {
    this.#stop(active);
    // A timer cannot wait longer than 2^31 - 1 milliseconds: a later end is checked again.
    const wait = Math.min(Math.max(this.#end(active.record) - Date.now(), 0), 0x7fffffff);
    active.timer = setTimeout(() => {
      active.timer = undefined;
      this.#expire(active).catch((error: unknown) => {
        // Without the store no connection can open with the session; those that are open end, too.
        this.connections.report(error);
        this.connections.close(active.key, 'expired');
      });
    }, wait);
    active.timer.unref();
  }

  /** Reads the store first: another process may have used the session meanwhile. */
  async #expire(active: Active): Promise<void> {
    const { writes } = active;
    const record = await this.#records.get(active.key);
    if (active.watchers === 0) return;
    if (active.ended) return this.connections.close(active.key, 'expired');
    if (record === undefined || this.#isOver(record)) return this.end(active, 'expired');
    if (active.writes === writes) active.record = record;
    this.#await(active);
  }

  #enqueue<T>(active: Active, work: () => Promise<T>): Promise<T> {
    const done = active.last.then(work, work);
    active.last = done.catch(() => undefined);
    return done;
  }

  #lifetime(record: SessionRecord): number {
    return Math.max(1, this.#end(record) - Date.now());
  }

  /** When the session ends unless it is used again, in milliseconds since the epoch. */
  #end({ created, seen }: SessionRecord): number {
    return Math.min(created + this.times.absolute, seen + this.times.idle);
  }

  #isOver(record: SessionRecord): boolean {
    return Date.now() >= this.#end(record);
  }

  #keep(key: string, record: SessionRecord): Active {
    const active: Active = {
      key,
      record,
      ended: false,
      last: Promise.resolve(),
      writes: 0,
      watchers: 0,
      timer: undefined,
    };
    this.#active.set(key, new WeakRef(active));
    this.#forget.register(active, key);
    return active;
  }
}

/** The key of a session in the store: a hash of its token, so that the store reveals no token. */
function keyOf(token: string): string {
  return hash('sha256', token, 'base64url');
}

import { createHash, randomBytes } from 'node:crypto';
import { HttpError } from '../core/errors.js';
import { recordsOf, type SessionRecords } from './session-records.js';
import type { SessionRecord, SessionStore } from './session-store.js';

/** One session that exchanges of this process use: all of them see the same. */
export interface Live {
  readonly key: string;
  record: SessionRecord;
  ended: boolean;
  /** The writes are a queue: each begins when the one before it is done. */
  last: Promise<unknown>;
  /** How many writes are done: what was read before one of them is older than what it left. */
  writes: number;
  /** How many connections are to end with it. */
  watchers: number;
  timer: NodeJS.Timeout | undefined;
}

/** How often a write is made anew on what another process has written meanwhile. */
const TRIES = 20;

/** Times of a session, in milliseconds. */
export interface SessionTimes {
  idle: number;
  absolute: number;
  rolling: boolean;
}

/** Reads, writes and ends sessions. */
export class SessionKeeper {
  // Held weakly: a session that no exchange uses any more is the store's alone.
  readonly #lives = new Map<string, WeakRef<Live>>();
  readonly #forget = new FinalizationRegistry<string>((key) => {
    if (this.#lives.get(key)?.deref() === undefined) this.#lives.delete(key);
  });

  readonly #records: SessionRecords;

  constructor(
    store: SessionStore,
    private readonly times: SessionTimes,
    private readonly revoke: (key: string, reason: string) => Promise<void>,
  ) {
    this.#records = recordsOf(store);
  }

  /** The session of a token; undefined where there is none, whatever the reason. */
  async find(token: string): Promise<Live | undefined> {
    const key = keyOf(token);
    const known = this.#lives.get(key)?.deref();
    const writes = known?.writes;
    const record = await this.#records.get(key);
    if (record === undefined || this.#isOver(record)) {
      if (known !== undefined) known.ended = true;
      return undefined;
    }
    // Another exchange may have come first while the store was asked.
    const live = this.#lives.get(key)?.deref() ?? this.#keep(key, record);
    if (live.ended) return undefined;
    if (live === known && live.writes === writes) live.record = record;
    return live;
  }

  async begin(data: Record<string, unknown>): Promise<{ token: string; live: Live }> {
    const token = randomBytes(32).toString('base64url');
    const now = Date.now();
    const live = this.#keep(keyOf(token), { data, created: now, seen: now });
    await this.#records.create(live.key, live.record, this.#lifetime(live.record));
    return { token, live };
  }

  update(live: Live, change: (data: Record<string, unknown>) => void): Promise<void> {
    return this.#inTurn(live, async () => {
      let tries = 0;
      for (; tries < TRIES; tries++) {
        const record = await this.#records.get(live.key);
        if (live.ended || record === undefined) break;
        change(record.data);
        if (this.times.rolling) record.seen = Date.now();
        const written = await this.#records.replace(live.key, record, this.#lifetime(record));
        if (written === 'ended') break;
        if (written === 'changed') continue;
        live.record = record;
        live.writes++;
        return;
      }
      throw tries === TRIES
        ? new Error(`the session could not be written: others wrote to it ${TRIES} times meanwhile`)
        : new HttpError(401, 'The session has ended');
    });
  }

  /** Ends a session: first in this process, so that nothing opens with it while the store is told. */
  async end(live: Live, reason: string): Promise<void> {
    live.ended = true;
    await this.#inTurn(live, async () => {
      await this.#records.end(live.key, Math.max(1, live.record.created + this.times.absolute - Date.now()));
    });
    await this.revoke(live.key, reason);
  }

  async verify(live: Live): Promise<boolean> {
    if (live.ended) return false;
    const record = await this.#records.get(live.key);
    return record !== undefined && !live.ended && !this.#isOver(record);
  }

  /** Writes that the session was used; not for each use, but before a tenth of its idle time is over. */
  touch(live: Live): void {
    const now = Date.now();
    if (!this.times.rolling || live.ended || now - live.record.seen < this.times.idle / 10) return;
    live.record.seen = now;
    // A failure to prolong is no failure of the exchange: the next use tries again.
    this.update(live, () => undefined).catch(() => undefined);
  }

  /**
   * Ends the session when its idle time is over, so that its connections end with it: no exchange comes to
   * find that out. The result ends the watch; the last of several ends it for all.
   */
  watch(live: Live): () => void {
    live.watchers++;
    if (live.watchers === 1) this.#await(live);
    return () => {
      live.watchers--;
      if (live.watchers === 0) clearTimeout(live.timer);
    };
  }

  #await(live: Live): void {
    // A timer cannot wait longer than 2^31 - 1 milliseconds: what ends later is looked at again.
    const wait = Math.min(Math.max(this.#end(live.record) - Date.now(), 0), 0x7fffffff);
    live.timer = setTimeout(() => {
      // Where the store cannot be asked, the session counts as over: nobody can open anything with it either.
      this.#expire(live).catch(() => this.revoke(live.key, 'expired'));
    }, wait);
    live.timer.unref();
  }

  /** The session may have been used meanwhile, by another process too: the store knows. */
  async #expire(live: Live): Promise<void> {
    const { writes } = live;
    const record = await this.#records.get(live.key);
    if (live.ended || live.watchers === 0) return;
    if (record === undefined || this.#isOver(record)) return this.end(live, 'expired');
    if (live.writes === writes) live.record = record;
    this.#await(live);
  }

  #inTurn<T>(live: Live, work: () => Promise<T>): Promise<T> {
    const turn = live.last.then(work, work);
    live.last = turn.catch(() => undefined);
    return turn;
  }

  #lifetime(record: SessionRecord): number {
    return Math.max(1, this.#end(record) - Date.now());
  }

  /** When the session ends if nobody uses it any more. */
  #end({ created, seen }: SessionRecord): number {
    return Math.min(created + this.times.absolute, seen + this.times.idle);
  }

  #isOver(record: SessionRecord): boolean {
    return Date.now() >= this.#end(record);
  }

  #keep(key: string, record: SessionRecord): Live {
    const live: Live = {
      key,
      record,
      ended: false,
      last: Promise.resolve(),
      writes: 0,
      watchers: 0,
      timer: undefined,
    };
    this.#lives.set(key, new WeakRef(live));
    this.#forget.register(live, key);
    return live;
  }
}

function keyOf(token: string): string {
  return createHash('sha256').update(token).digest('base64url');
}

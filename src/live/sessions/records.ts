import type { SessionRecord, SessionStore } from './store.js';

/** What became of a write: it is done, somebody else wrote in between, or the session has ended. */
export type Written = 'done' | 'changed' | 'ended';

/** The records of a store that processes share: a session that one of them has ended never comes back by another's write. */
export interface SessionRecords {
  get(key: string): Promise<SessionRecord | undefined>;
  create(key: string, record: SessionRecord, lifetime: number): Promise<void>;
  /** Writes what was made of a record that `get` gave. */
  replace(key: string, record: SessionRecord, lifetime: number): Promise<Written>;
  /** @param lifetime milliseconds for which a write may still be under way that would have kept the session alive */
  end(key: string, lifetime: number): Promise<void>;
}

/** By the store's compare-and-set where it has one, else by what `get`, `set` and `delete` can do. */
export function recordsOf(store: SessionStore): SessionRecords {
  return store.update === undefined ? new MarkedRecords(store) : new ComparedRecords(store, store.update);
}

/** Writes are made on the version that was read, or not at all. */
class ComparedRecords implements SessionRecords {
  constructor(
    private readonly store: SessionStore,
    private readonly update: NonNullable<SessionStore['update']>,
  ) {}

  async get(key: string): Promise<SessionRecord | undefined> {
    return this.store.get(key);
  }

  async create(key: string, record: SessionRecord, lifetime: number): Promise<void> {
    await this.store.set(key, { ...record, version: 1 }, lifetime);
  }

  async replace(key: string, record: SessionRecord, lifetime: number): Promise<Written> {
    const { version = 0 } = record;
    const next = { ...record, version: version + 1 };
    const done: unknown = await this.update.call(this.store, key, version, next, lifetime);
    if (done !== true) return 'changed';
    record.version = next.version;
    return 'done';
  }

  async end(key: string): Promise<void> {
    await this.store.delete(key);
  }
}

/**
 * The end of a session leaves a mark of its own, which no write of the record can undo. Readers ask for both; who has
 * written asks for the mark afterwards, and takes back what came too late.
 */
class MarkedRecords implements SessionRecords {
  constructor(private readonly store: SessionStore) {}

  async get(key: string): Promise<SessionRecord | undefined> {
    const [record, ended] = await Promise.all([this.store.get(key), this.#isEnded(key)]);
    return ended ? undefined : record;
  }

  async create(key: string, record: SessionRecord, lifetime: number): Promise<void> {
    await this.store.set(key, record, lifetime);
  }

  async replace(key: string, record: SessionRecord, lifetime: number): Promise<Written> {
    await this.store.set(key, record, lifetime);
    if (!(await this.#isEnded(key))) return 'done';
    await this.store.delete(key);
    return 'ended';
  }

  async end(key: string, lifetime: number): Promise<void> {
    const now = Date.now();
    await this.store.set(markOf(key), { data: {}, created: now, seen: now }, lifetime);
    await this.store.delete(key);
  }

  async #isEnded(key: string): Promise<boolean> {
    return (await this.store.get(markOf(key))) !== undefined;
  }
}

function markOf(key: string): string {
  return `${key}.ended`;
}

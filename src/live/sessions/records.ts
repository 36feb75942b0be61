import type { SessionRecord, SessionStore } from './store.js';

/** The result of a write: done, rejected because another process wrote meanwhile, or rejected because the session has ended. */
export type Written = 'done' | 'changed' | 'ended';

/** Session records in a store that several processes share: a write never revives a session that another process has ended. */
export interface SessionRecords {
  get(key: string): Promise<SessionRecord | undefined>;
  create(key: string, record: SessionRecord, lifetime: number): Promise<void>;
  /** Writes the changed record that `get` returned. */
  replace(key: string, record: SessionRecord, lifetime: number): Promise<Written>;
  /** @param lifetime milliseconds for which a write in progress could still revive the session */
  end(key: string, lifetime: number): Promise<void>;
}

/** Uses the compare-and-set of the store (`update`) if it has one, else `get`, `set` and `delete` alone. */
export function recordsOf(store: SessionStore): SessionRecords {
  return store.update === undefined ? new MarkedRecords(store) : new ComparedRecords(store, store.update);
}

/** A write succeeds only on the version that was read. */
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
 * An ended session leaves a mark under a key of its own, which no write of the record removes. Reads look for both. A write
 * looks for the mark afterwards, and deletes the record if it came too late.
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

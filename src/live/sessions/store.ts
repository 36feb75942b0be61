/** A session as JSON, as the store keeps it. */
export interface SessionRecord {
  /** The values that the application has written. */
  data: Record<string, unknown>;
  /** When it was created, in milliseconds since the epoch. */
  created: number;
  /** When it was last used, in milliseconds since the epoch. */
  seen: number;
  /** The number of writes, if the store has `update`. */
  version?: number;
}

/** Where sessions are stored; any Keyv store fits. Keys are hashes, so the contents of the store sign in no client. */
export interface SessionStore {
  get(key: string): Promise<SessionRecord | undefined> | SessionRecord | undefined;
  /** @param lifetime milliseconds after which the store may forget it */
  set(key: string, record: SessionRecord, lifetime: number): unknown;
  delete(key: string): unknown;
  /**
   * Compare-and-set: writes the record only if the stored one has this `version`, and returns whether it did. A missing
   * record has no version. Without `update`, two processes that write to one session at once may lose values of each
   * other; an ended session stays ended either way.
   */
  update?(key: string, version: number, record: SessionRecord, lifetime: number): Promise<boolean> | boolean;
}

/** Milliseconds between two removals of expired records. */
const SWEEP = 60_000;

/** Stores sessions in the memory of one process: they are lost when it ends. */
export class MemoryStore implements SessionStore {
  readonly #records = new Map<string, { text: string; expires: number }>();
  #swept = Date.now();

  get size(): number {
    return this.#records.size;
  }

  get(key: string): SessionRecord | undefined {
    const kept = this.#records.get(key);
    if (kept === undefined || kept.expires <= Date.now()) return undefined;
    return JSON.parse(kept.text) as SessionRecord;
  }

  // As text, so that two exchanges never share one mutable record, as with any other store.
  set(key: string, record: SessionRecord, lifetime: number): void {
    const now = Date.now();
    this.#records.set(key, { text: JSON.stringify(record), expires: now + lifetime });
    if (now - this.#swept < SWEEP) return;
    this.#swept = now;
    for (const [other, { expires }] of this.#records) if (expires <= now) this.#records.delete(other);
  }

  update(key: string, version: number, record: SessionRecord, lifetime: number): boolean {
    const current = this.get(key);
    if (current === undefined || current.version !== version) return false;
    this.set(key, record, lifetime);
    return true;
  }

  delete(key: string): void {
    this.#records.delete(key);
  }
}

import type { RegisteredSession } from '../core/register.js';

type Data = RegisteredSession;

/** A session of the store that requests and connections of this process use: all of them see the same. */
export interface ActiveSession {
  readonly key: string;
  readonly ended: boolean;
  readonly record: { readonly data: Record<string, unknown> };
}

/** Reads, writes and ends sessions in their store. */
export interface Manager {
  begin(data: Record<string, unknown>): Promise<{ token: string; active: ActiveSession }>;
  update(active: ActiveSession, change: (data: Record<string, unknown>) => void): Promise<void>;
  end(active: ActiveSession, reason: string): Promise<void>;
  verify(active: ActiveSession): Promise<boolean>;
  touch(active: ActiveSession): void;
  watch(active: ActiveSession): () => void;
}

/** The cookie of the exchange, as its session sees it. */
export interface SessionCookie {
  /** Whether the head is still to be sent, so that a cookie can go with it. */
  readonly settable: boolean;
  /** Gives the client the token of its session; undefined takes it away. */
  set(token: string | undefined): void;
}

/**
 * The session of an exchange. What is read is what the last write in this process left, by whichever request
 * or socket; writes are made one after the other on what the store holds, so that none is lost.
 */
export class Session<T extends object = Data> {
  #active: ActiveSession | undefined;
  #beginning: Promise<void> | undefined = undefined;
  readonly #manager: Manager;
  readonly #cookie: SessionCookie;

  /** @internal */
  constructor(manager: Manager, active: ActiveSession | undefined, cookie: SessionCookie) {
    this.#manager = manager;
    this.#active = active;
    this.#cookie = cookie;
  }

  /** Names the session in logs and for `connections.revoke({ session })`; nobody can sign in with it. */
  get id(): string | undefined {
    return this.#active?.key;
  }

  /** Whether there is one: false until something is written, and after `destroy()`. */
  get exists(): boolean {
    return this.#active !== undefined && !this.#active.ended;
  }

  get<K extends keyof T & string>(key: K): T[K] | undefined {
    const data = this.exists ? (this.#active?.record.data as Partial<T> | undefined) : undefined;
    return data !== undefined && Object.hasOwn(data, key) ? data[key] : undefined;
  }

  /** Writes one value. @throws Error where the head is sent and there is no session yet: no cookie can be set. */
  set<K extends keyof T & string>(key: K, value: T[K]): Promise<void> {
    return this.update((data) => {
      data[key] = value;
    });
  }

  /** Changes what the session holds: `change` is given what the store holds, and nobody else writes meanwhile. */
  async update(change: (data: Partial<T>) => void): Promise<void> {
    // Several first writes at once begin one session.
    if (!this.exists) await (this.#beginning ??= this.#begin());
    await this.#manager.update(this.#active as ActiveSession, (data) => change(data as Partial<T>));
  }

  /**
   * Begins an empty session with a new id, at every change of who it belongs to: an id that was planted is worth nothing,
   * and what was proven for one user does not hold for the next. The old session ends.
   *
   * @param options.keep names of the values that the new session holds, too: `['cart']`
   * @throws Error where the head is sent: no cookie can be set. The session stays as it was then.
   */
  async regenerate({ keep = [] }: { keep?: readonly (keyof T & string)[] } = {}): Promise<void> {
    if (!Array.isArray(keep))
      throw new TypeError("regenerate({ keep }) takes a list of names, such as ['cart']");
    this.#mustBeSettable();
    const active = this.exists ? this.#active : undefined;
    await this.destroy('signed in anew');
    // Only now: writes that were under way have been waited for, and belong to the new session too.
    const data = active?.record.data ?? {};
    const kept = keep.filter((name) => Object.hasOwn(data, name)).map((name) => [name, data[name]] as const);
    await this.#begin(Object.fromEntries(kept));
  }

  /** Ends the session, and with it its sockets and streams. */
  async destroy(reason = 'signed out'): Promise<void> {
    const active = this.#active;
    this.#active = undefined;
    if (active === undefined) return;
    if (this.#cookie.settable) this.#cookie.set(undefined);
    await this.#manager.end(active, reason);
  }

  /** @internal Whether the store still holds it. */
  async verify(): Promise<boolean> {
    return this.#active === undefined || (await this.#manager.verify(this.#active));
  }

  /** @internal Watches over its end, whoever uses it: its connections end then. The result ends the watch. */
  watch(): (() => void) | undefined {
    return this.#active === undefined ? undefined : this.#manager.watch(this.#active);
  }

  /** @internal The session was used: its idle time begins anew. */
  touch(): void {
    if (this.#active !== undefined) this.#manager.touch(this.#active);
  }

  async #begin(data: Record<string, unknown> = {}): Promise<void> {
    this.#mustBeSettable();
    try {
      const { token, active } = await this.#manager.begin(data);
      this.#mustBeSettable();
      this.#cookie.set(token);
      this.#active = active;
    } finally {
      this.#beginning = undefined;
    }
  }

  #mustBeSettable(): void {
    if (!this.#cookie.settable) throw new Error('a session can only begin before the head is sent');
  }
}

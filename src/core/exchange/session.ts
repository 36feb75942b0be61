import type { RegisteredSession } from '../base/registered-types.js';

type Data = RegisteredSession;

/** A session in use, shared by all requests and connections of this process. */
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

/** The session cookie of an exchange. */
export interface SessionCookie {
  /** Whether a cookie can still be set: the head has not been sent. */
  readonly settable: boolean;
  /** Sends the token to the client; undefined deletes the cookie. */
  set(token: string | undefined): void;
}

/**
 * The session of an exchange. Reads see the last write in this process, by whichever request or socket. Writes run one after
 * another on what the store holds, so that none is lost. A session is created when it is first written.
 */
export class Session<T extends object = Data> {
  #active: ActiveSession | undefined;
  /** What creates or replaces the session, while that is under way. */
  #beginning: Promise<void> | undefined = undefined;
  readonly #manager: Manager;
  readonly #cookie: SessionCookie;

  /** @internal */
  constructor(manager: Manager, active: ActiveSession | undefined, cookie: SessionCookie) {
    this.#manager = manager;
    this.#active = active;
    this.#cookie = cookie;
  }

  /** Identifies the session in logs and in `connections.revoke({ session })`; it is not a credential. `undefined` without a session. */
  get id(): string | undefined {
    return this.#active?.key;
  }

  /** Whether there is a session: `false` until it is written, and after `destroy()`. */
  get exists(): boolean {
    return this.#active !== undefined && !this.#active.ended;
  }

  get<K extends keyof T & string>(key: K): T[K] | undefined {
    const data = this.exists ? (this.#active?.record.data as Partial<T> | undefined) : undefined;
    return data !== undefined && Object.hasOwn(data, key) ? data[key] : undefined;
  }

  /** Writes one value. @throws Error if there is no session yet and the head has been sent: no cookie can be set; HttpError 401 if it has ended */
  set<K extends keyof T & string>(key: K, value: T[K]): Promise<void> {
    return this.update((data) => {
      data[key] = value;
    });
  }

  /**
   * Changes several values at once: `change` gets what the store holds, and may run again if another process has written
   * meanwhile.
   * @throws HttpError 401 if the session has ended since the exchange began
   */
  async update(change: (data: Partial<T>) => void): Promise<void> {
    // Several first writes at once create one session. An ended session is not created again: the write was meant for the
    // user who was signed in.
    while (this.#beginning !== undefined || this.#active === undefined) {
      await (this.#beginning ?? this.#inTurn(() => this.#begin()));
    }
    await this.#manager.update(this.#active, (data) => change(data as Partial<T>));
  }

  /**
   * Replaces the session with an empty one under a new id. Call it at every sign-in: an id that an attacker has planted is then
   * worthless (session fixation), and data of one user does not reach the next. The old session ends, and its connections.
   *
   * @param options.keep names of values to keep: `['cart']`; none by default
   * @throws Error if the head has been sent: no cookie can be set, and the session stays as it was
   */
  async regenerate({ keep = [] }: { keep?: readonly (keyof T & string)[] } = {}): Promise<void> {
    if (!Array.isArray(keep))
      throw new TypeError("regenerate({ keep }) takes a list of names, such as ['cart']");
    await this.#inTurn(async () => {
      this.#mustBeSettable();
      const active = this.exists ? this.#active : undefined;
      await this.#end('signed in anew');
      // Read after the end, which waits for writes in progress: they belong to the new session too.
      const data = active?.record.data ?? {};
      const kept = keep
        .filter((name) => Object.hasOwn(data, name))
        .map((name) => [name, data[name]] as const);
      await this.#begin(Object.fromEntries(kept));
    });
  }

  /** Ends the session (sign-out), and with it its sockets and streams. */
  async destroy(reason = 'signed out'): Promise<void> {
    await (this.#beginning === undefined ? this.#end(reason) : this.#inTurn(() => this.#end(reason)));
  }

  /** @internal Whether the store still has the session. */
  async verify(): Promise<boolean> {
    return this.#active === undefined || (await this.#manager.verify(this.#active));
  }

  /** @internal Ends the connections of the session when its time is over. The result stops the watch. */
  watch(): (() => void) | undefined {
    return this.#active === undefined ? undefined : this.#manager.watch(this.#active);
  }

  /** @internal Extends the idle time. */
  touch(): void {
    if (this.#active !== undefined) this.#manager.touch(this.#active);
  }

  /** Beginnings run one after another, and writes wait for them: a write in between would begin a session of its own. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    const before = this.#beginning;
    const turn = (before === undefined ? work() : before.then(work, work)).finally(() => {
      if (this.#beginning === turn) this.#beginning = undefined;
    });
    this.#beginning = turn;
    return turn;
  }

  async #end(reason: string): Promise<void> {
    const active = this.#active;
    this.#active = undefined;
    if (active === undefined) return;
    if (this.#cookie.settable) this.#cookie.set(undefined);
    try {
      await this.#manager.end(active, reason);
    } catch (error) {
      // A second attempt ends it in the store, too.
      this.#active ??= active;
      throw error;
    }
  }

  async #begin(data: Record<string, unknown> = {}): Promise<void> {
    this.#mustBeSettable();
    const { token, active } = await this.#manager.begin(data);
    this.#mustBeSettable();
    this.#cookie.set(token);
    this.#active = active;
  }

  #mustBeSettable(): void {
    if (!this.#cookie.settable) throw new Error('a session can only begin before the head is sent');
  }
}

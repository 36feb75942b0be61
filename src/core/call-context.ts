import type { Session } from '../live/session.js';
import type { Attributes } from './attributes.js';
import { Context } from './context.js';
import type { RegisteredUser } from './register.js';

/** The context of one call on a connection: it shares who that is from, and has an answer and an end of its own. */
export class CallContext extends Context {
  // Whoever makes the call ends it.
  protected override watched = true;
  readonly #connection: Context;

  constructor(
    connection: Context,
    /** The `params` of the call. */
    readonly message: unknown,
  ) {
    const { kind, path, params, request, response, environment, search } = connection;
    super(kind, path, params, request, response, environment, search);
    this.#connection = connection;
    this.outlet = connection.outlet;
    this.head = connection.head;
  }

  override get user(): RegisteredUser | undefined {
    return this.#connection.user;
  }

  override set user(user: RegisteredUser | undefined) {
    this.#connection.user = user;
  }

  override get session(): Session {
    return this.#connection.session;
  }

  override set session(session: unknown) {
    this.#connection.session = session;
  }

  override get attributes(): Attributes {
    return this.#connection.attributes;
  }

  override get signal(): AbortSignal {
    return this.#connection.signal;
  }
}

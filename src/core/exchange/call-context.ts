import type { Session } from './session.js';
import { layered, type Attributes } from '../base/attributes.js';
import { Context } from './context.js';
import type { RegisteredUser } from '../base/registered-types.js';

/**
 * The context of one call on a connection. It reads the connection's user, session and attributes, and writes its own:
 * what the middleware of a call learns is of that call.
 */
export class CallContext extends Context {
  // Whoever makes the call ends it.
  protected override watched = true;
  readonly #connection: Context;
  #user: { readonly value: RegisteredUser | undefined } | undefined = undefined;
  #session: { readonly value: unknown } | undefined = undefined;
  #attributes: Attributes | undefined = undefined;

  constructor(
    connection: Context,
    /** The `params` of the call. */
    readonly message: unknown,
  ) {
    const { kind, path, params, request, response, environment, search } = connection;
    super(kind, path, params, request, response, environment, search);
    this.#connection = connection;
    this.outlet = connection.outlet;
    // The connection is known already, and a call may last as long as it does.
    this.since = undefined;
    this.head = connection.head;
  }

  override get user(): RegisteredUser | undefined {
    return this.#user === undefined ? this.#connection.user : this.#user.value;
  }

  override set user(value: RegisteredUser | undefined) {
    this.#user = { value };
  }

  override get session(): Session {
    return this.#session === undefined ? this.#connection.session : (this.#session.value as Session);
  }

  override set session(value: unknown) {
    this.#session = { value };
  }

  override get attributes(): Attributes {
    return (this.#attributes ??= layered(this.#connection.attributes));
  }

  override get signal(): AbortSignal {
    return this.#connection.signal;
  }
}

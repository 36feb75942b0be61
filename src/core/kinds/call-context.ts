import type { Session } from '../exchange/session.js';
import { layered, type Attributes } from '../base/attributes.js';
import { CallResponse } from '../express/call-response.js';
import { Context } from '../exchange/context.js';
import { answered } from '../exchange/outcome.js';
import { Subscribable } from '../exchange/open-connection.js';
import type { RegisteredUser } from '../base/registered-types.js';

/**
 * The context of one call on a connection. It reads the connection's user, session and attributes, and writes its own:
 * what the middleware of a call learns is of that call.
 */
export class CallContext extends Context {
  // Whoever makes the call ends it.
  protected override endObserved = true;
  readonly #exchange: Context;
  #user: { readonly value: RegisteredUser | undefined } | undefined = undefined;
  #session: { readonly value: unknown } | undefined = undefined;
  #attributes: Attributes | undefined = undefined;
  #entered = false;
  #response: CallResponse | undefined = undefined;
  #abort: AbortController | undefined = undefined;

  constructor(
    connection: Context,
    /** The `params` of the call. */
    readonly message: unknown,
  ) {
    const { kind, path, params, request, response, environment, search } = connection;
    super(kind, path, params, request, response, environment, search);
    this.#exchange = connection;
    this.connection = connection.connection;
    // The connection is known already, and a call may last as long as it does.
    this.since = undefined;
  }

  override get user(): RegisteredUser | undefined {
    return this.#user === undefined ? this.#exchange.user : this.#user.value;
  }

  override set user(value: RegisteredUser | undefined) {
    this.#user = { value };
  }

  override get session(): Session {
    return this.#session === undefined ? this.#exchange.session : (this.#session.value as Session);
  }

  override set session(value: unknown) {
    this.#session = { value };
  }

  override get attributes(): Attributes {
    return (this.#attributes ??= layered(this.#exchange.attributes));
  }

  /** The call's own: fields go nowhere, and what is sent by it is the answer of the middleware. */
  override get response(): CallResponse {
    return (this.#response ??= new CallResponse(this.request));
  }

  /** Aborts when the call is over, or its connection. */
  override get signal(): AbortSignal {
    if (this.#abort !== undefined) return this.#abort.signal;
    const own = (this.#abort = new AbortController());
    const abort = (): void => own.abort();
    const { signal } = this.#exchange;
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
    this.defer(() => {
      signal.removeEventListener('abort', abort);
      abort();
    });
    return own.signal;
  }

  /** @internal The middleware has let the call through: what it has sent until then is a message, as before a head. */
  enter(): void {
    this.#entered = true;
    const { answer } = this;
    this.answer = undefined;
    if (answer !== undefined) super.send(answer.value);
  }

  /** Until the method is called, what is sent answers the call; from then on it is a message. */
  override send(value: unknown): boolean {
    if (this.#entered || value instanceof Subscribable) return super.send(value);
    if (this.answer !== undefined)
      throw new Error('the call has been answered already: send() takes one result');
    this.answer = answered(value);
    return true;
  }
}

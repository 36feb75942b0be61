import { randomUUID } from 'node:crypto';
import type { InjectionToken } from 'tsyringe';
import { App } from '../core/app/app.js';
import type { Middleware } from '../core/routing/middleware.js';
import { checkOptions, type AppOptions } from '../core/app/options.js';
import type { RegisteredUser } from '../core/base/registered-types.js';
import { Refused } from './refused.js';
import { openSocket, type SocketInit, type TestSocket } from './test-socket.js';
import { TestStream } from './test-stream.js';

export type ServeOptions = AppOptions;

/** Options of a test request: those of `fetch`, and `json`. */
export interface FetchInit extends RequestInit {
  /** A value to send as a JSON body, with `POST` unless `method` is given. */
  json?: unknown;
}

/** The public members of a service, which a fake must have; anything for a token without a type. */
export type Visible<T> = unknown extends T
  ? unknown
  : T extends (...args: never[]) => unknown
    ? T
    : { [Key in keyof T]: T[Key] };

/** The header field that identifies the user of `as()`. Its values are random, so no client can guess them. */
const USER_FIELD = 'x-coequal-test-user';

/**
 * Serves an application for tests on a free port of this machine, from its first use on. Under mocha it closes by itself when the
 * suite ends; otherwise call `close()`.
 *
 * @param options the options of `createApp`
 * @example
 * ```ts
 * const server = serve({ controllers: [RoomController] }).override(Clock, { now: () => 0 });
 *
 * it('replies', async () => {
 *   const socket = await server.as({ id: '1' }).socket('/rooms/lobby');
 *   socket.send('hello');
 *   expect(await socket.next()).to.equal('hello');
 * });
 * ```
 */
export function serve(options: ServeOptions): TestServer {
  const server = new TestServer(new Served(options), {});
  const { after } = globalThis as { after?: (hook: () => unknown) => void };
  after?.(() => server.close());
  return server;
}

/** An application under test, with requests of one user or of none. */
export class TestServer {
  readonly #served: Served;
  readonly #headers: Record<string, string>;

  /** @internal */
  constructor(served: Served, headers: Record<string, string>) {
    this.#served = served;
    this.#headers = headers;
  }

  /** The application, which is created at the first use. @throws ConfigurationError like `createApp` */
  get app(): App {
    return this.#served.app;
  }

  /** Resolves with the address, `http://localhost:49152`, once the application listens. */
  url(): Promise<string> {
    return this.#served.url();
  }

  /** Sends a request with Node's `fetch`; redirects are not followed. */
  async fetch(path: string, { json, ...init }: FetchInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    for (const [name, value] of Object.entries(this.#headers)) headers.set(name, value);
    if (json !== undefined && !headers.has('content-type')) headers.set('content-type', 'application/json');
    const body = json === undefined ? init.body : JSON.stringify(json);
    const method = init.method ?? (body === undefined || body === null ? 'GET' : 'POST');
    return fetch((await this.url()) + path, { redirect: 'manual', ...init, method, body, headers });
  }

  /** Opens an event stream. @throws Refused with the response, if it is not an event stream */
  async sse(path: string, init: FetchInit = {}): Promise<TestStream> {
    const abort = new AbortController();
    const headers = new Headers(init.headers);
    headers.set('accept', 'text/event-stream');
    const response = await this.fetch(path, { ...init, headers, signal: abort.signal });
    if (!(response.headers.get('content-type') ?? '').startsWith('text/event-stream')) {
      throw new Refused(response.status, response.headers, await response.text(), `the stream ${path}`);
    }
    const stream = new TestStream(response, abort);
    this.#served.opened(() => stream.close());
    return stream;
  }

  /** Opens a socket. @throws Refused with the response, if it is not a 101 */
  async socket(path: string, init: SocketInit = {}): Promise<TestSocket> {
    const url = (await this.url()).replace(/^http/, 'ws') + path;
    const socket = await openSocket(url, { ...init, headers: { ...init.headers, ...this.#headers } });
    this.#served.opened(() => socket.raw.terminate());
    return socket;
  }

  /** The same server, as a user: `ctx.user` is set before the application's middleware runs. */
  as(user: RegisteredUser): TestServer {
    return new TestServer(this.#served, { ...this.#headers, [USER_FIELD]: this.#served.admit(user) });
  }

  /**
   * Replaces a service everywhere in the application, also inside singletons that depend on it. A fake needs the public members
   * only.
   *
   * @param token a class, a string or a symbol
   * @throws Error after the first use of the server
   */
  override<T>(token: InjectionToken<T>, value: Visible<NoInfer<T>>): this {
    this.#served.override(token, value);
    return this;
  }

  /** Closes the application and all clients that the test has opened, with a grace period of 1,000 ms. */
  close(): Promise<void> {
    return this.#served.close();
  }
}

/** The state that all views of one server share. */
class Served {
  readonly #users = new Map<string, RegisteredUser>();
  readonly #overrides: [InjectionToken<unknown>, unknown][] = [];
  readonly #opened: (() => void)[] = [];
  #app: App | undefined = undefined;
  #url: Promise<string> | undefined = undefined;

  constructor(private readonly options: ServeOptions) {}

  get app(): App {
    if (this.#app !== undefined) return this.#app;
    checkOptions(this.options);
    const middleware = [this.#signIn, ...(this.options.middleware ?? [])];
    return (this.#app = new App({ ...this.options, middleware }, (container) => {
      for (const [token, value] of this.#overrides) container.registerInstance(token, value);
    }));
  }

  url(): Promise<string> {
    return (this.#url ??= this.app.listen({ port: 0 }).then(({ url }) => url));
  }

  admit(user: RegisteredUser): string {
    const id = randomUUID();
    this.#users.set(id, user);
    return id;
  }

  override(token: InjectionToken<unknown>, value: unknown): void {
    if (this.#app !== undefined)
      throw new Error('the application has been created: call override() before its first use');
    this.#overrides.push([token, value]);
  }

  opened(leave: () => void): void {
    this.#opened.push(leave);
  }

  async close(): Promise<void> {
    if (this.#app === undefined) return;
    for (const leave of this.#opened) leave();
    await this.#url?.catch(() => undefined);
    await this.#app.close({ grace: 1_000 });
  }

  readonly #signIn: Middleware = (ctx, next) => {
    const id = ctx.headers[USER_FIELD];
    if (typeof id === 'string' && this.#users.has(id)) ctx.user = this.#users.get(id);
    return next();
  };
}

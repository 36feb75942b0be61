import { AsyncResource } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';
import { IncomingMessage, ServerResponse, type IncomingHttpHeaders } from 'node:http';
import { Readable, type Duplex } from 'node:stream';
import {
  parseCookie,
  parseTraceParent,
  stringifySetCookie,
  type SetCookie,
  type TraceParent,
} from './header-fields.js';
import type { Attributes } from '../base/attributes.js';
import { Subscribable, timeOf, type OpenConnection } from './open-connection.js';
import { runAll } from '../base/promises.js';
import type { Environment } from './environment.js';
import { answered, type Answered } from './outcome.js';
import { readQuery, type Query } from '../node/query.js';
import { replaceFacts } from '../node/request.js';
import type { RegisteredUser } from '../base/registered-types.js';
import { attachStream } from '../base/streams.js';
import type { Session } from './session.js';
import { responseOn } from '../node/upgrade-response.js';

/** What follows the head of an exchange: a body, an event stream, or a conversation. */
export type Kind = 'http' | 'sse' | 'websocket';

/** The exchange: one request and the head of its one response, the same for HTTP, event streams and WebSockets. */
export class Context {
  /** @internal What `send()` has been given before there is a connection. */
  answer: Answered | undefined = undefined;
  /** @internal What takes the values of `send()` instead of the response. */
  connection: OpenConnection | undefined = undefined;
  /** @internal */ explicitStatus = 0;
  /** @internal */ deadline: Date | undefined = undefined;
  /** The last revocation before it began, until it has opened: those that follow are meant for it, too. */
  /** @internal */ since: object | undefined;
  /** @internal What comes after the head runs in the asynchronous context that the middleware has made. */
  asyncContext: AsyncResource | undefined = undefined;
  /** The scope of the exchange's middleware, where any of it is scoped. */
  /** @internal */ scope: object | undefined = undefined;

  #user: RegisteredUser | undefined = undefined;
  #session: unknown = undefined;
  #attributes: Attributes | undefined = undefined;
  #query: Query | undefined = undefined;
  #cookies: Record<string, string | undefined> | undefined = undefined;
  #id: string | undefined = undefined;
  #abort: AbortController | undefined = undefined;
  #deferred: (() => unknown)[] | undefined = undefined;
  /** Whether something calls `end()`: the upgrader, the caller of a call, or a listener of the response. */
  protected endObserved = false;
  #ended = false;
  /** Of an upgrade its socket, until somebody asks for the response. */
  #response: ServerResponse | Duplex;

  constructor(
    readonly kind: Kind,
    /** The canonical path (RFC 3986, section 6.2.2), without the query: the spelling that the router matched. */
    readonly path: string,
    /** Parameters of the path, decoded, as a record without a prototype. */
    readonly params: Readonly<Record<string, string>>,
    /** Node's request; after the 101 of a socket, what remains of it. */
    public request: IncomingMessage,
    /** The response, or the socket of an upgrade: there it is only made for those who ask for it. */
    response: ServerResponse | Duplex,
    /** @internal */ readonly environment: Environment,
    /** @internal */ readonly search: string,
  ) {
    this.#response = response;
    this.since = environment.lastRevocation;
    // Who upgrades a socket follows it.
    if (!(response instanceof ServerResponse)) this.endObserved = true;
  }

  /** Node's response; of an upgrade too, until the 101 has been sent. */
  get response(): ServerResponse {
    const response = this.#response;
    if (response instanceof ServerResponse) return response;
    return (this.#response = responseOn(response, this.request, this.environment.logger));
  }

  /** @internal The response, if anybody has asked for one. */
  get responseInUse(): ServerResponse | undefined {
    return this.#response instanceof ServerResponse ? this.#response : undefined;
  }

  /** @internal Whether the head has been sent. */
  get headSent(): boolean {
    return this.#response instanceof ServerResponse && this.#response.headersSent;
  }

  /** @internal The head is a 101: gives the response, if anybody has asked for one, and has `sent` stand for it. */
  switchProtocols(
    head: IncomingMessage,
    sent: (response: ServerResponse | undefined) => ServerResponse,
  ): ServerResponse | undefined {
    const response = this.responseInUse;
    this.replace(head, sent(response));
    return response;
  }

  /** @internal From now on these are the request and the response. */
  replace(request: IncomingMessage, response: ServerResponse): void {
    this.request = request;
    this.#response = response;
  }

  /** The HTTP method of the request: `GET`. */
  get method(): string {
    return this.request.method ?? 'GET';
  }

  /** The URL of the request: the canonical path, escaped, and the query as it came. Log `path` instead: queries may hold tokens. */
  get url(): string {
    return this.request.url ?? '/';
  }

  /** Header fields of the request, by lower-case name. */
  get headers(): IncomingHttpHeaders {
    return this.request.headers;
  }

  /**
   * Parameters of the query, as a record without a prototype.
   * @throws HttpError 400 if there are more than `limits.query`.
   */
  get query(): Readonly<Query> {
    return (this.#query ??= readQuery(this.search, this.environment.limits.query));
  }

  /** Cookies of the request, as a record without a prototype. */
  get cookies(): Readonly<Record<string, string | undefined>> {
    return (this.#cookies ??= parseCookie(this.request.headers.cookie ?? ''));
  }

  /** The IP address of the client; behind a proxy, if `trustProxy` names it. */
  get ip(): string {
    return this.environment.address(this.request);
  }

  /** The request id in logs and problem documents: a random UUID. */
  get id(): string {
    return (this.#id ??= randomUUID());
  }

  /** The user, once middleware has set it. Declare its type in `Register`. */
  get user(): RegisteredUser | undefined {
    return this.#user;
  }

  set user(user: RegisteredUser | undefined) {
    this.#user = user;
  }

  /** The session of `sessions()`, or that of Express middleware such as express-session. */
  get session(): Session {
    return this.#session as Session;
  }

  set session(session: unknown) {
    this.#session = session;
  }

  /** Data that middleware passes to handlers, by string, symbol or typed key. */
  get attributes(): Attributes {
    return (this.#attributes ??= new Map() as Attributes);
  }

  /** @internal Takes over what middleware has learnt anew, and forgets what it has not. */
  copyIdentity(fresh: Context): void {
    this.#user = fresh.#user;
    this.#session = fresh.#session;
    this.#attributes = fresh.#attributes;
    this.deadline = fresh.deadline;
    this.#response = replaceFacts([this.request, this.response], [fresh.request, fresh.response]);
  }

  /**
   * @internal The same request with other credentials, for the middleware to run again: its head alone, without what
   * middleware has put on the request before.
   */
  withHeaders(headers: Readonly<IncomingHttpHeaders>): Context {
    const fields = Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
    );
    // The body of a stream that was opened by POST has been read.
    const { 'content-length': _length, 'transfer-encoding': _coding, ...head } = this.request.headers;
    const request = headOnly(this.request, { ...head, ...fields });
    const { kind, path, params, environment, search } = this;
    const fresh = new Context(kind, path, params, request, new ServerResponse(request), environment, search);
    fresh.endObserved = true;
    return fresh;
  }

  /** The trace of the request, from its `traceparent` (W3C Trace Context); `undefined` without a valid one. */
  get trace(): TraceParent | undefined {
    return parseTraceParent(this.request.headers.traceparent);
  }

  /** The status of the response; 200 until one is set. @throws TypeError when set to anything but 200 to 599 */
  get status(): number {
    return this.explicitStatus || 200;
  }

  set status(status: number) {
    if (!Number.isInteger(status) || status < 200 || status > 599) {
      throw new TypeError(`a status is a whole number from 200 to 599, not ${String(status)}`);
    }
    this.explicitStatus = status;
  }

  /** Sets a header field of the response, also of the 101 of a socket. */
  setHeader(name: string, value: string | number | readonly string[]): this {
    this.response.setHeader(name, value);
    return this;
  }

  /** Adds a value to a header field of the response. */
  appendHeader(name: string, value: string | readonly string[]): this {
    this.response.appendHeader(name, value);
    return this;
  }

  /**
   * Sets a cookie (RFC 6265). By default it is `HttpOnly`, `SameSite=Lax`, `Path=/`, and `Secure` on TLS.
   *
   * @param options `maxAge` in seconds, `expires`, `domain`, `path`, `sameSite`, `secure`, `httpOnly` …
   * @throws TypeError for an invalid name or value, or a cookie of more than 4,096 bytes
   */
  setCookie(name: string, value: string, options: SetCookie = {}): this {
    const secure = this.environment.secure(this.request);
    return this.appendHeader('set-cookie', stringifySetCookie(name, value, { secure, ...options }));
  }

  /**
   * Does what returning the value does: it is the body of the response, an event, or a message. An async iterable is pumped
   * at the reader's pace, and the connection ends with it. Before the head is sent, the value waits for it.
   *
   * @returns `false` if the reader is behind; see `connection.drained()`
   * @throws Error if the request has been responded to already; RangeError for a value of more than `limits.value` bytes;
   * Error for a `Response` once a stream has begun, TypeError for one on a socket
   */
  send(value: unknown): boolean {
    if (this.connection !== undefined) {
      if (!(value instanceof Subscribable)) return this.connection.take(value);
      value.subscribe(this.connection);
      return true;
    }
    if (this.answer !== undefined || this.headSent) {
      throw new Error(`${this.method} ${this.path} has been answered already: send() takes one body`);
    }
    this.answer = answered(value instanceof Readable ? attachStream(this, value) : value);
    return true;
  }

  /** Aborts when the exchange ends: the response has been sent, the stream has ended, the socket has closed, or the client has left. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#ended) this.#abort.abort();
      else this.#watch();
    }
    return this.#abort.signal;
  }

  /** Runs `work` when the exchange ends, whatever the cause, exactly once. What was deferred last runs first; errors are logged. */
  defer(work: () => unknown): void {
    if (this.#ended) {
      this.#run([work]);
      return;
    }
    (this.#deferred ??= []).push(work);
    this.#watch();
  }

  /**
   * Ends the connection at `date`: a socket closes with 3000, a stream gets an `end` event, a streamed response is cut.
   *
   * @throws TypeError for anything but a valid Date, so that nothing stays open for ever by mistake
   */
  expires(date: Date): void {
    timeOf(date);
    this.deadline = date;
    this.connection?.expires(date);
  }

  /** @internal Keeps the asynchronous context of the middleware for what runs after the head. */
  keepAsyncContext(): void {
    // No hook needs to see its end, so it need not be endObserved for being collected. A snapshot takes twenty times the memory.
    this.asyncContext = new AsyncResource('coequal.exchange', { requireManualDestroy: true });
  }

  /** @internal Whether the exchange is over: its answer is out, or nobody is left to take it. */
  get ended(): boolean {
    return this.#ended || this.#response.destroyed;
  }

  #run(works: readonly (() => unknown)[]): void {
    const { logger } = this.environment;
    const failed = (err: unknown): void => logger.error({ err, requestId: this.id }, 'deferred work failed');
    this.environment.pending(runAll(works, failed));
  }

  /** Ends the exchange when its response closes. */
  #watch(): void {
    if (this.endObserved) return;
    this.endObserved = true;
    const { response } = this;
    // What has closed already tells of it no more.
    if (response.destroyed) this.end();
    else response.on('close', () => this.end());
  }

  /** @internal */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#abort?.abort();
    const deferred = this.#deferred;
    if (deferred === undefined) return;
    this.#deferred = undefined;
    this.#run(deferred.reverse());
  }
}

/** A request of another's head, of which nothing else is known. */
function headOnly(
  { url, method, httpVersion, httpVersionMajor, httpVersionMinor, socket }: IncomingMessage,
  headers: IncomingHttpHeaders,
): IncomingMessage {
  const rawHeaders = Object.entries(headers).flatMap(([name, value]) =>
    [value ?? []].flat().flatMap((one) => [name, one]),
  );
  const head = { url, method, httpVersion, httpVersionMajor, httpVersionMinor, socket, headers, rawHeaders };
  return Object.assign(Object.create(IncomingMessage.prototype), head) as IncomingMessage;
}

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { canonicalPath, spellCanonically } from '../routing/canonical-path.js';
import type { CompiledRoute } from '../compile/compile.js';
import { Context } from '../exchange/context.js';
import type { Environment } from '../exchange/environment.js';
import type { Opened, Outcome } from '../exchange/outcome.js';
import { Disconnected, HttpError, safeInstanceof, isAbort, LimitReached } from '../base/errors.js';
import { goingDown, nowhere, probe, upgradeRequired } from './fallback.js';
import { InFlight } from './in-flight.js';
import type { ResolvedMiddleware } from '../routing/middleware.js';
import { prefersStream, varies, varying } from './negotiation.js';
import { normalOrigin } from '../routing/origins.js';
import { Pipeline } from '../node/pipeline.js';
import { discard, respondError } from '../kinds/http-body.js';
import { kinds, type KindRules } from '../kinds/kinds.js';
import { NO_PARAMS, Router, type Match, type Route } from '../routing/router.js';
import { checkRequest } from './request-checks.js';
import { isThenable } from '../base/promises.js';
import { exchangeTracing, traced } from '../exchange/tracing.js';

/** Takes exchanges from the head of the request to the head of the answer: the same way for all kinds. */
export class Dispatcher {
  readonly inFlight: InFlight;
  readonly handshakes: InFlight;
  readonly #router = new Router();
  readonly #nowhere: Route;
  readonly #probe: Route;
  readonly #pipeline = new Pipeline();
  #draining = false;

  constructor(
    routes: readonly CompiledRoute[],
    application: readonly ResolvedMiddleware[],
    private readonly environment: Environment,
    private readonly health: boolean,
  ) {
    for (const route of routes) this.#router.add(varies(route, routes) ? varying(route) : route);
    this.#nowhere = nowhere(this.#router, application);
    this.#probe = probe(() => this.#draining);
    const expire = (ctx: Context): void =>
      this.#fail(ctx, new HttpError(503, 'The request took too long', { code: 'HANDLER_TIMEOUT' }));
    this.inFlight = new InFlight(environment.timeouts.handler, expire);
    this.handshakes = new InFlight(environment.timeouts.handshake, expire);
  }

  /** From now on new work is refused: 503, and the connection closes. */
  drain(): void {
    this.#draining = true;
  }

  /** Answers a request, or opens an event stream for it; behind another on its connection, when its turn comes. */
  request(request: IncomingMessage, response: ServerResponse): void {
    if (response.socket === null) this.#pipeline.wait(response, () => this.#handle(request, response));
    else this.#handle(request, response);
  }

  #handle(request: IncomingMessage, response: ServerResponse): void {
    const socket: Socket | null = response.socket;
    // Behind a response that closes the connection (RFC 9112, section 9.6).
    if (socket !== null && socket.writableEnded) return;
    const { url = '/', method = 'GET' } = request;
    const mark = url.indexOf('?');
    const search = mark === -1 ? '' : url.slice(mark + 1);
    let path = mark === -1 ? url : url.slice(0, mark);
    try {
      if (this.#draining && !this.#isProbe(path)) throw goingDown();
      checkRequest(request, this.environment.limits.headers);
      path = canonicalPath(this.#originForm(path, request));
      spellCanonically(request, path);
      const { route, params } = this.#find(method, path, request) ?? {
        route: this.#isProbe(path) ? this.#probe : this.#nowhere,
        params: NO_PARAMS,
      };
      kinds[route.kind].prepare?.(request);
      const ctx = new Context(route.kind, path, params, request, response, this.environment, search);
      this.#run(ctx, route, this.inFlight);
    } catch (error) {
      const ctx = new Context('http', path, NO_PARAMS, request, response, this.environment, search);
      this.#fail(ctx, error);
    }
  }

  /** The route of a socket, if the path has one. @throws HttpError for a request that is malformed. */
  socketRoute(request: IncomingMessage): { match: Match; path: string; search: string } | undefined {
    const { url = '/' } = request;
    checkRequest(request, this.environment.limits.headers);
    const mark = url.indexOf('?');
    const search = mark === -1 ? '' : url.slice(mark + 1);
    const target = mark === -1 ? url : url.slice(0, mark);
    const path = canonicalPath(this.#originForm(target, request));
    const match = this.#router.find('websocket', 'GET', path, request);
    return match && { match, path, search };
  }

  /** Runs the chain of an upgrade; `accept` sends the 101 if the socket may open. */
  upgrade(ctx: Context, route: Route, accept: (opened: Opened) => void | Promise<void>): void {
    if (this.#draining) return this.refuse(ctx, goingDown());
    if (this.handshakes.size >= this.environment.limits.handshakes) {
      return this.refuse(
        ctx,
        new LimitReached(503, 'Too many sockets are being opened', {
          code: 'TOO_MANY_CONNECTIONS',
          headers: { 'retry-after': '1' },
        }),
      );
    }
    const { sendHead } = kinds.websocket;
    this.#run(ctx, route, this.handshakes, (exchange, outcome) =>
      outcome.type === 'opened' ? accept(outcome) : sendHead(exchange, outcome),
    );
  }

  /** Answers an upgrade by an error. */
  refuse(ctx: Context, error: unknown): void {
    this.#fail(ctx, error);
  }

  /** Runs the chain of a route, and sends the head by its outcome. */
  #run(ctx: Context, route: Route, running: InFlight, sendHead = kinds[route.kind].sendHead): void {
    try {
      const outcome = exchangeTracing.hasSubscribers
        ? traced(exchangeTracing, ctx, route.name, () => route.chain(ctx))
        : route.chain(ctx);
      if (!isThenable(outcome)) return this.#sendHead(ctx, outcome, running, sendHead);
      this.#wait(ctx, running, outcome, (later) => this.#sendHead(ctx, later, running, sendHead));
    } catch (error) {
      this.#fail(ctx, error);
    }
  }

  /** Sends the head, unless the client has left or the exchange was answered for taking too long. */
  #sendHead(ctx: Context, outcome: Outcome, running: InFlight, sendHead: KindRules['sendHead']): void {
    try {
      if (ctx.connection !== undefined && (ctx.ended || ctx.headSent)) return ctx.connection.abandon();
      if (ctx.ended) return discard(ctx);
      const sending = sendHead(ctx, outcome);
      // Verifying a session takes time, too.
      if (sending !== undefined) this.#wait(ctx, running, sending, () => undefined);
    } catch (error) {
      this.#fail(ctx, error);
    }
  }

  /** Waits for asynchronous work of an exchange, within the limit of `running`. */
  #wait<T>(ctx: Context, running: InFlight, work: PromiseLike<T>, next: (value: T) => void): void {
    running.add(ctx);
    work.then(
      (value) => {
        running.delete(ctx);
        next(value);
      },
      (error: unknown) => {
        running.delete(ctx);
        this.#fail(ctx, error);
      },
    );
  }

  /** The one catch of an exchange: before the head an answer, after it a cut. */
  #fail(ctx: Context, error: unknown): void {
    ctx.connection?.abandon();
    discard(ctx);
    if (kinds[ctx.kind].connects) this.environment.counters.refused++;
    const { response } = ctx;
    // What was aborted because the client has left did as it was told.
    const aborted = ctx.ended && (isAbort(error) || isErrorOf(ctx.request, error));
    if (aborted || safeInstanceof(Disconnected, error)) return void response.destroy();
    const shown = this.environment.report(error, ctx);
    const answer = (known: HttpError): void => this.#answerError(ctx, known);
    // Until it is known what the client may see, the exchange is under way.
    if (isThenable(shown)) this.environment.pending(Promise.resolve(shown).then(answer));
    else answer(shown);
  }

  #answerError(ctx: Context, shown: HttpError): void {
    const { response } = ctx;
    if (response.writableEnded || response.destroyed) return;
    if (response.headersSent) return void response.destroy();
    try {
      respondError(ctx, shown);
    } catch (err) {
      this.environment.logger.error({ err, requestId: ctx.id }, 'the error could not be answered');
      response.destroy();
    }
  }

  #find(method: string, path: string, request: IncomingMessage): Match | undefined {
    const router = this.#router;
    const stream = router.find('sse', method, path, request);
    const answer = router.find('http', method, path, request);
    if (stream !== undefined) return answer === undefined || prefersStream(request) ? stream : answer;
    if (answer !== undefined || (method !== 'HEAD' && method !== 'GET')) return answer;
    if (method === 'HEAD') return router.find('http', 'GET', path, request);
    return upgradeRequired(router.find('websocket', 'GET', path, request));
  }

  /** The target of a request to a proxy names its authority too (RFC 9112, 3.2.2): it is to be ours. */
  #originForm(target: string, request: IncomingMessage): string {
    if (target.startsWith('/')) return target;
    if (target === '*' && request.method === 'OPTIONS') return '/';
    const url = /^(https?):\/\/([^/]*)(\/.*)?$/i.exec(target);
    if (url === null)
      throw new HttpError(400, 'The target of the request is malformed', { code: 'MALFORMED_REQUEST' });
    const [, scheme = '', authority = '', path = '/'] = url;
    const origin = normalOrigin(`${scheme}://${authority}`);
    if (origin === undefined || origin !== normalOrigin(`${scheme}://${request.headers.host ?? ''}`))
      throw new HttpError(400, 'The target of the request is malformed', { code: 'MALFORMED_REQUEST' });
    return path;
  }

  #isProbe(path: string): boolean {
    return this.health && (path === '/livez' || path === '/readyz');
  }
}

/** Whether an error is the request's own, which who reads it is told when the client leaves. */
function isErrorOf({ errored }: IncomingMessage, error: unknown): boolean {
  return errored !== null && errored === error;
}

import type { Middleware } from '../routing/middleware.js';
import type { Context } from '../exchange/context.js';
import { ConfigurationError, Disconnected, HttpError } from '../base/errors.js';
import { describe } from '../base/option-checks.js';
import { answered } from '../exchange/outcome.js';
import { known } from '../exchange/shown-error.js';
import { CallResponse } from './call-response.js';
import { reportLate } from './end-response.js';
import { extendRequest, isExtended, type ExpressRequest } from './request.js';
import { responses, type ExpressResponse } from './response.js';

/** Express middleware, of any version of Express. */
export type ExpressMiddleware = (request: never, response: never, next: (error?: unknown) => void) => unknown;

/**
 * Runs Express middleware unchanged, on requests, event streams and upgrades alike. `req.user` and `req.session` are `ctx.user` and
 * `ctx.session`; a response that it sends ends the exchange. `req.url` is the canonical path that the router matched.
 *
 * @throws ConfigurationError for anything but middleware, and for error middleware with four parameters
 * @example
 * ```ts
 * createApp({ controllers, middleware: [connect(helmet()), connect(session({ secret }))] });
 * ```
 */
export function connect(middleware: ExpressMiddleware): Middleware {
  checkMiddleware(middleware);
  const run = middleware as (request: object, response: object, next: (error?: unknown) => void) => unknown;
  const named = {
    [middleware.name || 'express']: (ctx: Context, next: () => Promise<void>) => pass(run, ctx, next),
  };
  return Object.values(named)[0] as Middleware;
}

function checkMiddleware(middleware: ExpressMiddleware): void {
  if (typeof middleware !== 'function') {
    throw new ConfigurationError(
      `connect takes Express middleware (req, res, next), not ${describe(middleware)}: an import that is undefined ` +
        'here is often circular, or a default export of a CommonJS package',
      { code: 'INVALID_MIDDLEWARE' },
    );
  }
  if (middleware.length !== 4) return;
  throw new ConfigurationError(
    `connect(${middleware.name}): error middleware (err, req, res, next) is never called: handle errors with createApp({ onError })`,
    { code: 'INVALID_MIDDLEWARE' },
  );
}

function pass(
  run: (request: object, response: object, next: (error?: unknown) => void) => unknown,
  ctx: Context,
  next: () => Promise<void>,
): Promise<void> {
  const request = asExpress(ctx);
  const { response } = ctx;
  return new Promise((resolve, reject) => {
    const ended = (): void => {
      if (!(response instanceof CallResponse)) return resolve();
      try {
        // `ctx.send()` would send a message on the socket.
        ctx.answer = answered(response.result());
        resolve();
      } catch (error) {
        reject(error);
      }
    };
    const gone = (): void => (response.writableEnded ? resolve() : reject(new Disconnected()));
    response.once('finish', ended);
    response.once('close', gone);
    let wentOn = false;
    const go = (error?: unknown): void => {
      if (wentOn && isError(error)) return reportLate(ctx, response, error);
      wentOn = true;
      response.off('finish', ended);
      response.off('close', gone);
      // Express would continue with the next route, and there is none.
      if (error === 'route' || error === 'router') return reject(new HttpError(404));
      if (isError(error)) return reject(withStatus(error, response.statusCode));
      adopt(ctx, request);
      resolve(next());
    };
    request.next = go;
    const fail = (error: unknown): void => go(isError(error) ? error : new Error('Rejected promise'));
    try {
      const result = run(request, response, go);
      if (result instanceof Promise) result.catch(fail);
    } catch (error) {
      fail(error);
    }
  });
}

/** Express takes any truthy argument of `next` as an error. */
function isError(error: unknown): boolean {
  return Boolean(error);
}

/** As in Express, an error without a status gets that of the response: `res.status(404); next(error)`. */
function withStatus(error: unknown, status: number): unknown {
  if (status < 400 || status > 599 || known(error) !== undefined) return error;
  return error instanceof Error && Object.isExtensible(error) ? Object.assign(error, { status }) : error;
}

/** Gives a call, which comes after the head, a request and a response of its own. */
function standIn(ctx: Context): void {
  const { locals } = ctx.responseInUse as Partial<ExpressResponse>;
  const request = Object.create(ctx.request) as ExpressRequest;
  const response = Object.assign(ctx.response, { req: request });
  ctx.replace(request, response);
  responses.apply(response, ctx);
  if (locals !== undefined) Object.assign((response as unknown as ExpressResponse).locals, locals);
}

/** Copies a user or session that middleware has redefined on the request, as cookie-session does, or removed. */
function adopt(ctx: Context, request: ExpressRequest): void {
  for (const name of ['user', 'session'] as const)
    ctx[name] = (request[name] ?? undefined) as Context['user'];
}

/** Adds Express's members to Node's request and response, once for each exchange. */
function asExpress(ctx: Context): ExpressRequest {
  if (isExtended(ctx.request, ctx)) return ctx.request;
  if (ctx.headSent) standIn(ctx);
  const request = ctx.request as ExpressRequest;
  const response = ctx.response as ExpressResponse;
  extendRequest(request, ctx);
  responses.apply(response, ctx);
  request.res = response;
  request.originalUrl = ctx.url;
  request.baseUrl = '';
  return request;
}

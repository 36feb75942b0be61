import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Middleware } from './compose.js';
import type { Context } from './context.js';
import { Disconnected, HttpError } from './errors.js';
import type { RegisteredUser } from './register.js';

/** Express middleware. Its types differ between versions of Express, so only the shape is asked for. */
export type ExpressMiddleware = (request: never, response: never, next: (error?: unknown) => void) => unknown;

/**
 * Runs Express middleware unchanged, on requests, event streams and upgrades alike. What it sets as `req.user`
 * and `req.session` is `ctx.user` and `ctx.session` afterwards; an answer that it sends ends the exchange.
 */
export function connect(middleware: ExpressMiddleware): Middleware {
  const run = middleware as (request: object, response: object, next: (error?: unknown) => void) => unknown;
  const named = {
    [middleware.name || 'express']: (ctx: Context, next: () => Promise<void>) => pass(run, ctx, next),
  };
  return Object.values(named)[0] as Middleware;
}

function pass(
  run: (request: object, response: object, next: (error?: unknown) => void) => unknown,
  ctx: Context,
  next: () => Promise<void>,
): Promise<void> {
  const request = asExpress(ctx);
  const { response } = ctx;
  return new Promise((resolve, reject) => {
    const ended = (): void => resolve();
    const gone = (): void => (response.writableEnded ? resolve() : reject(new Disconnected()));
    response.once('finish', ended);
    response.once('close', gone);
    const go = (error?: unknown): void => {
      response.off('finish', ended);
      response.off('close', gone);
      // In Express they leave this route for those that follow, and there are none.
      if (error === 'route' || error === 'router') return reject(new HttpError(404));
      if (error !== undefined && error !== null) return reject(error);
      adopt(ctx, request);
      resolve(next());
    };
    try {
      const result = run(request, response, go);
      if (result instanceof Promise) result.catch(reject);
    } catch (error) {
      reject(error);
    }
  });
}

interface ExpressRequest extends IncomingMessage {
  originalUrl?: string;
  ip?: string;
  user?: RegisteredUser;
  session?: unknown;
}

/** Takes over a user or session that middleware has defined anew on the request, as cookie-session does. */
function adopt(ctx: Context, request: ExpressRequest): void {
  for (const name of ['user', 'session'] as const) {
    const { set } = Object.getOwnPropertyDescriptor(request, name) ?? {};
    if (set === undefined || !identities.has(set)) ctx[name] = request[name] ?? undefined;
  }
}

/** The setters below, to tell them from those of middleware. */
const identities = new WeakSet<object>();

/** `req.user` and `req.session` are `ctx.user` and `ctx.session`: what one clears is cleared for all. */
function identify(ctx: Context, request: ExpressRequest): void {
  for (const name of ['user', 'session'] as const) {
    const set = (value: never): void => void (ctx[name] = value ?? undefined);
    identities.add(set);
    Object.defineProperty(request, name, { configurable: true, enumerable: true, get: () => ctx[name], set });
  }
}

/** Gives Node's request and response what Express adds and its middleware asks for; once for an exchange. */
function asExpress(ctx: Context): ExpressRequest {
  const request: ExpressRequest = ctx.request;
  if (request.originalUrl !== undefined) return request;
  const { environment, response } = ctx;
  const secure = environment.secure(request);
  const host = environment.host(request) ?? '';
  Object.assign(request, {
    originalUrl: ctx.url,
    baseUrl: '',
    path: ctx.url.split('?', 1)[0],
    ip: ctx.ip,
    secure,
    protocol: secure ? 'https' : 'http',
    hostname: host.replace(/:\d+$/, ''),
    query: ctx.query,
    params: ctx.params,
    res: response,
    app: APPLICATION,
    get: (name: string) => request.headers[name.toLowerCase()],
  });
  identify(ctx, request);
  Object.assign(response, { req: request, app: APPLICATION, locals: {}, ...answers(ctx, response) });
  return request;
}

/** The settings of an Express application that middleware looks up. */
const APPLICATION = { get: (): undefined => undefined, enabled: (): boolean => false, locals: {} };

/** The methods of Express's response that middleware answers with. */
function answers(ctx: Context, response: ServerResponse): object {
  const methods = {
    status(code: number) {
      response.statusCode = code;
      return response;
    },
    sendStatus: (code: number) => methods.status(code).end(),
    set(name: string, value: string) {
      response.setHeader(name, value);
      return response;
    },
    header: (name: string, value: string) => methods.set(name, value),
    get: (name: string) => response.getHeader(name),
    type: (value: string) => methods.set('content-type', value),
    json(value: unknown) {
      if (!response.hasHeader('content-type'))
        response.setHeader('content-type', 'application/json; charset=utf-8');
      response.end(JSON.stringify(value));
      return response;
    },
    send(value: unknown) {
      if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array))
        return methods.json(value);
      if (!response.hasHeader('content-type')) response.setHeader('content-type', 'text/html; charset=utf-8');
      response.end(
        value instanceof Uint8Array || value === undefined ? value : String(value as string | number),
      );
      return response;
    },
    redirect(...args: [string] | [number, string]) {
      const [code, location] = args.length === 1 ? [302, args[0]] : args;
      response.statusCode = code;
      response.setHeader('location', location);
      response.end();
    },
    cookie(name: string, value: string, { maxAge, ...options }: { maxAge?: number } = {}) {
      // Express counts milliseconds here, RFC 6265 seconds.
      ctx.setCookie(
        name,
        value,
        maxAge === undefined ? options : { ...options, maxAge: Math.floor(maxAge / 1_000) },
      );
      return response;
    },
    clearCookie: (name: string) => methods.cookie(name, '', { maxAge: 0 }),
  };
  return methods;
}

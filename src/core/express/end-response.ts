import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Writable } from 'node:stream';
import type { Context } from '../exchange/context.js';
import { FramedResponse } from '../node/framed-response.js';
import { responseOn } from '../node/upgrade-response.js';
import { responses, type ExpressResponse } from './response.js';

/** By response, the listener for an error that Express middleware passes to a second `next`. */
const listeners = new WeakMap<ServerResponse, (error: unknown) => void>();

/** Reports an error that Express middleware passes to `next` while or after the response ends. */
export function reportLate(ctx: Context, response: ServerResponse, error: unknown): void {
  const listener = listeners.get(response);
  if (listener !== undefined) return listener(error);
  ctx.environment.logger.error({ err: error, requestId: ctx.id }, 'Express middleware failed after next()');
}

/**
 * Ends the response of an upgrade before its 101 if Express middleware has wrapped `res.end`, as express-session does to save
 * the session first. The promise resolves when the wrapped `end` has finished, and rejects with the error that the middleware
 * passes to `next`. Meanwhile `ctx.response` is a new response on the socket, for a rejection. Without a wrapped `end` the result
 * is undefined.
 */
export function endResponse(ctx: Context): Promise<void> | undefined {
  const response = ctx.responseInUse;
  if (response === undefined || response.end === FramedResponse.prototype.end) return undefined;
  const { socket } = response;
  if (socket === null || response.headersSent) return undefined;
  const next = replacementOf(ctx, response, socket);
  return new Promise<void>((resolve, reject) => {
    listeners.set(response, reject);
    // express-session passes its error to `next` by setImmediate, just before it finishes.
    response.once('finish', () => setImmediate(resolve));
    response.writeHead(101);
    response.end();
  }).then(() => {
    listeners.delete(response);
    // Middleware adds fields when the head is written, such as the session's cookie.
    if (!next.headersSent) next.setHeaders(fieldsOf(response));
  });
}

/** Puts a new response with the same fields on the socket, and drops what is written to the old one. */
function replacementOf(ctx: Context, response: ServerResponse, socket: Socket): ServerResponse {
  response.detachSocket(socket);
  response.assignSocket(new Writable({ write: (_chunk, _encoding, done) => done() }) as Socket);
  const next = responseOn(socket, ctx.request, ctx.environment.logger);
  next.statusCode = response.statusCode;
  next.setHeaders(fieldsOf(response));
  if (Object.hasOwn(response, 'locals')) {
    responses.apply(next, ctx);
    (next as ExpressResponse).locals = (response as ExpressResponse).locals;
  }
  ctx.replace(ctx.request, next);
  return next;
}

function fieldsOf(response: ServerResponse): Map<string, number | string | readonly string[]> {
  const fields = new Map<string, number | string | readonly string[]>();
  for (const [name, value] of Object.entries(response.getHeaders())) {
    if (value !== undefined) fields.set(name, value);
  }
  return fields;
}

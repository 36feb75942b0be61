import { once } from 'node:events';
import { Readable } from 'node:stream';

import type { Context } from './context.js';
import { isA, isAbort, problem, type HttpError } from './errors.js';
import { pump } from './pump.js';
import { Response as Answer } from './response.js';
import { json } from '../live/format.js';
import { Message } from '../live/message.js';
import { tended } from './tended.js';

/** Sends what a method returned, as its body. */
export function respond(ctx: Context, value: unknown): void {
  if (ctx.response.headersSent || ctx.response.writableEnded) return;
  if (value === undefined) return empty(ctx);
  if (typeof value === 'string') return body(ctx, value, 'text/plain; charset=utf-8');
  if (typeof value !== 'object' || value === null || isPlain(value)) return body(ctx, json(value), JSON_TYPE);
  if (value instanceof Message) return respond(ctx, value.value);
  if (value instanceof Uint8Array) return body(ctx, value, 'application/octet-stream');
  if (value instanceof Readable) return stream(ctx, value, 'application/octet-stream');
  if (value instanceof Response) return forward(ctx, value);
  if (isAsyncIterable(value)) return stream(ctx, value, undefined);
  if (value instanceof ArrayBuffer) return body(ctx, new Uint8Array(value), 'application/octet-stream');
  if (value instanceof Blob)
    return stream(
      ctx,
      tended(ctx, Readable.fromWeb(value.stream() as never)),
      value.type || 'application/octet-stream',
    );
  body(ctx, json(value), JSON_TYPE);
}

/** Answers an error with its problem document (RFC 9457). Fields that described another body are gone. */
export function respondError(ctx: Context, error: HttpError): void {
  const { response } = ctx;
  for (const name of DESCRIPTIVE) response.removeHeader(name);
  for (const [name, value] of Object.entries(error.headers ?? {})) {
    if (value !== undefined) response.setHeader(name, value);
  }
  response.setHeader('content-type', 'application/problem+json');
  // A phrase that was set goes with what was to be answered, and may be what cannot be sent.
  response.statusMessage = '';
  ctx.status = error.status;
  body(ctx, JSON.stringify(problem(error, ctx.id)), 'application/problem+json');
}

export function isAsyncIterable(value: object): value is AsyncIterable<unknown> {
  return typeof (value as Partial<AsyncIterable<unknown>>)[Symbol.asyncIterator] === 'function';
}

/** What most methods return: nothing else of it needs to be asked. A class's instance may be anything. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return (
    (prototype === Object.prototype || prototype === Array.prototype) && !(Symbol.asyncIterator in value)
  );
}

const JSON_TYPE = 'application/json; charset=utf-8';
const DESCRIPTIVE = [
  'content-length',
  'content-encoding',
  'content-range',
  'content-disposition',
  'etag',
  'last-modified',
  'cache-control',
];

function empty(ctx: Context): void {
  const status = ctx.explicitStatus || 204;
  if (status === 204 || status === 304) ctx.response.writeHead(status);
  else ctx.response.writeHead(status, ['content-length', '0']);
  ctx.response.end();
}

function body(ctx: Context, content: string | Uint8Array, type: string): void {
  const { response, status, environment } = ctx;
  // RFC 9110, section 8.6: it has no length, either.
  if (status === 204) return empty(ctx);
  const length = typeof content === 'string' ? Buffer.byteLength(content) : content.byteLength;
  if (
    length === content.length &&
    typeof content === 'string' &&
    response instanceof Answer &&
    response.sendWhole(environment.server, status, type, content)
  )
    return;
  const headers = response.hasHeader('content-type') ? [] : ['content-type', type];
  headers.push('content-length', String(length));
  response.writeHead(status, headers);
  // One byte a character: Node writes head and body as one latin1 string.
  if (typeof content === 'string') response.end(content, length === content.length ? 'latin1' : 'utf8');
  else response.end(content);
}

function stream(ctx: Context, source: AsyncIterable<unknown>, type: string | undefined): void {
  const { response } = ctx;
  if (type !== undefined && !response.hasHeader('content-type')) response.setHeader('content-type', type);
  response.statusCode = ctx.status;
  const values = source[Symbol.asyncIterator]();
  if (ctx.request.method === 'HEAD') {
    response.end();
    ctx.environment.pending((async () => values.return?.())());
    return;
  }
  const take = (): Promise<void> => pump(values, (value) => write(ctx, value), ctx.signal);
  const work = ctx.bound === undefined ? take() : ctx.bound.runInAsyncScope(take);
  ctx.environment.pending(
    work.then(
      () => response.end(),
      (error: unknown) => failStream(ctx, error),
    ),
  );
}

function write(ctx: Context, item: unknown): Promise<unknown> | undefined {
  const { response } = ctx;
  if (!response.headersSent && !response.hasHeader('content-type'))
    response.setHeader('content-type', typeOf(item));
  if (response.write(bytesOf(item))) return undefined;
  return once(response, 'drain', { signal: ctx.signal });
}

/** Before the first bytes an error is an answer; after them the stream is cut, so that no half passes for a whole. */
function failStream(ctx: Context, error: unknown): void {
  const { response } = ctx;
  // The client has left, and the source was told so: that it stopped is no failure.
  if (response.destroyed && (isAbort(error) || isCut(error))) return;
  const shown = ctx.environment.report(error, ctx);
  if (response.headersSent || response.destroyed) response.destroy();
  else respondError(ctx, shown);
}

/** Whether a stream was destroyed while it was read. */
function isCut(error: unknown): boolean {
  return isA(Error, error) && (error as NodeJS.ErrnoException).code === 'ERR_STREAM_PREMATURE_CLOSE';
}

/** The first value decides the type of all. */
function typeOf(item: unknown): string {
  if (item instanceof Uint8Array) return 'application/octet-stream';
  return typeof item === 'string' ? 'text/plain; charset=utf-8' : 'application/x-ndjson';
}

function bytesOf(item: unknown): string | Uint8Array {
  if (item instanceof Message) return bytesOf(item.value);
  return typeof item === 'string' || item instanceof Uint8Array ? item : `${json(item)}\n`;
}

function forward(ctx: Context, answer: Response): void {
  ctx.status = ctx.explicitStatus || answer.status;
  for (const [name, value] of answer.headers) {
    if (name === 'set-cookie') ctx.appendHeader(name, value);
    else ctx.setHeader(name, value);
  }
  if (answer.body === null) return empty(ctx);
  stream(ctx, tended(ctx, Readable.fromWeb(answer.body as never)), undefined);
}

import { once } from 'node:events';
import { Readable } from 'node:stream';
import { admitStream } from './admission.js';
import { bytesOf, isBlob } from '../base/bytes.js';
import type { Context } from '../exchange/context.js';
import { safeInstanceof, isAbort, problem, type HttpError } from '../base/errors.js';
import {
  copyFields,
  decodedOrNot,
  isNodeStream,
  isResponse,
  valuesOf,
  type ForeignResponse,
} from './forwarded.js';
import { pump, attachStream, untilStuck } from '../base/streams.js';
import { Response as Answer } from '../node/response.js';
import { eventStream } from '../../live/encoding/format.js';
import { json, Message, messageOf } from '../../live/encoding/message.js';
import { isSource } from './source-queue.js';
import { whenShown } from '../exchange/shown-error.js';
import { scopeInUse } from '../routing/scoped-step.js';

/** Sends what a method returned, as its body. */
export function respond(ctx: Context, value: unknown): void {
  if (ctx.response.headersSent || ctx.response.writableEnded) return;
  if (value === undefined) return empty(ctx);
  if (typeof value === 'string') return body(ctx, value, TEXT_TYPE);
  if (typeof value !== 'object' || value === null || isPlain(value)) return body(ctx, json(value), JSON_TYPE);
  if (value instanceof Message) return respond(ctx, value.value);
  const bytes = bytesOf(value);
  if (bytes !== undefined) return body(ctx, bytes, BYTES_TYPE);
  if (value instanceof Readable) return stream(ctx, value[Symbol.asyncIterator](), BYTES_TYPE);
  if (isResponse(value)) return forward(ctx, value);
  if (isBlob(value)) return blob(ctx, value);
  if (isSource(value)) return stream(ctx, valuesOf(value), undefined);
  body(ctx, json(value), JSON_TYPE);
}

/** Answers an error with its problem document (RFC 9457). Fields that described another body are gone. */
export function respondError(ctx: Context, error: HttpError): void {
  const { response } = ctx;
  // What must not be kept must not be kept with an error in it, either.
  const secret = /\bno-store\b/i.test(String(response.getHeader('cache-control') ?? ''));
  for (const name of DESCRIPTIVE) response.removeHeader(name);
  if (secret) response.setHeader('cache-control', 'no-store');
  for (const [name, value] of Object.entries(error.headers ?? {})) {
    if (value !== undefined) response.setHeader(name, value);
  }
  response.setHeader('content-type', 'application/problem+json');
  // A phrase that was set goes with what was to be answered, and may be what cannot be sent.
  response.statusMessage = '';
  ctx.status = error.status;
  body(ctx, JSON.stringify(problem(error, ctx.id)), 'application/problem+json');
}

/** What most methods return: nothing else of it needs to be asked. A class's instance may be anything. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return (
    (prototype === Object.prototype || prototype === Array.prototype) &&
    !(Symbol.asyncIterator in value) &&
    // Of a Response by its shape.
    !('arrayBuffer' in value)
  );
}

const JSON_TYPE = 'application/json; charset=utf-8';
const TEXT_TYPE = 'text/plain; charset=utf-8';
const BYTES_TYPE = 'application/octet-stream';

/** Fields of the representation that an error stands in for (RFC 9110, section 8), and how long that may be kept. */
const DESCRIPTIVE = [
  'accept-ranges',
  'age',
  'cache-control',
  'content-disposition',
  'content-digest',
  'content-encoding',
  'content-language',
  'content-length',
  'content-location',
  'content-md5',
  'content-range',
  'digest',
  'etag',
  'expires',
  'last-modified',
  'repr-digest',
  'trailer',
  'transfer-encoding',
];

/** Of a HEAD that was passed on, the length of what GET would give may be unknown. */
function empty(ctx: Context, forwarded = false): void {
  const status = ctx.explicitStatus || 204;
  // Only a 205 says by a length that it has none.
  const isSilent = isBodiless(status) && status !== 205;
  if (isSilent || (forwarded && ctx.method === 'HEAD')) ctx.response.writeHead(status);
  else ctx.response.writeHead(status, { 'content-length': '0' });
  ctx.response.end();
}

function body(ctx: Context, content: string | Uint8Array, type: string): void {
  const { response, status, environment } = ctx;
  // RFC 9110, sections 8.6 and 15.4.5: it has no body, and a 204 no length, either.
  if (isBodiless(status)) return empty(ctx);
  const length = typeof content === 'string' ? Buffer.byteLength(content) : content.byteLength;
  if (
    length === content.length &&
    typeof content === 'string' &&
    response instanceof Answer &&
    response.sendWhole(environment.server, status, type, content)
  )
    return;
  // A record: of a list, middleware by on-headers 1.0 would make fields named by its positions.
  if (response.hasHeader('content-type')) response.writeHead(status, { 'content-length': length });
  else response.writeHead(status, { 'content-type': type, 'content-length': length });
  // One byte a character: Node writes head and body as one latin1 string.
  if (typeof content === 'string') response.end(content, length === content.length ? 'latin1' : 'utf8');
  else response.end(content);
}

/** Sends the values of a source as they come. One whose values nobody is to see is told so at once. */
function stream(ctx: Context, values: AsyncIterator<unknown>, type: string | undefined): void {
  const { response, status } = ctx;
  if (isBodiless(status) || ctx.request.method === 'HEAD') {
    if (type !== undefined && !isBodiless(status) && !response.hasHeader('content-type'))
      response.setHeader('content-type', type);
    if (status === 205) empty(ctx);
    else response.writeHead(status).end();
    ctx.environment.pending((async () => values.return?.())());
    return;
  }
  try {
    admitStream(ctx);
  } catch (error) {
    ctx.environment.pending((async () => values.return?.())());
    throw error;
  }
  if (type !== undefined && !response.hasHeader('content-type')) response.setHeader('content-type', type);
  response.statusCode = status;
  const write = writerOf(ctx);
  const take = (): Promise<void> => pump(values, write, ctx.signal);
  const work = ctx.asyncContext === undefined ? take() : ctx.asyncContext.runInAsyncScope(take);
  const done = work.then(
    () => response.end(),
    (error: unknown) => failStream(ctx, error),
  );
  ctx.environment.pending(untilStuck(done, ctx.signal));
}

/** Writes values one after the other, at the reader's pace. The first decides the type of all, where none is set. */
function writerOf(ctx: Context): (item: unknown) => Promise<unknown> | undefined {
  const { response } = ctx;
  let events: boolean | undefined = undefined;
  const send = (chunk: string | Uint8Array): Promise<unknown> | undefined =>
    response.write(chunk) ? undefined : once(response, 'drain', { signal: ctx.signal });
  return (item) => {
    if (events === undefined && !response.headersSent && !response.hasHeader('content-type'))
      response.setHeader('content-type', typeOf(item));
    events ??= /^text\/event-stream\b/i.test(String(response.getHeader('content-type')));
    if (isBlob(item)) return item.arrayBuffer().then((bytes) => send(new Uint8Array(bytes)));
    return send(chunkOf(item, events));
  };
}

/** Before the first bytes an error is an answer; after them the stream is cut, so that no half passes for a whole. */
function failStream(ctx: Context, error: unknown): void | Promise<void> {
  scopeInUse(ctx)?.fail(error);
  const { response } = ctx;
  // The client has left, and the source was told so: that it stopped is no failure.
  if (response.destroyed && (isAbort(error) || isCut(error))) return;
  const answer = (shown: HttpError): void => {
    if (response.headersSent || response.destroyed) response.destroy();
    else respondError(ctx, shown);
  };
  return whenShown(ctx.environment.report(error, ctx), answer);
}

/** Whether a stream was destroyed while it was read. */
export function isCut(error: unknown): boolean {
  return (
    safeInstanceof(Error, error) && (error as NodeJS.ErrnoException).code === 'ERR_STREAM_PREMATURE_CLOSE'
  );
}

function typeOf(item: unknown): string {
  if (bytesOf(item) !== undefined || isBlob(item)) return BYTES_TYPE;
  return typeof item === 'string' ? TEXT_TYPE : 'application/x-ndjson';
}

/** In an event stream that is made by hand, what is not text already is an event. */
function chunkOf(item: unknown, events: boolean): string | Uint8Array {
  const bytes = typeof item === 'string' ? item : bytesOf(item);
  if (bytes !== undefined) return bytes;
  if (events) return eventStream.payload(messageOf(item));
  return item instanceof Message ? chunkOf(item.value, false) : `${json(item)}\n`;
}

function blob(ctx: Context, value: Blob): void {
  if (!ctx.response.hasHeader('content-length')) ctx.setHeader('content-length', value.size);
  stream(ctx, valuesOf(value.stream()), value.type || BYTES_TYPE);
}

/** Passes a response on: its status, its own fields, and its body, framed anew. */
function forward(ctx: Context, answer: ForeignResponse): void {
  ctx.status = ctx.explicitStatus || answer.status;
  copyFields(ctx.response, answer);
  const { body: content } = answer;
  if (content === null || content === undefined) return empty(ctx, true);
  const whole = typeof content === 'string' ? content : bytesOf(content);
  if (whole !== undefined) return body(ctx, whole, typeof whole === 'string' ? TEXT_TYPE : BYTES_TYPE);
  if (isNodeStream(content)) attachStream(ctx, content);
  stream(ctx, decodedOrNot(ctx.response, valuesOf(content)), undefined);
}

/** Lets go of what was to be sent and is not: the source of a forwarded body would wait for its reader. */
export function discard(ctx: Context): void {
  const answer = ctx.answer?.value;
  if (typeof answer !== 'object' || answer === null || isPlain(answer)) return;
  if (!isResponse(answer)) {
    const end = async (): Promise<unknown> => (isSource(answer) ? valuesOf(answer).return?.() : undefined);
    return ctx.environment.pending(end());
  }
  const { body: content } = answer;
  if (isNodeStream(content)) content.destroy();
  // A body that is being read already is its reader's.
  else if (content instanceof ReadableStream && !content.locked) ctx.environment.pending(content.cancel());
}

/** Responses that have no body, whatever there is to send (RFC 9110, sections 15.3.5, 15.3.6 and 15.4.5). */
function isBodiless(status: number): boolean {
  return status === 204 || status === 205 || status === 304;
}

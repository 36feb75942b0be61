import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { safeParse } from 'fast-content-type-parse';
import { Disconnected, HttpError } from '../base/errors.js';
import { Request } from '../node/request.js';
import { parseJson, type JsonLimits } from './json.js';
import { addField, openMultipart, type FormFields, type Multipart } from './multipart.js';
import type { MultipartLimits } from './multipart-parser.js';

/** The form in which a body is read: text, bytes, or parsed by its content type. */
export type BodyForm = 'text' | 'bytes' | 'parsed';

export interface BodyLimits {
  json?: JsonLimits;
  multipart?: Partial<MultipartLimits>;
}

/** The most fields of an `application/x-www-form-urlencoded` body. */
export const FORM_FIELDS = 1_000;

/**
 * Reads the body of a request, of at most `limit` bytes.
 *
 * `text` gives a string, decoded as UTF-8, or as Latin-1 or ASCII if the content type says so. `bytes` gives a Buffer. `parsed`
 * depends on the content type: JSON, a urlencoded form as a null-prototype record, other text as a string, `multipart/form-data`
 * as a Multipart. Without a body they give `''`, an empty Buffer and `undefined`. If an earlier body parser has set
 * `request.body`, `parsed` gives that. A body may be read several times and in any form, unless a Multipart reads it.
 *
 * @throws HttpError 413 above the limit, with `connection: close`; 415 for an unsupported content type, charset or content coding;
 * 400 for a malformed body. Disconnected if the client disconnects before the end.
 */
export function readBody(request: IncomingMessage, form: 'text', limit: number): Promise<string>;
export function readBody(request: IncomingMessage, form: 'bytes', limit: number): Promise<Buffer>;
export function readBody(
  request: IncomingMessage,
  form: BodyForm,
  limit: number,
  limits?: BodyLimits,
): Promise<unknown>;
export function readBody(
  request: IncomingMessage & { body?: unknown },
  form: BodyForm,
  limit: number,
  limits: BodyLimits = {},
): Promise<unknown> {
  // One promise for all steps: an asynchronous function for each step costs more than the steps.
  try {
    return Promise.resolve(read(request, form, limit, limits));
  } catch (error) {
    return Promise.reject(error);
  }
}

function read(
  request: IncomingMessage & { body?: unknown },
  form: BodyForm,
  limit: number,
  limits: BodyLimits,
): unknown {
  if (request.body !== undefined) {
    if (form === 'parsed') return request.body;
    if (typeof request.body === 'string') return form === 'text' ? request.body : Buffer.from(request.body);
    if (Buffer.isBuffer(request.body))
      return form === 'bytes' ? request.body : decode(request.body, charset(request));
  }
  const length = Number(request.headers['content-length'] ?? 0);
  if (length === 0 && request.headers['transfer-encoding'] === undefined) return EMPTY[form]();
  if (length > limit) throw tooLarge(limit);
  const coding = request.headers['content-encoding'];
  if (coding !== undefined && coding.trim().toLowerCase() !== 'identity') {
    throw new HttpError(415, 'the content coding is not supported', {
      headers: { 'accept-encoding': 'identity' },
    });
  }
  switch (form) {
    case 'bytes':
      return bytes(request, limit);
    case 'text': {
      const encoding = charset(request); // Before reading: a 415 need not wait for the body.
      return bytes(request, limit).then((body) => decode(body, encoding));
    }
    case 'parsed':
      return parse(request, limit, limits);
  }
}

function parse(request: IncomingMessage, limit: number, limits: BodyLimits): Promise<unknown> {
  const { type } = contentType(request);
  if (type === FORM_DATA) return multipart(request, limit, limits.multipart);
  const isJson = type === 'application/json' || type.endsWith('+json');
  if (!isJson && type !== URLENCODED && !type.startsWith('text/')) throw unsupported();
  const encoding = charset(request);
  return bytes(request, limit).then((body) => {
    // Proxies change the framing of a body, so an empty chunked body counts as none.
    if (body.length === 0) return undefined;
    if (isJson) return parseJson(encoding === 'utf8' ? body : body.toString(encoding), limits.json);
    const text = decode(body, encoding);
    return type === URLENCODED ? parseForm(text) : text;
  });
}

function parseForm(text: string): FormFields {
  const fields = Object.create(null) as FormFields;
  let count = 0;
  for (let start = 0; start < text.length;) {
    const next = text.indexOf('&', start);
    const end = next === -1 ? text.length : next;
    if (end > start) {
      if (++count > FORM_FIELDS)
        throw new HttpError(400, `a form with more than ${FORM_FIELDS} fields`, {
          code: 'INPUT_TOO_COMPLEX',
        });
      const pair = text.slice(start, end);
      const equals = pair.indexOf('=');
      const name = equals === -1 ? pair : pair.slice(0, equals);
      addField(fields, unescapeForm(name), equals === -1 ? '' : unescapeForm(pair.slice(equals + 1)));
    }
    start = end + 1;
  }
  return fields;
}

function unescapeForm(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch (cause) {
    throw new HttpError(400, 'a form with a malformed percent-encoding', { code: 'MALFORMED_BODY', cause });
  }
}

function multipart(
  request: IncomingMessage,
  limit: number,
  limits: Partial<MultipartLimits> | undefined,
): Promise<Multipart> {
  const reading = (request as Read)[READING];
  if (reading?.form !== undefined) return reading.form;
  const source =
    reading?.bytes === undefined
      ? Promise.resolve(untouched(request))
      : bytes(request, limit).then((body) => Readable.from([body]));
  const type = request.headers['content-type'] ?? '';
  const form = source.then((from) => openMultipart(from, type, { limit, limits }));
  (request as Read)[READING] = { bytes: reading?.bytes, form };
  return form;
}

/** Keeps the bytes, so that every parameter that reads the body gets the same. */
function bytes(request: IncomingMessage, limit: number): Promise<Buffer> {
  const reading = (request as Read)[READING]?.bytes;
  if (reading === undefined) return begin(request, limit);
  return reading.then((body) => {
    if (body.length > limit) throw tooLarge(limit);
    return body;
  });
}

function begin(request: IncomingMessage, limit: number): Promise<Buffer> {
  if ((request as Read)[READING] !== undefined)
    throw new Error('the body is already being read as multipart/form-data');
  const reading = collect(untouched(request), limit);
  (request as Read)[READING] = { bytes: reading };
  return reading;
}

function collect(request: IncomingMessage, limit: number): Promise<Buffer> {
  if (request instanceof Request && request.collectable) {
    return request.collect(limit, () => tooLarge(limit));
  }
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const data = (chunk: Buffer): void => {
      size += chunk.length;
      if (size <= limit) {
        chunks.push(chunk);
        return;
      }
      release();
      // The rest of the request is dropped: a client that cannot finish sending would not read the response.
      reject(tooLarge(limit));
    };
    const end = (): void => {
      release();
      resolve(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, size));
    };
    const gone = (): void => {
      release();
      reject(new Disconnected());
    };
    const release = (): void => {
      request.off('data', data).off('end', end).off('error', gone).off('close', gone);
    };
    request.on('data', data).on('end', end).on('error', gone).on('close', gone);
    request.resume();
  });
}

/** The request, if its body can still be read: a request that has ended emits no events. */
function untouched(request: IncomingMessage): IncomingMessage {
  if (request.readableEnded) throw new Error('the body has already been read, possibly by middleware');
  if (request.destroyed) throw new Disconnected();
  return request;
}

function decode(body: Buffer, encoding: BufferEncoding): string {
  if (encoding === 'utf8' && !isUtf8(body))
    throw new HttpError(400, 'the body is not valid UTF-8', { code: 'MALFORMED_BODY' });
  return body.toString(encoding);
}

function charset(request: IncomingMessage): BufferEncoding {
  if (request.headers['content-type'] === undefined) return 'utf8';
  const encoding = CHARSETS.get((contentType(request).parameters.charset ?? 'utf-8').toLowerCase());
  if (encoding === undefined) throw new HttpError(415, 'the charset is not supported');
  return encoding;
}

/** The last content type: most requests of an application have the same one. */
let parsed: { field: string; type: ReturnType<typeof safeParse> } = { field: '', type: safeParse('') };

function contentType(request: IncomingMessage): ReturnType<typeof safeParse> {
  const field = request.headers['content-type'] ?? '';
  if (field !== parsed.field) parsed = { field, type: safeParse(field) };
  if (parsed.type.type === '') throw unsupported();
  return parsed.type;
}

/** Whether the body is a form, whose fields are all text. */
export function isFormRequest(request: IncomingMessage): boolean {
  const { type } = safeParse(request.headers['content-type'] ?? '');
  return type === URLENCODED || type === FORM_DATA;
}

function unsupported(): HttpError {
  return new HttpError(415, 'the content type is missing, malformed or not supported');
}

function tooLarge(limit: number): HttpError {
  return new HttpError(413, `the body is larger than ${limit} bytes`, { headers: { connection: 'close' } });
}

const URLENCODED = 'application/x-www-form-urlencoded';
const FORM_DATA = 'multipart/form-data';

const CHARSETS = new Map<string, BufferEncoding>([
  ['utf-8', 'utf8'],
  ['utf8', 'utf8'],
  ['us-ascii', 'latin1'],
  ['ascii', 'latin1'],
  ['iso-8859-1', 'latin1'],
  ['latin1', 'latin1'],
]);

const EMPTY: Record<BodyForm, () => unknown> = {
  text: () => '',
  bytes: () => Buffer.alloc(0),
  parsed: () => undefined,
};

// On the request itself: a weak map's entry would cost each body more than its parsing.
const READING = Symbol('reading');

type Read = IncomingMessage & { [READING]?: { bytes?: Promise<Buffer>; form?: Promise<Multipart> } };

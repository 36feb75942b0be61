import type { IncomingMessage, ServerResponse } from 'node:http';
import { extname, isAbsolute, resolve } from 'node:path';
import { finished } from 'node:stream';
import type { SendOptions } from '@fastify/send';
import fresh from 'fresh';
import mime from 'mime-types';
import { Disconnected, HttpError } from '../base/errors.js';
import type { ExpressRequest } from './request.js';

/** Options of `res.sendFile`; `maxAge` is in milliseconds. */
export interface SendFileOptions extends SendOptions {
  headers?: Record<string, string | string[]>;
  /** Whether a relative path is resolved against the working directory. */
  relative?: boolean;
}

/**
 * Sends a file with `@fastify/send`, an optional package, with conditional requests and ranges.
 * @throws TypeError for a path that is neither absolute nor below `root`.
 */
export function sendFile(
  response: ServerResponse<ExpressRequest>,
  path: string,
  { headers = {}, relative = false, ...options }: SendFileOptions,
  done?: (error?: unknown) => void,
): void {
  if (!path) throw new TypeError('path argument is required to res.sendFile');
  if (typeof path !== 'string') throw new TypeError('path must be a string to res.sendFile');
  const full = relative && !options.root ? resolve(path) : path;
  if (!options.root && !isAbsolute(full)) {
    throw new TypeError('path must be absolute or specify root to res.sendFile');
  }
  const { req } = response;
  const over = done ?? ((error?: unknown): void => (error === undefined ? undefined : req.next(error)));
  transfer(response, encodeURI(full), options, headers).then(
    () => over(),
    (error: unknown) => {
      // As in Express, a folder continues with the next middleware, and a disconnected client is not an error.
      if (done !== undefined) done(error);
      else if ((error as { code?: string }).code === 'EISDIR') req.next();
      else if (!(error instanceof Disconnected)) req.next(error);
    },
  );
}

async function transfer(
  response: ServerResponse<ExpressRequest>,
  path: string,
  options: SendOptions,
  headers: Record<string, string | string[]>,
): Promise<void> {
  const send = await load();
  const found = await send(asked(response), path, { ...options, etag: true, contentType: false });
  if (found.type === 'directory') throw Object.assign(new Error('EISDIR, read'), { code: 'EISDIR' });
  if (found.type === 'error') throw failure(found.statusCode, found.metadata.error, found.headers);
  try {
    await deliver(response, found, headers);
  } finally {
    // Its file may be open, whether it was read or not.
    found.stream.destroy();
  }
}

async function deliver(
  response: ServerResponse<ExpressRequest>,
  found: Extract<Awaited<ReturnType<Send>>, { type: 'file' }>,
  headers: Record<string, string | string[]>,
): Promise<void> {
  // As in Express, fields of the response win over those of the file, and the options set theirs first.
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  const { 'Content-Length': length, 'Content-Range': range, ...others } = found.headers;
  const type = mime.contentType(extname(found.metadata.path)) || 'application/octet-stream';
  const fields = { ...others, 'Content-Type': type, 'Content-Range': range, 'Content-Length': length };
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined && !response.hasHeader(name)) response.setHeader(name, value);
  }
  if (found.statusCode !== 200) response.statusCode = found.statusCode;
  else if (isFresh(response)) {
    response.statusCode = 304;
    for (const name of CONTENT) response.removeHeader(name);
    return void response.end();
  }
  return new Promise((sent, failed) => {
    finished(response, { readable: false }, (error) => {
      if (error == null) sent();
      else failed(new Disconnected());
    });
    found.stream.once('error', failed);
    found.stream.pipe(response);
  });
}

/** Fields of a body, which a 304 lacks. */
const CONTENT = ['content-encoding', 'content-language', 'content-length', 'content-range', 'content-type'];

/**
 * The request for `@fastify/send` without conditions that depend on the validators of the response, because the package knows
 * only those of the file.
 */
function asked(response: ServerResponse<ExpressRequest>): IncomingMessage {
  const headers = { ...response.req.headers };
  delete headers['if-none-match'];
  delete headers['if-modified-since'];
  if (response.hasHeader('etag')) {
    delete headers['if-match'];
    if (headers['if-range'] !== undefined) delete headers.range;
  }
  return Object.create(response.req, { headers: { value: headers } }) as IncomingMessage;
}

function isFresh(response: ServerResponse<ExpressRequest>): boolean {
  const { statusCode: status, req } = response;
  if ((status < 200 || status >= 300) && status !== 304) return false;
  return fresh(req.headers, {
    etag: response.getHeader('etag'),
    'last-modified': response.getHeader('last-modified'),
  });
}

/** As in Express, an error of the file system with its HTTP status; the client does not see the message. */
function failure(status: number, cause: unknown, headers: Record<string, unknown>): Error {
  if (cause instanceof Error && 'code' in cause)
    return Object.assign(cause, { status, statusCode: status, expose: false });
  const range = headers['Content-Range'];
  return new HttpError(status, undefined, {
    cause,
    headers: typeof range === 'string' ? { 'content-range': range } : {},
  });
}

type Send = typeof import('@fastify/send').default;

async function load(): Promise<Send> {
  try {
    return (await import('@fastify/send')).default;
  } catch (cause) {
    const remedy = 'res.sendFile and res.download need the package @fastify/send: npm install @fastify/send';
    throw new Error(remedy, { cause });
  }
}

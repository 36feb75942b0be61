import type { IncomingMessage, ServerResponse } from 'node:http';
import { extname, isAbsolute, resolve } from 'node:path';
import { finished } from 'node:stream';
import type { SendOptions } from '@fastify/send';
import fresh from 'fresh';
import mime from 'mime-types';
import { Disconnected, HttpError } from '../base/errors.js';
import type { ExpressRequest } from './request.js';

/** Options of `res.sendFile`: `maxAge` in milliseconds, and fields of the response. */
export interface SendFileOptions extends SendOptions {
  headers?: Record<string, string | string[]>;
  /** A path that is not absolute is one of the working directory. */
  relative?: boolean;
}

/**
 * Sends a file by `@fastify/send`, an optional package, with conditions and ranges.
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
      // As in Express: a folder is left to what comes next, and nobody is told of a client that has left.
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
  // As by Express, fields that were set before stay, and those of the options are set first.
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
    found.stream.destroy();
    return void response.end();
  }
  return new Promise((sent, failed) => {
    finished(response, { readable: false }, (error) => {
      found.stream.destroy();
      if (error == null) sent();
      else failed(new Disconnected());
    });
    found.stream.once('error', failed);
    found.stream.pipe(response);
  });
}

/** Fields of a body, which an answer of 304 has not. */
const CONTENT = ['content-encoding', 'content-language', 'content-length', 'content-range', 'content-type'];

/**
 * The request as it is put to `@fastify/send`, which knows only the file's own validators and status: whether the
 * client has the answer already is decided by those of the response.
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

/** As in Express, an error of the file system with the status that it stands for; its message is not shown. */
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
    throw new Error(
      'res.sendFile and res.download need the package @fastify/send: npm install @fastify/send',
      {
        cause,
      },
    );
  }
}

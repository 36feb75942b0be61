import type { ServerResponse } from 'node:http';
import { isAbsolute, resolve } from 'node:path';
import { finished } from 'node:stream';
import type { SendOptions } from '@fastify/send';
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
  const found = await send(response.req, path, { ...options, etag: true });
  if (found.type === 'directory') throw Object.assign(new Error('EISDIR, read'), { code: 'EISDIR' });
  if (found.type === 'error') {
    const { error } = found.metadata;
    const range = found.headers['Content-Range'];
    throw new HttpError(found.statusCode, undefined, {
      cause: error,
      headers: range === undefined ? {} : { 'content-range': range },
    });
  }
  for (const [name, value] of Object.entries(found.headers)) {
    if (!response.hasHeader(name)) response.setHeader(name, value);
  }
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  response.statusCode = found.statusCode;
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

import send from '@fastify/send';
import type { IncomingMessage } from 'node:http';
import { fileURLToPath } from 'node:url';
import { receivedTarget } from './core/routing/canonical-path.js';
import type { Middleware } from './core/routing/middleware.js';
import { HttpError } from './core/base/errors.js';
import { checkOptionsOf, COUNT, SWITCH, TEXT, type Checks } from './core/base/option-checks.js';

/** Options of `files()`. */
export interface FilesOptions {
  /** The path below which the files are served: `'/assets'`. The root by default. */
  prefix?: string;
  /** The file that is served for a folder; `'index.html'` by default, `false` for none. */
  index?: string | false;
  /** Seconds that clients may reuse a file without a request; 0 by default, so that they revalidate it and get a 304. */
  maxAge?: number;
  /** Whether file names change with their content, so that a reload within `maxAge` sends no request (RFC 8246). `false` by default. */
  immutable?: boolean;
}

const OPTIONS: Checks<FilesOptions> = {
  prefix: TEXT,
  index: ["a name such as 'index.html', or false", (value) => typeof value === 'string' || value === false],
  maxAge: ['a number of seconds', COUNT[1]],
  immutable: SWITCH,
};

/**
 * Middleware that serves the static files of a folder for `GET` and `HEAD`, with `ETag`, `Last-Modified`, conditional requests and
 * ranges (RFC 9110). Requests that match no file, and names that begin with a dot, continue to the routes. Symbolic links out of
 * the folder are followed: link only what everyone may see. It needs the package `@fastify/send`.
 *
 * @param root the folder, as a path or a `file:` URL
 * @throws TypeError for a prefix without a leading slash. A request gets a 412 or 416 for a condition or a range that fails.
 * @example
 * ```ts
 * createApp({ controllers, middleware: [files(new URL('../public', import.meta.url), { maxAge: 3600 })] });
 * ```
 */
export function files(root: string | URL, options: FilesOptions = {}): Middleware {
  checkOptionsOf(options, OPTIONS, 'files');
  const { prefix = '', index = 'index.html', maxAge = 0, immutable = false } = options;
  const mount = prefixOf(prefix);
  const settings: send.SendOptions = {
    root: typeof root === 'string' ? root : fileURLToPath(root),
    index,
    maxAge: maxAge * 1_000,
    immutable,
    dotfiles: 'ignore',
  };
  return async function files(ctx, next) {
    const { kind, method, path, request } = ctx;
    if (kind !== 'http' || (method !== 'GET' && method !== 'HEAD') || !isBelow(path, mount)) return next();
    // No file name has a slash; a decoded one would bypass guards of paths.
    if (/%2f/i.test(path)) return next();
    const { folder, search } = targetOf(receivedTarget(request), path);
    const name = path.slice(mount.length);
    const inside = name === '' || name === '/';
    const target = inside ? '/' : folder ? `${name}/` : name;
    let found = await send(request, target, settings);
    const range = rangeWithin(request.headers.range, found.headers['Content-Range']);
    if (range !== undefined) {
      found.stream.destroy();
      const headers = { ...request.headers, range };
      found = await send({ method, headers } as IncomingMessage, target, settings);
    }
    if (found.type === 'error') {
      if (found.statusCode < 500 && found.statusCode !== 412 && found.statusCode !== 416) return next();
      throw failure(found);
    }
    if (found.type === 'directory' || (inside && !folder)) {
      found.stream.destroy();
      // Without the slash the page's own links would point beside the folder.
      if (index === false) return next();
      ctx.status = 308;
      ctx.setHeader('location', `${encodeURI(path).replaceAll('%25', '%')}/${search}`);
      return;
    }
    // Closes the file if the client disconnects before the body is read.
    ctx.defer(() => void found.stream.destroy());
    for (const [field, value] of Object.entries(found.headers)) ctx.setHeader(field, value);
    ctx.status = found.statusCode;
    if (found.statusCode !== 304) ctx.send(found.stream);
  };
}

/** Whether the target ends with a slash, and its query: the canonical path has neither. */
function targetOf(url: string, path: string): { folder: boolean; search: string } {
  const mark = url.indexOf('?');
  const target = mark === -1 ? url : url.slice(0, mark);
  return { folder: path === '/' || target.endsWith('/'), search: mark === -1 ? '' : url.slice(mark) };
}

/**
 * The ranges of a request with longer suffixes cut to the length of the file; undefined if there are none. A longer suffix means
 * the whole file (RFC 9110, section 14.1.2), but `send` ignores it.
 */
function rangeWithin(range: string | undefined, contentRange: string | undefined): string | undefined {
  const length = /\/([1-9]\d*)$/.exec(contentRange ?? '')?.[1];
  if (range === undefined || length === undefined) return undefined;
  const within = range.replace(/(?<=[=,]\s*-)\d+(?=\s*(?:,|$))/g, (suffix) =>
    Number(suffix) > Number(length) ? length : suffix,
  );
  return within === range ? undefined : within;
}

function failure({ statusCode, headers, metadata }: send.ErrorSendResult): HttpError {
  const range = headers['Content-Range'];
  return new HttpError(statusCode, undefined, {
    cause: metadata.error,
    headers: range === undefined ? {} : { 'content-range': range },
  });
}

function prefixOf(prefix: string): string {
  const mount = prefix.replace(/\/+$/, '');
  if (mount !== '' && !mount.startsWith('/'))
    throw new TypeError(`files: a prefix begins with a slash, '${prefix}' does not`);
  return mount;
}

function isBelow(path: string, mount: string): boolean {
  return (
    path.startsWith(mount) && (path.length === mount.length || mount === '' || path[mount.length] === '/')
  );
}

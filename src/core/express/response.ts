import { ServerResponse, STATUS_CODES } from 'node:http';
import { basename, extname } from 'node:path';
import { create as disposition } from 'content-disposition';
import { stringifySetCookie, type SerializeOptions } from 'cookie';
import { sign } from 'cookie-signature';
import encodeUrl from 'encodeurl';
import { parse as parseType } from 'fast-content-type-parse';
import mime from 'mime-types';
import vary from 'vary';
import type { Context } from '../exchange/context.js';
import { HttpError } from '../base/errors.js';
import { applicationOf, entityTag, type Application } from './application.js';
import { EXCHANGE } from '../node/request.js';
import { Extension } from './extend.js';
import type { ExpressRequest } from './request.js';
import { sendFile, type SendFileOptions } from './send-file.js';

/** Options of `res.cookie`: `maxAge` is in milliseconds. */
interface CookieOptions extends Omit<SerializeOptions, 'maxAge'> {
  maxAge?: number | null;
  signed?: boolean;
}

type Handler = (req: ExpressRequest, res: ExpressResponse, next: (error?: unknown) => void) => unknown;
type Done = (error?: unknown) => void;

/** The response of Express 5, without views. */
export class ExpressResponse extends ServerResponse<ExpressRequest> {
  declare [EXCHANGE]: Context;

  get app(): Application {
    return applicationOf(this[EXCHANGE].environment);
  }

  /** Created at the first use. */
  get locals(): Record<string, unknown> {
    const value = Object.create(null) as Record<string, unknown>;
    this.locals = value;
    return value;
  }

  set locals(value: Record<string, unknown>) {
    Object.defineProperty(this, 'locals', { value, configurable: true, enumerable: true, writable: true });
  }

  status(code: number): this {
    if (!Number.isInteger(code)) {
      throw new TypeError(`Invalid status code: ${JSON.stringify(code)}. Status code must be an integer.`);
    }
    if (code < 100 || code > 999) {
      throw new RangeError(
        `Invalid status code: ${JSON.stringify(code)}. Status code must be greater than 99 and less than 1000.`,
      );
    }
    this.statusCode = code;
    return this;
  }

  sendStatus(code: number): this {
    this.status(code).type('txt');
    return this.send(STATUS_CODES[code] ?? String(code));
  }

  links(links: Record<string, string | string[]>): this {
    const before = this.get('link');
    const added = Object.entries(links).flatMap(([rel, urls]) =>
      [urls].flat().map((url) => `<${url}>; rel="${rel}"`),
    );
    return this.set('Link', [...(before ? [String(before)] : []), ...added].join(', '));
  }

  send(body?: unknown): this {
    if (typeof body === 'boolean' || typeof body === 'number') return this.json(body);
    if (typeof body === 'object' && body !== null && !ArrayBuffer.isView(body)) return this.json(body);
    let bytes: Uint8Array | undefined = undefined;
    if (typeof body === 'string') {
      const type = this.get('content-type');
      if (typeof type === 'string' && type.includes('/')) this.set('Content-Type', withCharset(type));
      else this.type('html');
      bytes = Buffer.from(body);
    } else if (body === null) {
      bytes = Buffer.alloc(0);
    } else if (body !== undefined) {
      if (!this.get('content-type')) this.type('bin');
      const { buffer, byteOffset, byteLength } = body as NodeJS.ArrayBufferView;
      bytes = Buffer.from(buffer, byteOffset, byteLength);
    }
    if (bytes !== undefined) {
      if (!this.get('transfer-encoding')) this.set('Content-Length', bytes.length);
      if (!this.get('etag')) this.set('ETag', entityTag(bytes));
    }
    if (this.req.fresh) this.status(304);
    if (this.statusCode === 204 || this.statusCode === 304) {
      for (const name of ['content-type', 'content-length', 'transfer-encoding']) this.removeHeader(name);
      bytes = undefined;
    }
    if (this.statusCode === 205) {
      this.set('Content-Length', '0').removeHeader('transfer-encoding');
      bytes = undefined;
    }
    if (this.req.method === 'HEAD' || bytes === undefined) this.end();
    else this.end(bytes);
    return this;
  }

  json(value?: unknown): this {
    const text: string | undefined = JSON.stringify(value);
    if (!this.get('content-type')) this.set('Content-Type', 'application/json');
    return this.send(text);
  }

  jsonp(value?: unknown): this {
    const { callback } = this.req.query as { callback?: string | string[] };
    const [name = ''] = [callback ?? ''].flat();
    if (!this.get('content-type') || name !== '') this.set('X-Content-Type-Options', 'nosniff');
    if (name === '') return this.json(value);
    this.set('Content-Type', 'text/javascript');
    const called = name.replace(/[^[\]\w$.]/g, '');
    const json: string | undefined = JSON.stringify(value);
    const text = (json ?? '').replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029');
    // The comment prevents the response from being read as anything but a script.
    return this.send(`/**/ typeof ${called} === 'function' && ${called}(${text});`);
  }

  sendFile(path: string, options?: SendFileOptions | Done, done?: Done): void {
    if (typeof options === 'function') sendFile(this, path, {}, options);
    else sendFile(this, path, options ?? {}, done);
  }

  download(
    path: string,
    name?: string | SendFileOptions | Done | null,
    options?: SendFileOptions | Done | null,
    done?: Done,
  ): void {
    const callback = [name, options, done].find((one) => typeof one === 'function');
    const given = [options, name].find((one) => typeof one === 'object' && one !== null) as
      SendFileOptions | undefined;
    const shown = basename(typeof name === 'string' && name !== '' ? name : path);
    const others = Object.entries(given?.headers ?? {}).filter(
      ([field]) => field.toLowerCase() !== 'content-disposition',
    );
    const headers = { 'Content-Disposition': disposition(shown), ...Object.fromEntries(others) };
    sendFile(this, path, { ...given, headers, relative: true }, callback as Done | undefined);
  }

  type(type: string): this {
    const full = type.includes('/') ? type : mime.contentType(type) || 'application/octet-stream';
    return this.set('Content-Type', full);
  }

  contentType(type: string): this {
    return this.type(type);
  }

  format(handlers: Record<string, Handler>): this {
    const { req } = this;
    const keys = Object.keys(handlers).filter((key) => key !== 'default');
    const key = keys.length > 0 ? req.accepts(...keys) : false;
    this.vary('Accept');
    if (typeof key === 'string') {
      this.set('Content-Type', typeOf(key));
      handlers[key]?.(req, this, req.next);
    } else if (handlers.default !== undefined) handlers.default(req, this, req.next);
    else req.next(new HttpError(406, undefined, { extensions: { types: keys.map(typeOf) } }));
    return this;
  }

  attachment(filename?: string): this {
    const name = filename === undefined ? undefined : basename(filename);
    if (name) this.type(extname(name));
    return this.set('Content-Disposition', disposition(name));
  }

  append(field: string, value: string | readonly string[]): this {
    const before = this.get(field);
    return this.set(field, before ? [before, value].flat().map(String) : value);
  }

  set(field: string | Record<string, unknown>, value?: unknown): this {
    if (arguments.length < 2 || typeof field !== 'string') {
      for (const name in field as Record<string, unknown>) {
        this.set(name, (field as Record<string, unknown>)[name]);
      }
      return this;
    }
    let text = Array.isArray(value) ? value.map(String) : String(value);
    if (field.toLowerCase() === 'content-type') {
      if (typeof text !== 'string') throw new TypeError('Content-Type cannot be set to an Array');
      text = mime.contentType(text) || text;
    }
    this.setHeader(field, text);
    return this;
  }

  header(field: string | Record<string, unknown>, ...value: [unknown?]): this {
    return value.length === 0 ? this.set(field as Record<string, unknown>) : this.set(field, value[0]);
  }

  get(field: string): number | string | string[] | undefined {
    return this.getHeader(field);
  }

  cookie(name: string, value: unknown, options: CookieOptions = {}): this {
    const { signed, maxAge, ...rest } = options;
    const { secret } = this.req;
    let text = typeof value === 'object' ? `j:${JSON.stringify(value)}` : String(value as string);
    if (signed) {
      if (!secret) throw new Error('cookieParser("secret") required for signed cookies');
      text = `s:${sign(text, secret)}`;
    }
    const settings: SerializeOptions = { ...rest, path: rest.path ?? '/' };
    // Express takes milliseconds, RFC 6265 seconds.
    if (maxAge !== undefined && maxAge !== null) {
      settings.maxAge = Math.floor(Number(maxAge) / 1_000);
      if (!Number.isNaN(settings.maxAge)) settings.expires = new Date(Date.now() + Number(maxAge));
    }
    return this.append('Set-Cookie', stringifySetCookie(name, text, settings));
  }

  clearCookie(name: string, options: CookieOptions = {}): this {
    const { maxAge: _, ...rest } = options;
    return this.cookie(name, '', { path: '/', ...rest, expires: new Date(1) });
  }

  location(url: string): this {
    return this.set('Location', encodeUrl(url));
  }

  redirect(...args: [string] | [number, string]): void {
    const [status, url] = args.length === 1 ? [302, args[0]] : args;
    const address = String(this.location(url).get('location'));
    const phrase = STATUS_CODES[status] ?? String(status);
    let body = '';
    this.format({
      text: () => void (body = `${phrase}. Redirecting to ${address}`),
      html: () => {
        const head = `<!DOCTYPE html><head><title>${phrase}</title></head>`;
        body = `${head}<body><p>${phrase}. Redirecting to ${escapeHtml(address)}</p></body>`;
      },
      default: () => undefined,
    });
    this.status(status).set('Content-Length', Buffer.byteLength(body));
    if (this.req.method === 'HEAD') this.end();
    else this.end(body);
  }

  vary(field: string | string[]): this {
    vary(this, field);
    return this;
  }
}

export const responses = new Extension(ExpressResponse);

function typeOf(type: string): string {
  return type.includes('/')
    ? (type.split(';', 1)[0] ?? '').trim()
    : mime.lookup(type) || 'application/octet-stream';
}

/** A type with `charset=utf-8` and its parameters in alphabetical order, as in Express. */
function withCharset(type: string): string {
  const { type: name, parameters } = readType(type);
  const all: Record<string, string> = { ...parameters, charset: 'utf-8' };
  return Object.keys(all)
    .sort()
    .reduce((text, key) => `${text}; ${key}=${quoted(all[key] ?? '')}`, name);
}

/** Parses a type; drops malformed parameters, as Express does. */
function readType(type: string): ReturnType<typeof parseType> {
  try {
    return parseType(type);
  } catch {
    return { type: (type.split(';', 1)[0] ?? '').trim(), parameters: {} };
  }
}

function quoted(value: string): string {
  return /^[!#$%&'*+.^_`|~\w-]+$/.test(value) ? value : `"${value.replace(/[\\"]/g, '\\$&')}"`;
}

const ENTITIES: Record<string, string> = {
  '"': '&quot;',
  '&': '&amp;',
  "'": '&#39;',
  '<': '&lt;',
  '>': '&gt;',
};

function escapeHtml(text: string): string {
  return text.replace(/["&'<>]/g, (character) => ENTITIES[character] ?? character);
}

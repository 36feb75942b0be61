import { IncomingMessage, type ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import { parse } from 'node:querystring';
import proxyAddress from '@fastify/proxy-addr';
import accepts from 'accepts';
import fresh from 'fresh';
import parseRange from 'range-parser';
import typeIs from 'type-is';
import type { Context } from '../exchange/context.js';
import { readQuery } from '../node/query.js';
import { applicationOf, type Application } from './application.js';
import { EXCHANGE } from '../node/request.js';
import { Extension } from './extend.js';

/** The request of Express 5. */
export class ExpressRequest extends IncomingMessage {
  declare [EXCHANGE]: Context;
  /** The response of the request. */
  declare res: ServerResponse & { get(name: string): ReturnType<ServerResponse['getHeader']> };
  /** `next` of the current middleware. */
  declare next: (error?: unknown) => void;
  /** Set by cookie-parser. */
  declare secret: string | undefined;
  declare originalUrl: string;
  declare baseUrl: string;

  get app(): Application {
    return applicationOf(this[EXCHANGE].environment);
  }

  // The request has its own properties `user` and `session`; these apply after a `delete`.

  get user(): unknown {
    return undefined;
  }

  set user(user: unknown) {
    Object.defineProperty(this, 'user', SHARED.user);
    this.user = user;
  }

  get session(): unknown {
    return undefined;
  }

  set session(session: unknown) {
    Object.defineProperty(this, 'session', SHARED.session);
    this.session = session;
  }

  get params(): unknown {
    return this[EXCHANGE].params;
  }

  set params(params: unknown) {
    own(this, 'params', params);
  }

  get query(): unknown {
    const { url = '/' } = this;
    const mark = url.indexOf('?');
    if (mark === -1) return parse('');
    const { limits } = this[EXCHANGE].environment;
    // Rejects too many parameters.
    readQuery(url.slice(mark + 1), limits.query);
    return parse(url.slice(mark + 1), '&', '=', { maxKeys: 0 });
  }

  set query(query: unknown) {
    own(this, 'query', query);
  }

  get path(): string {
    const { url = '/' } = this;
    const end = url.search(/[?#]/);
    return end === -1 ? url : url.slice(0, end);
  }

  get(name: string): string | string[] | undefined {
    if (!name) throw new TypeError('name argument is required to req.get');
    if (typeof name !== 'string') throw new TypeError('name must be a string to req.get');
    const lower = name.toLowerCase();
    if (lower === 'referer' || lower === 'referrer') return this.headers.referrer ?? this.headers.referer;
    return this.headers[lower];
  }

  header(name: string): string | string[] | undefined {
    return this.get(name);
  }

  accepts(...types: string[]): string | string[] | false {
    return accepts(this).types(...types);
  }

  acceptsEncodings(...encodings: string[]): string | string[] | false {
    return accepts(this).encodings(...encodings);
  }

  acceptsCharsets(...charsets: string[]): string | string[] | false {
    return accepts(this).charsets(...charsets);
  }

  acceptsLanguages(...languages: string[]): string | string[] | false {
    return accepts(this).languages(...languages);
  }

  range(size: number, options?: parseRange.Options): parseRange.Result | parseRange.Ranges | undefined {
    const range = this.get('range');
    return typeof range === 'string' ? parseRange(size, range, options) : undefined;
  }

  is(...types: string[] | [string[]]): string | false | null {
    return typeIs(this, types.flat());
  }

  get protocol(): string {
    return this[EXCHANGE].environment.secure(this) ? 'https' : 'http';
  }

  get secure(): boolean {
    return this.protocol === 'https';
  }

  get ip(): string {
    return this[EXCHANGE].environment.address(this);
  }

  set ip(ip: string) {
    own(this, 'ip', ip);
  }

  get ips(): string[] {
    const addresses = proxyAddress.all(this, this[EXCHANGE].environment.trust);
    // Farthest first, without the peer.
    return addresses.toReversed().slice(0, -1);
  }

  get host(): string | undefined {
    return this[EXCHANGE].environment.host(this) || undefined;
  }

  get hostname(): string | undefined {
    const { host } = this;
    if (host === undefined) return undefined;
    const port = host.indexOf(':', host.startsWith('[') ? host.indexOf(']') + 1 : 0);
    return port === -1 ? host : host.slice(0, port);
  }

  get subdomains(): string[] {
    const { hostname } = this;
    if (hostname === undefined) return [];
    const labels = isIP(hostname) === 0 ? hostname.split('.').reverse() : [hostname];
    return labels.slice(2);
  }

  get fresh(): boolean {
    const { method, res } = this;
    if (method !== 'GET' && method !== 'HEAD') return false;
    const { statusCode: status } = res;
    if ((status < 200 || status >= 300) && status !== 304) return false;
    return fresh(this.headers, { etag: res.get('etag'), 'last-modified': res.get('last-modified') });
  }

  get stale(): boolean {
    return !this.fresh;
  }

  get xhr(): boolean {
    return String(this.get('x-requested-with') ?? '').toLowerCase() === 'xmlhttprequest';
  }
}

/** Replaces an accessor by a property of the request, because Express has a plain, writable property. */
function own(request: ExpressRequest, name: string, value: unknown): void {
  Object.defineProperty(request, name, { value, configurable: true, enumerable: true, writable: true });
}

/**
 * User and session of the exchange. They are own properties of the request, because middleware removes them with `delete`, as
 * express-session does when a session is destroyed.
 */
const SHARED = {
  user: {
    configurable: true,
    enumerable: true,
    get(this: ExpressRequest): unknown {
      return this[EXCHANGE].user;
    },
    set(this: ExpressRequest, user: unknown): void {
      this[EXCHANGE].user = (user ?? undefined) as Context['user'];
    },
  },
  session: {
    configurable: true,
    enumerable: true,
    get(this: ExpressRequest): unknown {
      return this[EXCHANGE].session;
    },
    set(this: ExpressRequest, session: unknown): void {
      this[EXCHANGE].session = session ?? undefined;
    },
  },
};

const requests = new Extension(ExpressRequest);

/** Whether the request itself was extended for the exchange. */
export function isExtended(request: IncomingMessage, ctx: Context): request is ExpressRequest {
  return requests.has(request, ctx);
}

/** Adds Express's members to a request. */
export function extendRequest(request: IncomingMessage, ctx: Context): void {
  requests.apply(request, ctx);
  Object.defineProperties(request, SHARED);
}

import type { Middleware, Next } from '../../core/routing/middleware.js';
import type { Context } from '../../core/exchange/context.js';
import { stringifySetCookie, type SetCookie } from '../../core/exchange/header-fields.js';
import { ConfigurationError } from '../../core/base/errors.js';
import {
  callback,
  checkOptionsOf,
  isObject,
  oneOf,
  POSITIVE,
  SWITCH,
  TEXT,
  withMethods,
  type Checks,
} from '../../core/base/option-checks.js';
import { checkOrigin, originRule } from '../../core/routing/origins.js';
import { Session } from '../../core/exchange/session.js';
import { SessionManager } from './manager.js';
import { MemoryStore, type SessionStore } from './store.js';

/** Options of `sessions()`. */
export interface SessionOptions {
  /** Where sessions are stored: any Keyv store fits. In the memory of this process by default. */
  store?: SessionStore;
  /** The cookie: `__Host-session`, `Secure`, `HttpOnly`, `SameSite=Lax` by default. */
  cookie?: SetCookie & { name?: string };
  /** Milliseconds without use after which a session ends; 1,800,000 (30 minutes) by default. */
  idle?: number;
  /** Milliseconds after which a session ends in any case, and its connections with it; 43,200,000 (12 hours) by default. */
  absolute?: number;
  /** Whether use extends the idle time; `true` by default. */
  rolling?: boolean;
  /**
   * Whether unsafe methods get a 403 if `Origin` or `Sec-Fetch-Site` names a page of another site that `createApp({ origins })`
   * does not allow (CSRF), with or without the cookie; `true` by default. A list allows further origins.
   */
  sameOrigin?: boolean | readonly string[];
}

const OPTIONS: Checks<SessionOptions> = {
  store: withMethods('a store', 'get', 'set', 'delete'),
  cookie: ['the options of its cookie', isObject],
  idle: POSITIVE,
  absolute: POSITIVE,
  rolling: SWITCH,
  sameOrigin: [
    'true, false or a list of origins',
    (value) => typeof value === 'boolean' || Array.isArray(value),
  ],
};
const COOKIE: Checks<NonNullable<SessionOptions['cookie']>> = {
  name: ['a name', (value) => typeof value === 'string' && value !== ''],
  encode: callback('(text)'),
  maxAge: ['a whole number of seconds', Number.isInteger],
  expires: ['a Date', (value) => value instanceof Date],
  domain: TEXT,
  path: TEXT,
  httpOnly: SWITCH,
  secure: SWITCH,
  partitioned: SWITCH,
  priority: oneOf('low', 'medium', 'high'),
  sameSite: oneOf('lax', 'strict', 'none', true, false),
};
const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);
const TOKEN = /^[\w-]{43}$/;

/**
 * Middleware that provides `ctx.session` and `@Session()` in all kinds of methods, and rejects unsafe methods from pages of other
 * sites (CSRF). The end of a session ends its connections.
 *
 * @throws ConfigurationError for unknown or wrong options, and for a cookie that cannot be written or that browsers would drop
 * @example
 * ```ts
 * createApp({ controllers, middleware: [sessions({ store: new Keyv(redis), idle: 15 * 60_000 })] });
 * ```
 */
export function sessions(options: SessionOptions = {}): Middleware {
  checkOptionsOf(options, OPTIONS, 'sessions');
  checkOptionsOf(options.cookie ?? {}, COOKIE, 'sessions, cookie');
  const { store = new MemoryStore(), idle = 1_800_000, absolute = 43_200_000, rolling = true } = options;
  const { sameOrigin = true } = options;
  const listed = originRule(typeof sameOrigin === 'boolean' ? [] : sameOrigin, 'sessions: sameOrigin');
  const { name = '__Host-session', ...given } = options.cookie ?? {};
  const cookie: SetCookie = { secure: true, httpOnly: true, sameSite: 'lax', path: '/', ...given };
  checkCookie(name, cookie);
  const managers = new WeakMap<object, SessionManager>();
  const managerOf = ({ environment }: Context): SessionManager => {
    let manager = managers.get(environment);
    if (manager === undefined) {
      const { connections, logger } = environment;
      manager = new SessionManager(
        store,
        { idle, absolute, rolling },
        {
          revoke: (session, reason) => connections.revoke({ session }, reason),
          close: (session, reason) => connections.revokeHere({ session }, reason),
          report: (err) => logger.error({ err }, 'session could not be ended'),
        },
      );
      managers.set(environment, manager);
    }
    return manager;
  };
  return async function sessions(ctx: Context, next: Next): Promise<void> {
    const manager = managerOf(ctx);
    const token = ctx.cookies[name];
    // Also without the cookie: a page of another site could sign the visitor in as a different user.
    if (sameOrigin !== false && !SAFE.has(ctx.method)) {
      const checking = checkOrigin(ctx, ctx.environment.origins, listed);
      if (checking !== undefined) await checking;
    }
    const active = token !== undefined && TOKEN.test(token) ? await manager.find(token) : undefined;
    const session = new Session(manager, active, {
      get settable() {
        return !ctx.headSent;
      },
      set(value) {
        dropCookie(ctx, name);
        ctx.setCookie(name, value ?? '', value === undefined ? { ...cookie, maxAge: 0 } : cookie);
      },
    });
    ctx.session = session;
    if (active !== undefined) session.touch();
    await next();
  };
}

/** @throws ConfigurationError for a cookie that cannot be written, or that browsers would drop. */
function checkCookie(name: string, cookie: SetCookie): void {
  try {
    stringifySetCookie(name, 'x'.repeat(43), cookie);
  } catch (cause) {
    throw new ConfigurationError(
      `sessions: the cookie ${name} cannot be written: ${(cause as Error).message}`,
      { code: 'INVALID_OPTION', cause },
    );
  }
  const isDropped = /^__Host-/i.test(name)
    ? cookie.secure !== true || cookie.path !== '/' || cookie.domain !== undefined
    : (/^__Secure-/i.test(name) || cookie.sameSite === 'none') && cookie.secure !== true;
  if (!isDropped) return;
  throw new ConfigurationError(
    `sessions: browsers drop the cookie ${name}: SameSite=None and the prefixes __Secure- and __Host- take Secure, and ` +
      '__Host- the path / and no domain, too; give the cookie these, or another name',
    { code: 'INVALID_OPTION' },
  );
}

/** Removes an earlier Set-Cookie of the session: only the last value is sent. */
function dropCookie({ response }: Context, name: string): void {
  const set = response.getHeader('set-cookie');
  if (!Array.isArray(set) && typeof set !== 'string') return;
  const others = [set].flat().filter((one) => !one.startsWith(`${name}=`));
  if (others.length === 0) response.removeHeader('set-cookie');
  else response.setHeader('set-cookie', others);
}

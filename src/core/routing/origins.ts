import type { Context } from '../exchange/context.js';
import { ConfigurationError, HttpError } from '../base/errors.js';
import { known } from '../exchange/shown-error.js';
import { isThenable } from '../base/promises.js';

declare module '../exchange/environment.js' {
  interface Environment {
    readonly origins: OriginRule;
  }
}

/**
 * Which pages of other sites may open sockets and send unsafe methods: none, all, a list of origins, or a function
 * that allows one by returning `true`, or a promise of it. Own pages always may.
 */
export type OriginPolicy =
  | 'same-origin'
  | '*'
  | readonly string[]
  | ((origin: string, context: Context) => boolean | PromiseLike<boolean>);

/** A compiled policy: decides whether a request may come from a foreign, normalised origin. */
export type OriginRule = typeof ANY | ((origin: string, ctx: Context) => unknown);

const ANY = Symbol('any origin');
/** A serialised origin (RFC 6454, section 6.2): no user, path or query. */
const ORIGIN = /^([a-z][a-z\d+.-]*):\/\/([\w-]+(?:\.[\w-]+)*|\[[\da-f:.]+\])\.?(?::([1-9]\d{0,4})?)?$/i;
const DEFAULT_PORTS: Readonly<Record<string, string | undefined>> = { http: '80', https: '443' };

/**
 * Rejects requests that a page of another site makes with the visitor's cookies (CSRF). Browsers name the page in
 * `Sec-Fetch-Site` (W3C Fetch Metadata) or `Origin` (RFC 6454). A client that sends neither is not a browser.
 *
 * @throws HttpError 403 if either names another site, and no rule allows its origin; returns a promise if a rule does
 */
export function checkOrigin(ctx: Context, ...rules: readonly OriginRule[]): void | Promise<void> {
  const { origin: sent, 'sec-fetch-site': site } = ctx.headers;
  if (sent === undefined && (site === undefined || site === 'same-origin' || site === 'none')) return;
  if (rules.includes(ANY)) return;
  // Node joins two Origin fields by a comma, which does not parse as an origin.
  const origin = sent === undefined ? undefined : normalOrigin(sent);
  if (origin !== undefined) {
    const near = site === undefined || site === 'same-origin' || site === 'none';
    if (near && origin === ownOrigin(ctx)) return;
    const answers = rules.map((rule) => rule !== ANY && ask(rule, origin, ctx));
    return answers.some(isThenable) ? Promise.all(answers).then(decide) : decide(answers);
  }
  throw foreign();
}

/** Asks a rule. If it throws an `HttpError`, that is the response; any other error is logged, and the origin rejected. */
function ask(rule: Exclude<OriginRule, typeof ANY>, origin: string, ctx: Context): unknown {
  const fail = (error: unknown): never => {
    if (known(error) !== undefined || ctx.ended) throw error;
    const { logger } = ctx.environment;
    logger.error({ err: error, origin, requestId: ctx.id, path: ctx.path }, 'the check of an origin failed');
    throw foreign(error);
  };
  try {
    const answer = rule(origin, ctx);
    return isThenable(answer) ? Promise.resolve(answer).catch(fail) : answer;
  } catch (error) {
    return fail(error);
  }
}

function decide(answers: readonly unknown[]): void {
  if (!answers.includes(true)) throw foreign();
}

function foreign(cause?: unknown): HttpError {
  return new HttpError(403, 'The request comes from a page of another site', {
    code: 'ORIGIN_FORBIDDEN',
    cause,
  });
}

/** Compiles a policy. @throws ConfigurationError for an entry that is not an origin as browsers send it */
export function originRule(policy: OriginPolicy, where: string): OriginRule {
  if (policy === '*') return ANY;
  if (policy === 'same-origin') return () => false;
  if (typeof policy === 'function') return policy;
  const listed: readonly unknown[] = Array.isArray(policy) ? policy : [policy];
  const wrong = Array.isArray(policy) ? listed.findIndex((origin) => !isListable(origin)) : 0;
  if (wrong !== -1) {
    throw new ConfigurationError(
      `${where}: origins takes 'same-origin', '*', a function, or a list of origins such as ` +
        `'https://example.com', not ${JSON.stringify(listed[wrong])}`,
      { code: 'INVALID_OPTION' },
    );
  }
  const allowed = new Set(policy.map(normalOrigin));
  return (origin) => allowed.has(origin);
}

/** As browsers send it, in lower case. */
function isListable(origin: unknown): boolean {
  return typeof origin === 'string' && origin === origin.toLowerCase() && normalOrigin(origin) !== undefined;
}

function ownOrigin({ environment, request }: Context): string | undefined {
  return normalOrigin(
    `${environment.secure(request) ? 'https' : 'http'}://${environment.host(request) ?? ''}`,
  );
}

/**
 * The canonical spelling of an origin: lower case, without default port and trailing dot (RFC 3986, section 6.2), IPv6
 * addresses as browsers write them. Undefined if the text is not an origin.
 */
export function normalOrigin(text: string): string | undefined {
  if (text === 'null') return text;
  const [, scheme = '', name = '', port] = ORIGIN.exec(text)?.map((part) => part?.toLowerCase()) ?? [];
  const host = name.startsWith('[') ? literal(name) : name;
  if (host === '' || Number(port ?? 0) > 65_535) return undefined;
  return `${scheme}://${host}${port === undefined || port === DEFAULT_PORTS[scheme] ? '' : `:${port}`}`;
}

/** The shortest form of an IPv6 address (RFC 5952); empty if the text is not an address. */
function literal(name: string): string {
  return URL.canParse(`http://${name}`) ? new URL(`http://${name}`).hostname : '';
}

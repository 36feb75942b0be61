import { compose, type ResolvedMiddleware, type Step } from '../routing/middleware.js';
import { NOTHING, type Outcome } from '../exchange/outcome.js';
import { HttpError, LimitReached } from '../base/errors.js';
import { needScope } from '../routing/resolve-middleware.js';
import { isThenable } from '../base/promises.js';
import type { Match, Route, Router } from '../routing/router.js';
import { endingScope } from '../routing/scoped-step.js';

const PLAIN = { kind: 'http', verb: 'ALL', path: '*', host: undefined } as const;

/**
 * What no route answers: 404, 405 with `Allow`, and OPTIONS. It still goes through the application's middleware,
 * so that a preflight reaches its CORS.
 */
export function nowhere(router: Router, application: readonly ResolvedMiddleware[]): Route {
  const step: Step = (ctx) => {
    const allow = router.allowed(ctx.path, ctx.request);
    if (allow.length === 0) throw new HttpError(404);
    ctx.setHeader('allow', allow.join(', '));
    if (ctx.method !== 'OPTIONS') throw new HttpError(405);
    return NOTHING;
  };
  const chain = endingScope(needScope(application), compose(application, step));
  return { ...PLAIN, name: 'no route', chain };
}

/** A plain request for a socket's path: the same guard, and then 426 (RFC 9110, section 15.5.22). */
export function upgradeRequired(match: Match | undefined): Match | undefined {
  if (match === undefined) return undefined;
  const { route, params } = match;
  const refuse = (outcome: Outcome): Outcome => {
    if (outcome.type === 'refused') return outcome;
    throw new HttpError(426, 'This resource is a WebSocket', {
      // Without `close` Node would keep the connection of a client that asked for its end.
      headers: { upgrade: 'websocket', connection: 'upgrade, close' },
    });
  };
  const chain: Step = (ctx) => {
    const outcome = route.chain(ctx);
    return isThenable(outcome) ? (outcome as Promise<Outcome>).then(refuse) : refuse(outcome as Outcome);
  };
  return { params, route: { ...route, kind: 'http', chain } };
}

/** What an orchestrator asks: whether the process lives, and whether it takes new work. No middleware stands before it. */
export function probe(isDraining: () => boolean): Route {
  const chain: Step = (ctx) => {
    if (ctx.method !== 'GET' && ctx.method !== 'HEAD') {
      throw new HttpError(405, undefined, { headers: { allow: 'GET, HEAD' } });
    }
    if (ctx.path === '/readyz' && isDraining()) throw goingDown();
    ctx.setHeader('cache-control', 'no-store').send('ok');
    return NOTHING;
  };
  return { ...PLAIN, name: 'health', chain };
}

/** The answer to new work once the application is closing. */
export function goingDown(): HttpError {
  return new LimitReached(503, 'The server is going down', {
    code: 'SHUTTING_DOWN',
    headers: { 'retry-after': '1', connection: 'close' },
  });
}

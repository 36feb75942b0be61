import type { IncomingMessage } from 'node:http';
import Negotiator from 'negotiator';
import type { Context } from '../exchange/context.js';
import type { Route } from '../routing/router.js';

const FORMS = ['text/event-stream', 'application/json', 'text/html', 'text/plain'];

/** Whether the client would rather have an event stream than another form of the resource. */
export function prefersStream(request: IncomingMessage): boolean {
  if (!/text\/event-stream/i.test(request.headers.accept ?? '')) return false;
  const [best] = new Negotiator(request).mediaTypes(FORMS);
  return best === 'text/event-stream';
}

/** Whether `Accept` decides between this route and another: a cache is to keep their answers apart. */
export function varies({ kind, verb, path, host }: Route, routes: readonly Route[]): boolean {
  if (kind === 'websocket') return false;
  const other = kind === 'http' ? 'sse' : 'http';
  return routes.some(
    (route) =>
      route.kind === other && isOneOf(route.verb, verb) && route.path === path && route.host === host,
  );
}

/** The route with `Vary: Accept` in its answers (RFC 9110, section 12.5.5). */
export function varying<R extends Route>(route: R): R {
  const { chain } = route;
  return {
    ...route,
    chain: (ctx: Context) => {
      ctx.appendHeader('vary', 'Accept');
      return chain(ctx);
    },
  };
}

/** Whether a request can be meant for both. */
function isOneOf(verb: string, other: string): boolean {
  return verb === other || verb === 'ALL' || other === 'ALL';
}

import type { IncomingMessage } from 'node:http';
import FindMyWay from 'find-my-way';
import { hostname, refuseDotSegments } from './canonical-path.js';
import type { Kind } from '../exchange/context.js';
import { ConfigurationError } from '../base/errors.js';
import { VERBS } from './metadata.js';
import type { Step } from './middleware.js';
import { checkTemplate, patternsOf } from './path-template.js';

/** How one kind of method answers on one path: compiled from the decorators at start-up. */
export interface Route {
  readonly kind: Kind;
  /** The method of the request; GET for sockets. */
  readonly verb: string;
  /** The full template of the path. */
  readonly path: string;
  readonly host: string | undefined;
  /** `RoomController.show`, as errors and logs name it. */
  readonly name: string;
  /** Runs the middleware, then the method as its kind does. */
  readonly chain: Step;
}

export interface Match {
  readonly route: Route;
  readonly params: Readonly<Record<string, string>>;
}

/** The parameters of a path without any: one record for all. */
export const NO_PARAMS: Match['params'] = Object.freeze(Object.create(null) as Record<string, string>);

/** A route in the tree, and facts about the parameters of its path. */
interface Stored {
  readonly route: Route;
  /** Whether it has no parameters. */
  readonly bare: boolean;
  /** Whether a parameter is a part of a segment, such as `:name.json`: it may be `..` although the path is canonical. */
  readonly partial: boolean;
}

type Tree = FindMyWay.Instance<FindMyWay.HTTPVersion.V1>;

// find-my-way limits parameters to 100 characters by default. Here `limits.head` bounds them.
const MAX_PARAMETER = 1 << 20;

const WHOLE = /^(?::\w+\??|\*|[^:*]*)$/;

/** Finds routes by canonical path: one tree for each kind. */
export class Router {
  readonly #trees: Record<Kind, Tree> = { http: tree(), sse: tree(), websocket: tree() };
  readonly #names = new Map<string, string>();
  #hasHosts = false;

  /** @throws ConfigurationError for a duplicate, naming both methods, and for an invalid template */
  add(route: Route): void {
    const { kind, verb, path, host, name } = route;
    checkTemplate(path, name);
    const methods = verb === 'ALL' ? [...VERBS] : [verb as FindMyWay.HTTPMethod];
    const patterns = patternsOf(path);
    for (const method of methods) {
      for (const pattern of patterns) {
        const key = `${kind} ${method} ${host ?? ''} ${pattern}`;
        const other = this.#names.get(key);
        if (other !== undefined) {
          const why = path.includes('(') ? ' (expressions and names of parameters make no difference)' : '';
          throw new ConfigurationError(
            `${name} and ${other} both answer ${label(kind, method)} ${path}${why}: change the path of one, or remove it`,
            { code: 'DUPLICATE_ROUTE' },
          );
        }
        this.#names.set(key, name);
      }
    }
    if (host !== undefined) this.#hasHosts = true;
    try {
      this.#trees[kind].on(methods, path, host === undefined ? {} : { constraints: { host } }, NOTHING, {
        route,
        bare: !/[:*]/.test(path),
        partial: !path.split('/').every((segment) => WHOLE.test(segment)),
      } satisfies Stored);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new ConfigurationError(`${name}: the router refuses ${label(kind, verb)} ${path}: ${why}`, {
        code: 'INVALID_PATH',
        cause,
      });
    }
  }

  /** The route of a canonical path. @throws HttpError 400 for a parameter with a dot segment */
  find(kind: Kind, verb: string, path: string, request: IncomingMessage): Match | undefined {
    // Reading one header field makes Node build them all: only applications with a `host` option pay for that.
    const constraints = this.#hasHosts ? { host: hostname(request.headers.host ?? '') } : undefined;
    const found = this.#trees[kind].find(verb as FindMyWay.HTTPMethod, path, constraints);
    if (found === null) return undefined;
    const { route, bare, partial } = found.store as Stored;
    if (bare) return { route, params: NO_PARAMS };
    const params = found.params as Match['params'];
    if (partial) for (const value of Object.values(params)) refuseDotSegments(value);
    return { route, params };
  }

  /** Methods that the path answers, for `Allow` (RFC 9110, section 10.2.1); none if no route has the path. */
  allowed(path: string, request: IncomingMessage): string[] {
    const verbs = new Set<string>(
      VERBS.filter((verb) => this.find('http', verb, path, request) !== undefined),
    );
    if (verbs.has('GET')) verbs.add('HEAD');
    // HEAD is not allowed on event streams and sockets: neither has a head without its events or messages.
    const opens = this.find('sse', 'GET', path, request) ?? this.find('websocket', 'GET', path, request);
    if (opens !== undefined) verbs.add('GET');
    if (this.find('sse', 'POST', path, request) !== undefined) verbs.add('POST');
    if (verbs.size > 0) verbs.add('OPTIONS');
    return [...verbs];
  }
}

/** A route as tables and errors show it: `GET`, `SSE`, `SSE POST` or `WebSocket`. */
export function label(kind: Kind, verb: string): string {
  if (kind === 'http') return verb;
  if (kind === 'websocket') return 'WebSocket';
  return verb === 'GET' ? 'SSE' : `SSE ${verb}`;
}

/** Joins the templates of a class and a method. */
export function joinPaths(...parts: string[]): string {
  const joined = parts.flatMap((part) => part.split('/')).filter((segment) => segment !== '');
  return `/${joined.join('/')}`;
}

function tree(): Tree {
  return FindMyWay({ maxParamLength: MAX_PARAMETER });
}

// find-my-way requires a handler; the route is in the store instead.
const NOTHING = (): void => undefined;

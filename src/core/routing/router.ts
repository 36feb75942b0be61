import type { IncomingMessage } from 'node:http';
import FindMyWay from 'find-my-way';
import { canonicalPath, hostname, refuseDotSegments, urlPath } from './canonical-path.js';
import type { Kind, Context } from '../exchange/context.js';
import { ConfigurationError } from '../base/errors.js';
import { VERBS } from './metadata.js';
import { checkTemplate, patternsOf } from './path-template.js';

/** One kind of answer on one path: what start-up has folded from the decorators. */
export interface Route {
  readonly kind: Kind;
  /** The method of the request; GET for sockets. */
  readonly verb: string;
  /** The full template of the path. */
  readonly path: string;
  readonly host: string | undefined;
  /** `RoomController.show`, as errors and logs name it. */
  readonly name: string;
  /** Makes the head: middleware, then what the kind does. */
  readonly chain: (ctx: Context) => unknown;
  /** Sends the head that was decided, and goes on as the kind does. */
  readonly conclude: (ctx: Context) => void | Promise<void>;
}

export interface Match {
  readonly route: Route;
  readonly params: Readonly<Record<string, string>>;
}

/** The parameters of a path that has none: one record for all. */
export const NO_PARAMS: Match['params'] = Object.freeze(Object.create(null) as Record<string, string>);

/** What the tree keeps: a route, and what its path says of its parameters. */
interface Stored {
  readonly route: Route;
  /** Whether there are none. */
  readonly bare: boolean;
  /** Whether any of them is a part of a segment, such as `:name.json`: the path may be canonical, and the part a `..`. */
  readonly partial: boolean;
}

type Tree = FindMyWay.Instance<FindMyWay.HTTPVersion.V1>;

// A parameter as long as the longest head is still a parameter; limits.head bounds it.
const MAX_PARAMETER = 1 << 20;

const WHOLE = /^(?::\w+\??|\*|[^:*]*)$/;

/** Finds routes by canonical path: one tree for each kind. */
export class Router {
  readonly #trees: Record<Kind, Tree> = { http: tree(), sse: tree(), websocket: tree() };
  readonly #names = new Map<string, string>();
  /** Which kinds there are, and by which methods. */
  readonly #kinds = new Set<string>();
  /** Routes without parameters, by verb and path. */
  readonly #plain = {
    http: new Map<string, Map<string, Route>>(),
    websocket: new Map<string, Map<string, Route>>(),
  };
  #hosts = false;

  /** @throws ConfigurationError for a duplicate, naming both, and for a template that cannot be read. */
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
          );
        }
        this.#names.set(key, name);
      }
    }
    for (const method of methods) this.#kinds.add(`${kind} ${method}`);
    if (host !== undefined) this.#hosts = true;
    try {
      this.#trees[kind].on(methods, path, host === undefined ? {} : { constraints: { host } }, NOTHING, {
        route,
        bare: !/[:*]/.test(path),
        partial: !path.split('/').every((segment) => WHOLE.test(segment)),
      } satisfies Stored);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new ConfigurationError(`${name}: the router refuses ${label(kind, verb)} ${path}: ${why}`, {
        cause,
      });
    }
  }

  /** Enters which of the routes, now that all are added, are found by their path alone, without a search. */
  fold(routes: readonly Route[]): void {
    if (this.#hosts) return;
    for (const { kind, verb, path } of routes) {
      if (kind === 'sse' || verb === 'ALL' || /[:*()%]/.test(path)) continue;
      if (canonicalPath(path) !== path || urlPath(path) !== path) continue;
      // Where there is a stream, too, `Accept` decides.
      const streams = kind === 'http' && this.#search('sse', verb, path, undefined);
      if (streams !== false && streams !== undefined) continue;
      const match = this.#search(kind, verb, path, undefined);
      if (match === undefined) continue;
      let byPath = this.#plain[kind].get(verb);
      if (byPath === undefined) this.#plain[kind].set(verb, (byPath = new Map()));
      byPath.set(path, match.route);
    }
  }

  /** The route of a path as it came, where that is its canonical spelling and no search is needed. */
  plain(kind: 'http' | 'websocket', verb: string, path: string): Route | undefined {
    return this.#plain[kind].get(verb)?.get(path);
  }

  /** Whether any route opens a stream by a method. */
  hasStreams(verb: string): boolean {
    return this.#kinds.has(`sse ${verb}`);
  }

  /** @throws HttpError 400 for a parameter with a dot segment. */
  find(kind: Kind, verb: string, path: string, request: IncomingMessage): Match | undefined {
    // Reading one header field has Node build them all: only where a route asks for its host.
    return this.#search(kind, verb, path, this.#hosts ? hostname(request.headers.host ?? '') : undefined);
  }

  #search(kind: Kind, verb: string, path: string, host: string | undefined): Match | undefined {
    const found = this.#trees[kind].find(
      verb as FindMyWay.HTTPMethod,
      path,
      host === undefined ? undefined : { host },
    );
    if (found === null) return undefined;
    const { route, bare, partial } = found.store as Stored;
    if (bare) return { route, params: NO_PARAMS };
    const params = found.params as Match['params'];
    if (partial) for (const value of Object.values(params)) refuseDotSegments(value);
    return { route, params };
  }

  /** Methods that the path answers, as `Allow` lists them (RFC 9110, section 10.2.1); none if there is no such path. */
  allowed(path: string, request: IncomingMessage): string[] {
    const verbs = new Set<string>(
      VERBS.filter((verb) => this.find('http', verb, path, request) !== undefined),
    );
    if (verbs.has('GET')) verbs.add('HEAD');
    // A stream has no head without its events, and a socket none at all: HEAD is not theirs.
    const opens = this.find('sse', 'GET', path, request) ?? this.find('websocket', 'GET', path, request);
    if (opens !== undefined) verbs.add('GET');
    if (this.find('sse', 'POST', path, request) !== undefined) verbs.add('POST');
    if (verbs.size > 0) verbs.add('OPTIONS');
    return [...verbs];
  }
}

/** `GET`, `SSE`, `SSE POST` or `WebSocket`, as people call it. */
export function label(kind: Kind, verb: string): string {
  if (kind === 'http') return verb;
  if (kind === 'websocket') return 'WebSocket';
  return verb === 'GET' ? 'SSE' : `SSE ${verb}`;
}

/** Joins templates of class and method. */
export function joinPaths(...parts: string[]): string {
  const joined = parts.flatMap((part) => part.split('/')).filter((segment) => segment !== '');
  return `/${joined.join('/')}`;
}

function tree(): Tree {
  return FindMyWay({ maxParamLength: MAX_PARAMETER });
}

// The tree demands a function; ours stands in the store beside it.
const NOTHING = (): void => undefined;

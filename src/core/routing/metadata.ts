import 'reflect-metadata';
import type { MiddlewareLike } from './middleware.js';
import type { Context, Kind } from '../exchange/context.js';
import { ConfigurationError } from '../base/errors.js';
import type { Class } from '../injection/injection.js';
import type { OriginPolicy } from './origins.js';
import type { Codec } from '../../live/encoding/format.js';

/** Methods of RFC 9110 and RFC 5789 that routes may name. */
export const VERBS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS'] as const;
export type Verb = (typeof VERBS)[number] | 'ALL';

/** Options of `@Controller`. */
export interface ControllerOptions {
  /** Serve requests for this host only, whatever its case, port and trailing dot. All hosts by default. */
  host?: string;
}

/** Options of `@WebSocket`. */
export interface WebSocketOptions {
  /** Subprotocols that the route speaks, best first. A client that offers none of them is opened without one. */
  protocols?: readonly string[];
  /** Replaces JSON in both directions, for example with MessagePack. */
  codec?: Codec;
  /** Sees errors of this socket before the application's `onError`. An `HttpError` that it returns, or a promise of one, replaces the error. */
  onError?: (error: unknown, context: Context) => unknown;
  /** Which pages may open this socket; the policy of the application by default. */
  origins?: OriginPolicy;
  /** Messages per second that one socket may send, with bursts of as many; more closes it with 1008. No limit by default. */
  rate?: number;
}

/** Options of `@Sse`. */
export interface SseOptions {
  /** The HTTP method of the request that opens the stream; `'GET'` by default. */
  method?: 'GET' | 'POST';
}

/** Options of `@Rpc`. */
export interface RpcOptions {
  /** Whether calls of one socket may overlap, up to 32. `false` by default: they are handled in order. */
  concurrent?: boolean;
}

export type RouteMetadata =
  | { kind: 'http'; verb: Verb; path: string }
  | { kind: 'sse'; verb: 'GET' | 'POST'; path: string }
  | { kind: 'websocket'; path: string; options: WebSocketOptions }
  | { kind: 'rpc'; name: string; options: RpcOptions };

/** Reads one parameter of a method from the exchange; `message` is there on sockets. */
export type Reader = (ctx: Context, message?: unknown) => unknown;

/** The place of a parameter, for error messages. */
export interface ParameterSite {
  readonly controller: Class;
  readonly method: string;
  readonly index: number;
  readonly kind: Kind | 'rpc';
  /** The HTTP method; undefined for calls. */
  readonly verb?: string;
  /** The full template of the route's path. */
  readonly path: string;
}

/** What a parameter decorator declares. */
export interface ParameterMetadata {
  readonly name: string;
  readonly args: readonly unknown[];
  readonly read: (ctx: Context, ...args: unknown[]) => unknown;
  /** The kinds in which it has a meaning; all of them by default. */
  readonly kinds: readonly Kind[] | undefined;
  /** Whether the value comes from the client: it is converted and validated. */
  readonly input: boolean;
  /** Whether the value is constant during a connection, so that it is read once. */
  readonly stable: boolean;
  /** Whether its first argument names one field of a record; without it, the value is the whole record. */
  readonly named: boolean;
  /** The source that it reads; decides the form of a socket's method. */
  readonly takes: 'body' | 'socket' | 'connection' | undefined;
  /** Checks the arguments at start-up; returns the mistake. */
  readonly check: ((site: ParameterSite, ...args: unknown[]) => string | undefined) | undefined;
}

export interface MethodMetadata {
  readonly routes: RouteMetadata[];
  middleware: MiddlewareLike[];
  readonly parameters: Map<number, ParameterMetadata>;
  status: number | undefined;
  unguarded: string | undefined;
}

export interface ClassMetadata {
  controller: { path: string; options: ControllerOptions } | undefined;
  middleware: MiddlewareLike[];
  readonly methods: Map<string, MethodMetadata>;
}

const classes = new WeakMap<object, ClassMetadata>();

/** The metadata of exactly this class, without its bases; created on first use. */
export function classMetadata(target: object): ClassMetadata {
  let metadata = classes.get(target);
  if (metadata === undefined) {
    metadata = { controller: undefined, middleware: [], methods: new Map() };
    classes.set(target, metadata);
  }
  return metadata;
}

/**
 * Rejects use as a standard decorator, whose second argument is a context instead of a name.
 * @throws ConfigurationError naming the decorator, its place and the compiler option
 */
export function refuseStandard(decorator: string, context: unknown): void {
  if (typeof context !== 'object' || context === null || !('kind' in context)) return;
  const { kind, name } = context as { kind: unknown; name?: unknown };
  throw new ConfigurationError(
    `@${decorator} on the ${String(kind)} ${String(name)} runs as a standard decorator, which cannot work: set ` +
      '"experimentalDecorators": true in the compilerOptions of tsconfig.json (tsx, esbuild and Bun read it, too)',
    { code: 'INVALID_DECORATOR' },
  );
}

/**
 * The metadata of a method, created on first use.
 * @param prototype the first argument of a method decorator
 * @throws ConfigurationError for static methods, symbols and constructors, and without experimentalDecorators
 */
export function methodMetadata(
  prototype: object,
  method: string | symbol | undefined,
  decorator: string,
): MethodMetadata {
  refuseStandard(decorator, method);
  if (method === undefined) {
    throw new ConfigurationError(
      `${(prototype as Class).name}: @${decorator} is on a parameter of the constructor, which takes services: ` +
        'move it to a parameter of a method',
      { code: 'INVALID_DECORATOR' },
    );
  }
  if (typeof prototype === 'function') {
    throw new ConfigurationError(
      `${prototype.name}.${String(method)} is static: routes are methods of instances`,
      { code: 'INVALID_DECORATOR' },
    );
  }
  if (typeof method === 'symbol') {
    throw new ConfigurationError(
      `${prototype.constructor.name}: a route takes a method with a name, not a symbol`,
      { code: 'INVALID_DECORATOR' },
    );
  }
  const { methods } = classMetadata(prototype.constructor);
  let metadata = methods.get(method);
  if (metadata === undefined) {
    metadata = { routes: [], middleware: [], parameters: new Map(), status: undefined, unguarded: undefined };
    methods.set(method, metadata);
  }
  return metadata;
}

/** The metadata of a controller, that of its base classes included. */
export interface ControllerMetadata {
  readonly path: string;
  readonly options: ControllerOptions;
  readonly middleware: readonly MiddlewareLike[];
  readonly methods: ReadonlyMap<string, MethodMetadata>;
}

/**
 * Joins the metadata of a class and its bases: middleware of a base runs first; a method that a derived class
 * overrides keeps its routes and parameters unless the derived class writes its own, and its middleware in any case.
 */
export function controllerMetadata(target: Class): ControllerMetadata | undefined {
  const lineage: ClassMetadata[] = [];
  for (
    let c: unknown = target;
    typeof c === 'function' && c !== Function.prototype;
    c = Object.getPrototypeOf(c)
  ) {
    const own = classes.get(c);
    if (own !== undefined) lineage.unshift(own);
  }
  const controller = lineage.findLast((own) => own.controller !== undefined)?.controller;
  if (controller === undefined) return undefined;
  const methods = new Map<string, MethodMetadata>();
  for (const own of lineage) {
    for (const [name, method] of own.methods) methods.set(name, inherit(methods.get(name), method));
  }
  return { ...controller, middleware: lineage.flatMap((own) => own.middleware), methods };
}

function inherit(base: MethodMetadata | undefined, own: MethodMetadata): MethodMetadata {
  if (base === undefined) return own;
  return {
    routes: own.routes.length > 0 ? own.routes : base.routes,
    // Middleware of the derived method must not remove a guard of the base.
    middleware: [...new Set([...base.middleware, ...own.middleware])],
    parameters: own.parameters.size > 0 ? own.parameters : base.parameters,
    status: own.status ?? base.status,
    unguarded: own.unguarded ?? base.unguarded,
  };
}

/** The types that the compiler emitted for a method's parameters; undefined where it emits none. */
export function declaredTypes(target: Class, method: string): readonly unknown[] | undefined {
  return Reflect.getMetadata('design:paramtypes', target.prototype as object, method) as
    unknown[] | undefined;
}

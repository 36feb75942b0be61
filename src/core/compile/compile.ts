import type { Authorize, AuthorizeClass } from '../../live/broadcast/authorization.js';
import { isDefinition, isDefinitionLike, type ChannelDefinition } from '../../live/broadcast/definition.js';
import type { Channels } from '../../live/broadcast/channels.js';
import type { CallContext } from '../kinds/call-context.js';
import { compose, type MiddlewareLike, type Step } from '../routing/middleware.js';
import { ConfigurationError } from '../base/errors.js';
import { concludeHttp, httpStep, type Call } from '../kinds/http.js';
import { Scope, type Class, type Injection, type Provider } from '../injection/injection.js';
import { SUCCESS } from '../injection/scope.js';
import { invoker, readAll } from '../parameters/invoke.js';
import { anyScoped, linkOf, type ScopedLink } from '../routing/resolve-middleware.js';
import type { Logger } from '../base/logger.js';
import {
  controllerMetadata,
  type ControllerMetadata,
  type MethodMetadata,
  type Reader,
  type RouteMetadata,
} from '../routing/metadata.js';
import { hostname } from '../routing/canonical-path.js';
import { originRule } from '../routing/origins.js';
import { bindParameters, type BoundParameter } from '../parameters/readers.js';
import { joinPaths, type Route } from '../routing/router.js';
import { Calls, type Procedure } from '../kinds/rpc.js';
import { concluding, endingScope, endLate, scopeOf, scopeInUse } from '../routing/scoped-step.js';
import { concludeSse, sseStep } from '../kinds/sse.js';
import { isThenable } from '../base/promises.js';
import type { Validator } from '../parameters/validator.js';
import { messageReaders, SocketRoute, type Run } from '../kinds/websocket.js';

/** A route with all that `explain()` and the audit tell of it. */
export interface CompiledRoute extends Route {
  readonly middleware: readonly MiddlewareLike[];
  readonly links: readonly ScopedLink[];
  /** Scoped classes that its handler needs. */
  readonly scoped: readonly string[];
  readonly unguarded: string | undefined;
  readonly socket: SocketRoute | undefined;
  readonly procedures: readonly string[];
  /** The class that declares it. */
  readonly controller: Class;
  /** What the socket's class answers to calls, for the audit. */
  readonly calls: readonly AuditedCall[];
}

/** A call, as the audit compares it with the sockets that it can be made on. */
export interface AuditedCall {
  readonly name: string;
  readonly middleware: readonly MiddlewareLike[];
  readonly unguarded: string | undefined;
}

/** Reads what the decorators of a controller have written, and folds each of its routes into one function. */
export function compileController(
  target: Class,
  application: readonly ScopedLink[],
  injection: Injection,
  channels: Channels,
  logger: Logger,
  validator: Validator | undefined,
): CompiledRoute[] {
  const metadata = controllerMetadata(target);
  if (metadata === undefined) {
    throw new ConfigurationError(
      `${nameOf(target)} is not a controller: decorate the class with @Controller()`,
    );
  }
  return new ControllerCompiler(
    target,
    metadata,
    application,
    injection,
    channels,
    logger,
    validator,
  ).routes();
}

class ControllerCompiler {
  readonly #provider: Provider<object>;
  readonly #classLinks: readonly ScopedLink[];
  readonly #auditedCalls: readonly AuditedCall[];

  constructor(
    readonly target: Class,
    readonly metadata: ControllerMetadata,
    readonly application: readonly ScopedLink[],
    readonly injection: Injection,
    readonly channels: Channels,
    readonly logger: Logger,
    readonly validator: Validator | undefined,
  ) {
    this.#provider = injection.provider(target, 'the application');
    this.#classLinks = metadata.middleware.map((one) => linkOf(one, target.name, injection));
    this.#declareChannels();
    this.#auditedCalls = [...metadata.methods].flatMap(([name, { routes, middleware, unguarded }]) =>
      routes.some(({ kind }) => kind === 'rpc')
        ? [{ name: `${target.name}.${name}`, middleware, unguarded }]
        : [],
    );
  }

  routes(): CompiledRoute[] {
    const routes: CompiledRoute[] = [];
    const calls = this.#calls();
    for (const [name, method] of this.metadata.methods) {
      if (method.routes.length === 0) this.#refuseLost(name, method);
      this.#checkStatus(name, method);
      const links = [...this.#classLinks, ...this.#methodLinks(name, method)];
      for (const route of method.routes) {
        if (route.kind !== 'rpc') routes.push(this.#route(name, method, route, links, calls));
      }
    }
    if (calls !== undefined && !routes.some(({ kind }) => kind === 'websocket')) {
      const [first] = calls.procedures.keys();
      throw new ConfigurationError(
        `${this.target.name} answers calls (@Rpc, '${first}') but opens no socket: add a @WebSocket method to the class`,
      );
    }
    return routes;
  }

  #route(
    name: string,
    method: MethodMetadata,
    route: Exclude<RouteMetadata, { kind: 'rpc' }>,
    links: readonly ScopedLink[],
    calls: Calls | undefined,
  ): CompiledRoute {
    const { kind } = route;
    const path = joinPaths(this.metadata.path, route.path);
    const verb = kind === 'websocket' ? 'GET' : route.verb;
    const site = { controller: this.target, method: name, kind, verb, path };
    const parameters = bindParameters(method.parameters, site, this.validator);
    const all = [...this.application, ...links];
    const { host } = this.metadata.options;
    const guard = endingScope(anyScoped(all), compose(all, this.#admit(method)));
    const socket =
      kind === 'websocket' ? this.#socket(name, parameters, route, calls, guard, all.length > 0) : undefined;
    const call = this.#run(
      name,
      parameters.map(({ read }) => read),
      kind === 'http' ? 'shared' : 'connection',
    );
    const once: Call = (ctx) => call(ctx, undefined);
    const step =
      socket?.step ?? (kind === 'sse' ? sseStep(once, method.status, guard) : httpStep(once, method.status));
    return {
      kind,
      verb,
      path,
      host: host === undefined ? undefined : hostname(host),
      name: `${this.target.name}.${name}`,
      chain: endingScope(anyScoped(all) || (kind === 'http' && this.#isScoped), compose(all, step)),
      conclude: kind === 'sse' ? concludeSse : concludeHttp,
      middleware: [...this.metadata.middleware, ...method.middleware],
      links: all,
      scoped: this.#provider.scoped,
      unguarded: method.unguarded,
      socket,
      procedures: socket === undefined ? [] : [...(calls?.procedures.keys() ?? [])],
      controller: this.target,
      calls: socket === undefined ? [] : this.#auditedCalls,
    };
  }

  /** What credentials must prove: that the middleware lets them through, and that they may read the method's channels. */
  #admit({ parameters }: MethodMetadata): Step {
    const readers = channelsOf(parameters).map(
      (definition): Reader =>
        (ctx) =>
          this.channels.read(definition, ctx),
    );
    return (ctx) => {
      ctx.reached = true;
      return readAll(readers, ctx, undefined);
    };
  }

  #socket(
    name: string,
    parameters: readonly BoundParameter[],
    { options }: Extract<RouteMetadata, { kind: 'websocket' }>,
    calls: Calls | undefined,
    guard: Step,
    guarded: boolean,
  ): SocketRoute {
    const { origins } = options;
    const perMessage = this.#run(name, messageReaders(parameters, true), 'message');
    const perConnection = this.#run(name, messageReaders(parameters, false), 'connection');
    const run = { perMessage, perConnection };
    return new SocketRoute({
      name: `${this.target.name}.${name}`,
      parameters,
      options,
      origins: origins === undefined ? undefined : originRule(origins, `${this.target.name}.${name}`),
      calls,
      guard,
      guarded,
      run,
    });
  }

  #calls(): Calls | undefined {
    const procedures = new Map<string, Procedure>();
    for (const [name, method] of this.metadata.methods) {
      for (const route of method.routes) {
        if (route.kind !== 'rpc') continue;
        if (procedures.has(route.name)) {
          throw new ConfigurationError(
            `${this.target.name}.${name}: another method of the class has @Rpc('${route.name}'): rename one of them`,
          );
        }
        const run = this.#run(name, this.#callReaders(name, method), 'shared');
        const links = this.#methodLinks(name, method);
        const step: Step = (ctx) => {
          (ctx as CallContext).enter();
          const value = run(ctx, (ctx as CallContext).message);
          const keep = (result: unknown): void => {
            ctx.reached = true;
            ctx.answer = result;
          };
          return isThenable(value) ? Promise.resolve(value).then(keep) : keep(value);
        };
        const chain = endingScope(anyScoped(links) || this.#isScoped, compose(links, step));
        procedures.set(route.name, {
          name: `${this.target.name}.${name}`,
          chain,
          concurrent: route.options.concurrent ?? false,
        });
      }
    }
    return procedures.size > 0 ? new Calls(procedures) : undefined;
  }

  /** A call reads the path of the socket that it came on: its parameters are checked against each. */
  #callReaders(name: string, method: MethodMetadata): Reader[] {
    const sockets = [...this.metadata.methods.values()]
      .flatMap(({ routes }) => routes)
      .flatMap((route) => (route.kind === 'websocket' ? [joinPaths(this.metadata.path, route.path)] : []));
    let readers: Reader[] = [];
    for (const path of sockets) {
      const site = { controller: this.target, method: name, kind: 'rpc' as const, path };
      readers = bindParameters(method.parameters, site, this.validator).map(({ read }) => read);
    }
    return readers;
  }

  get #isScoped(): boolean {
    return this.#provider.scoped.length > 0;
  }

  /**
   * How the method is run: on the one instance, or in a scope. A request or a call shares the scope of its middleware;
   * a connection and a message have one of their own, which ends with them.
   */
  #run(
    name: string,
    readers: Parameters<typeof invoker>[1],
    scope: 'shared' | 'connection' | 'message',
  ): Run {
    const method = (this.target.prototype as Record<string, () => unknown>)[name];
    if (typeof method !== 'function')
      throw new ConfigurationError(
        `${this.target.name}.${name} is not a method: routes are methods, not accessors, nor properties that hold a function`,
      );
    const invoke = invoker(method, readers);
    const provider = this.#provider;
    const { instance } = provider;
    if (instance !== undefined) return (ctx, message) => invoke(instance, ctx, message);
    if (scope === 'shared') return (ctx, message) => invoke(provider.resolve(scopeOf(ctx)), ctx, message);
    const { logger } = this;
    const alone: Run = (ctx, message) => {
      const own = new Scope(ctx);
      return concluding(
        () => invoke(provider.resolve(own), ctx, message),
        (outcome) => own.dispose(logger, outcome),
      );
    };
    if (scope === 'message') return alone;
    return (ctx, message) => {
      // Its client has left while the middleware ran: what is deferred now would run before the scope is used.
      if (ctx.ended) return alone(ctx, message);
      const own = new Scope(ctx);
      return concluding(
        () => {
          let controller: object;
          try {
            controller = provider.resolve(own);
          } finally {
            if (own.holds) ctx.defer(() => endLate(own, logger, SUCCESS));
          }
          return invoke(controller, ctx, message);
        },
        ({ ok, error }) => (ok ? undefined : own.fail(error)),
      );
    };
  }

  /** Channels that the methods read are known to the application before anybody asks for one. */
  #declareChannels(): void {
    for (const [name, { parameters }] of this.metadata.methods) {
      for (const definition of channelsOf(parameters)) {
        // A copy could lack policies of the definition, and read the same channels.
        if (!isDefinition(definition)) {
          throw new ConfigurationError(
            `${this.target.name}.${name} takes a copy of defineChannel('${definition.template}'): give what defineChannel() returned itself`,
          );
        }
        this.channels.declare(definition, (target, template) => this.#authorizer(target, template));
      }
    }
  }

  #authorizer(target: AuthorizeClass, template: string): Authorize {
    const provider = this.injection.provider(target, `authorize of defineChannel('${template}')`);
    const { instance } = provider;
    if (instance !== undefined) return (ctx, params) => instance.authorize(ctx, params);
    const { logger } = this;
    return (ctx, params) => {
      // A request that is under way has a scope already: a second would take a second connection from a pool.
      const shared = scopeInUse(ctx);
      if (shared !== undefined) return provider.resolve(shared).authorize(ctx, params);
      const own = new Scope(ctx);
      return concluding(
        () => provider.resolve(own).authorize(ctx, params),
        (outcome) => own.dispose(logger, outcome),
      );
    };
  }

  #methodLinks(name: string, method: MethodMetadata): readonly ScopedLink[] {
    return method.middleware.map((one) => linkOf(one, `${this.target.name}.${name}`, this.injection));
  }

  #checkStatus(name: string, { status, routes }: MethodMetadata): void {
    if (status === undefined) return;
    if (routes.length > 0 && routes.every(({ kind }) => kind === 'websocket' || kind === 'rpc')) {
      throw new ConfigurationError(
        `${this.target.name}.${name}: @HttpCode has no meaning on a socket or a call, which has no status of its own: remove it`,
      );
    }
    if (Number.isInteger(status) && status >= 200 && status <= 599) return;
    throw new ConfigurationError(
      `${this.target.name}.${name}: @HttpCode takes a whole number from 200 to 599, not ${String(status)}`,
    );
  }

  /** Decorators on a method that no request reaches are a mistake, or a base for others: only the former is told. */
  #refuseLost(name: string, method: MethodMetadata): void {
    const { middleware, parameters, status, unguarded } = method;
    if (middleware.length === 0 && parameters.size === 0 && status === undefined && unguarded === undefined)
      return;
    const what = parameters.size > 0 ? 'decorated parameters' : 'middleware or a status';
    throw new ConfigurationError(
      `${this.target.name}.${name} has ${what} but no route: add @Get(), @Sse(), @WebSocket() or @Rpc()`,
    );
  }
}

/** The channels that a method's parameters read. */
function channelsOf(parameters: MethodMetadata['parameters']): ChannelDefinition<never>[] {
  return [...parameters.values()].flatMap(({ args }) => args.filter(isDefinitionLike));
}

function nameOf(target: unknown): string {
  return typeof target === 'function' ? target.name : String(target);
}

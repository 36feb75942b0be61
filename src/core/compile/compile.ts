import { ConfigurationError } from '../base/errors.js';
import { isThenable } from '../base/promises.js';
import { NOTHING } from '../exchange/outcome.js';
import type { Class } from '../injection/injection.js';
import { httpStep, type Call } from '../kinds/http.js';
import type { Calls } from '../kinds/rpc.js';
import { sseStep } from '../kinds/sse.js';
import { messageReaders, SocketRoute, type SocketMethod } from '../kinds/websocket.js';
import { readAll } from '../parameters/invoke.js';
import { bindParameters, type BoundParameter } from '../parameters/readers.js';
import { hostname } from '../routing/canonical-path.js';
import { controllerMetadata, type MethodMetadata, type RouteMetadata } from '../routing/metadata.js';
import { compose, type MiddlewareLike, type ResolvedMiddleware, type Step } from '../routing/middleware.js';
import { originRule } from '../routing/origins.js';
import { needScope } from '../routing/resolve-middleware.js';
import { joinPaths, type Route } from '../routing/router.js';
import { endingScope } from '../routing/scoped-step.js';
import { channelReaders, declareChannels } from './channel-access.js';
import { Controller, type Compilation, type Lifetime } from './controller.js';
import { checkMethod } from './method-checks.js';
import { compileProcedures } from './procedures.js';

/** A route, with what `explain()` and the guard audit say about it. */
export interface CompiledRoute extends Route {
  /** Middleware of class and method, as their decorators list it. */
  readonly middleware: readonly MiddlewareLike[];
  /** All middleware of the route, the application's included. */
  readonly resolved: readonly ResolvedMiddleware[];
  /** Names of the scoped classes that its controller needs. */
  readonly scoped: readonly string[];
  readonly unguarded: string | undefined;
  readonly socket: SocketRoute | undefined;
  /** Names of the procedures that it answers, if it is a socket. */
  readonly procedures: readonly string[];
  /** The class that declares it. */
  readonly controller: Class;
  /** The procedures again, as the guard audit compares them with the socket. */
  readonly calls: readonly AuditedCall[];
}

/** An `@Rpc` method, as the guard audit compares it with the sockets that answer it. */
export interface AuditedCall {
  readonly name: string;
  readonly middleware: readonly MiddlewareLike[];
  readonly unguarded: string | undefined;
}

/**
 * Compiles each route of a controller from its decorators into one function.
 * @throws ConfigurationError for a class that is not a controller, and for decorators that contradict each other
 */
export function compileController(target: Class, compilation: Compilation): CompiledRoute[] {
  const metadata = controllerMetadata(target);
  if (metadata === undefined) {
    const name = typeof target === 'function' ? target.name : String(target);
    throw new ConfigurationError(`${name} is not a controller: decorate the class with @Controller()`, {
      code: 'INVALID_CONTROLLER',
    });
  }
  const controller = new Controller(target, metadata, compilation);
  declareChannels(controller);
  const calls = compileProcedures(controller);
  const routes: CompiledRoute[] = [];
  for (const [name, method] of metadata.methods) {
    checkMethod(controller.nameOf(name), method);
    const resolved = [
      ...compilation.middleware,
      ...controller.resolved,
      ...controller.middlewareOf(name, method),
    ];
    for (const route of method.routes) {
      if (route.kind !== 'rpc') routes.push(compileRoute(controller, name, method, route, resolved, calls));
    }
  }
  if (calls !== undefined && !routes.some(({ kind }) => kind === 'websocket')) {
    const [first] = calls.procedures.keys();
    throw new ConfigurationError(
      `${target.name} answers calls (@Rpc, '${first}') but opens no socket: add a @WebSocket method to the class`,
      { code: 'INVALID_CONTROLLER' },
    );
  }
  return routes;
}

function compileRoute(
  controller: Controller,
  name: string,
  method: MethodMetadata,
  route: Exclude<RouteMetadata, { kind: 'rpc' }>,
  resolved: readonly ResolvedMiddleware[],
  calls: Calls | undefined,
): CompiledRoute {
  const { target, metadata, compilation } = controller;
  const { kind } = route;
  const { host } = metadata.options;
  const path = joinPaths(metadata.path, route.path);
  const verb = kind === 'websocket' ? 'GET' : route.verb;
  const site = { controller: target, method: name, kind, verb, path };
  const parameters = bindParameters(method.parameters, site, compilation.validator);
  const guard = endingScope(needScope(resolved), compose(resolved, admission(controller, method)));
  const call = (lifetime: Lifetime): Call => {
    const run = controller.run(
      name,
      parameters.map(({ read }) => read),
      lifetime,
    );
    return (ctx) => run(ctx, undefined);
  };
  let socket: SocketRoute | undefined;
  let step: Step;
  if (kind === 'websocket') {
    socket = compileSocket(controller, name, parameters, route, {
      calls,
      guard,
      guarded: resolved.length > 0,
    });
    ({ step } = socket);
  } else if (kind === 'sse') {
    step = sseStep(call('connection'), method.status, guard);
  } else {
    step = httpStep(call('shared'), method.status);
  }
  return {
    kind,
    verb,
    path,
    host: host === undefined ? undefined : hostname(host),
    name: controller.nameOf(name),
    chain: endingScope(
      needScope(resolved) || (kind === 'http' && controller.isScoped),
      compose(resolved, step),
    ),
    middleware: [...metadata.middleware, ...method.middleware],
    resolved,
    scoped: controller.provider.scoped,
    unguarded: method.unguarded,
    socket,
    procedures: socket === undefined ? [] : [...(calls?.procedures.keys() ?? [])],
    controller: target,
    calls: socket === undefined ? [] : auditedCalls(controller),
  };
}

/** What renewed credentials must pass: the middleware of the route, and `authorize` of the channels that its method reads. */
function admission({ compilation }: Controller, { parameters }: MethodMetadata): Step {
  const readers = channelReaders(parameters, compilation);
  return (ctx) => {
    const values = readAll(readers, ctx, undefined);
    return isThenable(values) ? values.then(() => NOTHING) : NOTHING;
  };
}

function compileSocket(
  controller: Controller,
  name: string,
  parameters: readonly BoundParameter[],
  { options }: Extract<RouteMetadata, { kind: 'websocket' }>,
  shared: Pick<SocketMethod, 'calls' | 'guard' | 'guarded'>,
): SocketRoute {
  const { origins } = options;
  const method = controller.nameOf(name);
  return new SocketRoute({
    ...shared,
    name: method,
    parameters,
    options,
    origins: origins === undefined ? undefined : originRule(origins, method),
    run: {
      perMessage: controller.run(name, messageReaders(parameters, true), 'message'),
      perConnection: controller.run(name, messageReaders(parameters, false), 'connection'),
    },
  });
}

function auditedCalls(controller: Controller): AuditedCall[] {
  return [...controller.metadata.methods].flatMap(([name, { routes, middleware, unguarded }]) =>
    routes.some(({ kind }) => kind === 'rpc')
      ? [{ name: controller.nameOf(name), middleware, unguarded }]
      : [],
  );
}

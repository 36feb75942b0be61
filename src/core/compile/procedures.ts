import { ConfigurationError } from '../base/errors.js';
import { isThenable } from '../base/promises.js';
import { answered } from '../exchange/outcome.js';
import type { CallContext } from '../kinds/call-context.js';
import { Calls, type Procedure } from '../kinds/rpc.js';
import { bindParameters } from '../parameters/readers.js';
import type { MethodMetadata, Reader } from '../routing/metadata.js';
import { compose, type Step } from '../routing/middleware.js';
import { needScope } from '../routing/resolve-middleware.js';
import { joinPaths } from '../routing/router.js';
import { endingScope } from '../routing/scoped-step.js';
import type { Controller } from './controller.js';

/** Compiles the `@Rpc` methods of a controller, which all of its sockets answer; undefined if it has none. */
export function compileProcedures(controller: Controller): Calls | undefined {
  const procedures = new Map<string, Procedure>();
  for (const [name, method] of controller.metadata.methods) {
    for (const route of method.routes) {
      if (route.kind !== 'rpc') continue;
      if (procedures.has(route.name)) {
        throw new ConfigurationError(
          `${controller.nameOf(name)}: another method of the class has @Rpc('${route.name}'): rename one of them`,
          { code: 'DUPLICATE_ROUTE' },
        );
      }
      procedures.set(route.name, {
        name: controller.nameOf(name),
        chain: chainOf(controller, name, method),
        concurrent: route.options.concurrent ?? false,
      });
    }
  }
  return procedures.size > 0 ? new Calls(procedures) : undefined;
}

function chainOf(controller: Controller, name: string, method: MethodMetadata): Step {
  const run = controller.run(name, readersOf(controller, name, method), 'shared');
  const resolved = controller.middlewareOf(name, method);
  const step: Step = (ctx) => {
    (ctx as CallContext).enter();
    const value = run(ctx, (ctx as CallContext).message);
    return isThenable(value) ? Promise.resolve(value).then(answered) : answered(value);
  };
  return endingScope(needScope(resolved) || controller.isScoped, compose(resolved, step));
}

/** A call reads the path of its socket, so its parameters must fit the path of each socket of the class. */
function readersOf(
  { target, metadata, compilation }: Controller,
  name: string,
  method: MethodMetadata,
): Reader[] {
  let readers: Reader[] = [];
  for (const { routes } of metadata.methods.values()) {
    for (const route of routes) {
      if (route.kind !== 'websocket') continue;
      const path = joinPaths(metadata.path, route.path);
      const site = { controller: target, method: name, kind: 'rpc' as const, path };
      readers = bindParameters(method.parameters, site, compilation.validator).map(({ read }) => read);
    }
  }
  return readers;
}

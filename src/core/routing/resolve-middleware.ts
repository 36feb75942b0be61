import type { Middleware, MiddlewareClass, MiddlewareLike, ResolvedMiddleware } from './middleware.js';
import { ConfigurationError } from '../base/errors.js';
import type { Class, Injection } from '../injection/injection.js';
import { scopeOf } from './scoped-step.js';

/**
 * Makes middleware ready to run: a function as it is, a class by its one instance, or by one instance per exchange if it
 * needs scoped services.
 * @throws ConfigurationError for a value that is neither a function (ctx, next) nor a class with use(ctx, next)
 */
export function resolveMiddleware(
  middleware: MiddlewareLike,
  where: string,
  injection: Injection,
): ResolvedMiddleware {
  if (typeof middleware !== 'function') {
    throw new ConfigurationError(
      `${where}: ${String(middleware)} is not middleware: give functions (ctx, next) and classes with use(ctx, next)`,
      { code: 'INVALID_MIDDLEWARE' },
    );
  }
  if (!isClass(middleware)) {
    if (middleware.length > 2) {
      const name = middleware.name || 'an anonymous function';
      throw new ConfigurationError(
        `${where}: ${name} takes ${middleware.length} parameters, as Express middleware (req, res, next) does: write connect(${middleware.name || '…'}), or give functions (ctx, next)`,
        { code: 'INVALID_MIDDLEWARE' },
      );
    }
    return { name: middleware.name || 'anonymous middleware', run: middleware as Middleware, scoped: [] };
  }
  const { name } = middleware;
  if (typeof middleware.prototype.use !== 'function') {
    throw new ConfigurationError(
      `${where}: ${name} is not middleware: a class needs a method use(ctx, next)`,
      { code: 'INVALID_MIDDLEWARE' },
    );
  }
  const provider = injection.provider(middleware as Class<MiddlewareClass>, `the middleware of ${where}`);
  const { instance, scoped } = provider;
  if (instance !== undefined) return { name, run: (ctx, next) => instance.use(ctx, next), scoped };
  return {
    name,
    run: (ctx, next) => provider.resolve(scopeOf(ctx)).use(ctx, next),
    scoped,
  };
}

/** A class as opposed to a function: its `prototype` cannot be written, or holds a `use`. */
function isClass(
  value: MiddlewareLike,
): value is Class<MiddlewareClass> & { prototype: Partial<MiddlewareClass> } {
  const prototype = Object.getOwnPropertyDescriptor(value, 'prototype');
  return (
    prototype !== undefined && (prototype.writable === false || typeof prototype.value?.use === 'function')
  );
}

/** Whether any of the middleware needs a scope. */
export function needScope(middleware: readonly ResolvedMiddleware[]): boolean {
  return middleware.some(({ scoped }) => scoped.length > 0);
}

import type { MiddlewareLike } from '../core/routing/middleware.js';
import { ConfigurationError } from '../core/base/errors.js';
import { classMetadata, methodMetadata, refuseStandard } from '../core/routing/metadata.js';

/**
 * Runs middleware around all methods of a class, or around one method, before requests, streams and upgrades alike. It runs after
 * that of the application, from left to right; stacked decorators from top to bottom.
 *
 * @param middleware functions `(ctx, next)`, or injectable classes with a method `use(ctx, next)`
 * @throws ConfigurationError for anything else
 * @example
 * ```ts
 * async function signedIn(ctx: Context, next: Next) {
 *   if (ctx.user === undefined) throw new HttpError(401);
 *   await next();
 * }
 *
 * @Controller('/account')
 * @UseMiddleware(signedIn)
 * class AccountController {}
 * ```
 */
export function UseMiddleware(...middleware: MiddlewareLike[]): ClassDecorator & MethodDecorator {
  const [target, method] = middleware as readonly unknown[];
  if (typeof target === 'object' && target !== null && typeof method === 'string') {
    throw new ConfigurationError(
      `${target.constructor.name}.${method}: @UseMiddleware lacks its parentheses: write @UseMiddleware(guard)`,
      { code: 'INVALID_DECORATOR' },
    );
  }
  return (target: object, method?: string | symbol) => {
    refuseStandard('UseMiddleware', method);
    const owner = typeof target === 'function' ? target.name : target.constructor.name;
    middleware.forEach((one, index) => {
      if (typeof one === 'function') return;
      const where = method === undefined ? owner : `${owner}.${String(method)}`;
      throw new ConfigurationError(
        `${where}: argument ${index} of @UseMiddleware is ${String(one)}; it takes functions (ctx, next) and classes with use(ctx, next). ` +
          'An import that is undefined here is often circular',
        { code: 'INVALID_MIDDLEWARE' },
      );
    });
    const metadata =
      method === undefined ? classMetadata(target) : methodMetadata(target, method, 'UseMiddleware');
    // Decorators apply from the bottom up, but the first one written runs first.
    metadata.middleware = [...middleware, ...metadata.middleware];
  };
}

/**
 * Exempts a method from the guard audit: its middleware intentionally differs from that of other methods of the path.
 *
 * @param reason why; `app.explain()` prints it
 */
export function Unguarded(reason: string): MethodDecorator {
  if (typeof reason === 'object') {
    const { name } = (reason as object).constructor;
    throw new ConfigurationError(
      `${name}: @Unguarded lacks its parentheses: write @Unguarded('why the middleware of the method may differ')`,
      { code: 'INVALID_DECORATOR' },
    );
  }
  return (prototype, method) => {
    if (typeof reason !== 'string' || reason.trim() === '') {
      throw new ConfigurationError(
        `${prototype.constructor.name}.${String(method)}: @Unguarded takes a reason: say why the middleware of the method may differ`,
        { code: 'INVALID_DECORATOR' },
      );
    }
    methodMetadata(prototype, method, 'Unguarded').unguarded = reason;
  };
}

import type { MiddlewareLike } from '../core/compose.js';
import { ConfigurationError } from '../core/errors.js';
import { classMetadata, methodMetadata, refuseStandard } from '../core/metadata.js';

/** Runs middleware around all methods of a class, or around one: functions, or injectable classes with `use`. */
export function UseMiddleware(...middleware: MiddlewareLike[]): ClassDecorator & MethodDecorator {
  return (target: object, method?: string | symbol) => {
    refuseStandard('UseMiddleware', method);
    const owner = typeof target === 'function' ? target.name : target.constructor.name;
    middleware.forEach((one, index) => {
      if (typeof one === 'function') return;
      const where = method === undefined ? owner : `${owner}.${String(method)}`;
      throw new ConfigurationError(
        `${where}: argument ${index} of @UseMiddleware is ${String(one)}; it takes functions (ctx, next) and classes with use(ctx, next). ` +
          'An import that is undefined here is often circular',
      );
    });
    const metadata =
      method === undefined ? classMetadata(target) : methodMetadata(target, method, 'UseMiddleware');
    // Decorators apply from the bottom up; what is written first is to run first.
    metadata.middleware = [...middleware, ...metadata.middleware];
  };
}

/** Says that a method is meant to differ in its middleware from its siblings on the same path, and why. */
export function Unguarded(reason: string): MethodDecorator {
  return (prototype, method) => {
    methodMetadata(prototype, method, 'Unguarded').unguarded = reason;
  };
}

import type { Channels } from '../../live/broadcast/channels.js';
import { ConfigurationError } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import { Scope, type Class, type Injection, type Provider } from '../injection/injection.js';
import { SUCCESS } from '../injection/scope.js';
import { isThenable } from '../base/promises.js';
import { Subscribable } from '../exchange/open-connection.js';
import { valuesOf } from '../kinds/forwarded.js';
import { isSource } from '../kinds/source-queue.js';
import type { Run } from '../kinds/websocket.js';
import { invoker } from '../parameters/invoke.js';
import type { Validator } from '../parameters/validator.js';
import type { ControllerMetadata, MethodMetadata, Reader } from '../routing/metadata.js';
import type { ResolvedMiddleware } from '../routing/middleware.js';
import { resolveMiddleware } from '../routing/resolve-middleware.js';
import { concluding, endingWith, endLate, scopeOf } from '../routing/scoped-step.js';

/** The settings and services that the compilation of every controller uses. */
export interface Compilation {
  /** The middleware of the application, outermost first. */
  readonly middleware: readonly ResolvedMiddleware[];
  readonly injection: Injection;
  readonly channels: Channels;
  readonly logger: Logger;
  readonly validator: Validator | undefined;
}

/** Which scope a method runs in: that of its request or call, or a new one per connection or per message. */
export type Lifetime = 'shared' | 'connection' | 'message';

/** A controller class with its resolved middleware, and the ways to run its methods. */
export class Controller {
  readonly provider: Provider<object>;
  readonly resolved: readonly ResolvedMiddleware[];

  constructor(
    readonly target: Class,
    readonly metadata: ControllerMetadata,
    readonly compilation: Compilation,
  ) {
    const { injection } = compilation;
    this.provider = injection.provider(target, 'the application');
    this.resolved = metadata.middleware.map((one) => resolveMiddleware(one, target.name, injection));
  }

  /** `RoomController.show`, as errors and logs name a method. */
  nameOf(method: string): string {
    return `${this.target.name}.${method}`;
  }

  get isScoped(): boolean {
    return this.provider.scoped.length > 0;
  }

  middlewareOf(name: string, { middleware }: MethodMetadata): readonly ResolvedMiddleware[] {
    return middleware.map((one) => resolveMiddleware(one, this.nameOf(name), this.compilation.injection));
  }

  /** Makes the function that reads a method's parameters and calls it on an instance of the given lifetime. */
  run(name: string, readers: readonly Reader[], lifetime: Lifetime): Run {
    const method = (this.target.prototype as Record<string, () => unknown>)[name];
    if (typeof method !== 'function') {
      throw new ConfigurationError(
        `${this.nameOf(name)} is not a method: routes are methods, not accessors, nor properties that hold a function`,
        { code: 'INVALID_DECORATOR' },
      );
    }
    const invoke = invoker(method, readers);
    const { provider } = this;
    const { instance } = provider;
    if (instance !== undefined) return (ctx, message) => invoke(instance, ctx, message);
    if (lifetime === 'shared') return (ctx, message) => invoke(provider.resolve(scopeOf(ctx)), ctx, message);
    const { logger } = this.compilation;
    const perMessage: Run = (ctx, message) => {
      const own = new Scope(ctx);
      let lasts = false;
      // A reply that is sent value by value needs the services of its method until its end.
      const reply = (value: unknown): unknown => {
        if (!isSource(value) || value instanceof Subscribable) return value;
        lasts = true;
        return endingWith(valuesOf(value), (outcome) => endLate(own, logger, outcome));
      };
      return concluding(
        () => {
          const value = invoke(provider.resolve(own), ctx, message);
          return isThenable(value) ? Promise.resolve(value).then(reply) : reply(value);
        },
        (outcome) => (lasts ? undefined : own.dispose(logger, outcome)),
      );
    };
    if (lifetime === 'message') return perMessage;
    return (ctx, message) => {
      // If the client has left already, deferred work runs at once: it would end the scope before its use.
      if (ctx.ended) return perMessage(ctx, message);
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
}

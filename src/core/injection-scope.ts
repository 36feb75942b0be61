import type { DependencyContainer } from 'tsyringe';
import type { Context } from './context.js';
import type { Logger } from './logger.js';
import { isThenable } from './thenable.js';

/** What lives as long as a request, a connection or a message: the instances made for it, and nothing else. */
export class Scope {
  /** @internal */ readonly context: Context;
  /** One instance for each scoped class, by the index that it was given at start-up. @internal */
  readonly slots: unknown[] = [];
  /** Made only where a factory, `delay()` or the like asks for it. @internal */
  container: DependencyContainer | undefined = undefined;
  #made: object[] | undefined = undefined;
  #disposal: void | Promise<void> = undefined;

  constructor(context: Context) {
    this.context = context;
  }

  /** Takes over an instance that was made for this scope. @internal */
  own<T extends object>(instance: T): T {
    if (disposerOf(instance) !== undefined) (this.#made ??= []).push(instance);
    return instance;
  }

  /** Whether anything is to be disposed, or may be made later that is. @internal */
  get holds(): boolean {
    return this.#made !== undefined || this.container !== undefined;
  }

  /**
   * Disposes what was made in the scope and has `dispose()`, `[Symbol.asyncDispose]()` or `[Symbol.dispose]()`:
   * the last made first, each awaited, and each once. Errors are logged, not thrown.
   */
  dispose(logger: Logger): void | Promise<void> {
    if (this.#made !== undefined) this.#disposal ??= disposeAll(this.#made, logger);
    return this.#disposal;
  }
}

/** Empties `made` from its end, disposing each. Gives a promise only where there is something to await. */
export function disposeAll(made: object[], logger: Logger): void | Promise<void> {
  for (let instance = made.pop(); instance !== undefined; instance = made.pop()) {
    const { name } = instance.constructor;
    const failed = (err: unknown) => logger.error({ err, class: name }, `disposing ${name} failed`);
    try {
      const pending = disposerOf(instance)?.call(instance);
      if (isThenable(pending)) return settle(pending, failed).then(() => disposeAll(made, logger));
    } catch (err) {
      failed(err);
    }
  }
}

/** The method that disposes an instance, if it has one. As in tsyringe, a `dispose` that takes arguments is none. */
export function disposerOf(instance: object): (() => unknown) | undefined {
  const { dispose, [Symbol.asyncDispose]: later, [Symbol.dispose]: now } = instance as Disposers;
  if (typeof dispose === 'function' && dispose.length === 0) return dispose;
  return later ?? now;
}

type Disposers = Partial<Disposable & AsyncDisposable & { dispose: () => unknown }>;

async function settle(pending: PromiseLike<unknown>, failed: (error: unknown) => void): Promise<void> {
  try {
    await pending;
  } catch (error) {
    failed(error);
  }
}

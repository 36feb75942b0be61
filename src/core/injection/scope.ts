import type { DependencyContainer } from 'tsyringe';
import type { Context } from '../exchange/context.js';
import type { Logger } from '../base/logger.js';
import { isThenable } from '../base/promises.js';

/** The instances that live as long as a request, a connection, a message or a call. */
export class Scope {
  /** @internal */ readonly context: Context;
  /** The instances of scoped classes, by the index that start-up assigned. @internal */
  readonly slots: unknown[] = [];
  /** Created only for dependencies that tsyringe must resolve, such as factories and `delay()`. @internal */
  container: DependencyContainer | undefined = undefined;
  #made: object[] | undefined = undefined;
  #failure: Outcome | undefined = undefined;
  #disposal: void | Promise<void> = undefined;

  constructor(context: Context) {
    this.context = context;
  }

  /** Adds an instance, which the scope disposes. @internal */
  own<T extends object>(instance: T): T {
    if (disposerOf(instance) !== undefined) (this.#made ??= []).push(instance);
    return instance;
  }

  /** Adds the product of a factory, once: the factory may return the same again. @internal */
  ownProduct(product: object): void {
    if (this.#made?.includes(product) !== true) this.own(product);
  }

  /** Whether the scope may have instances to dispose at its end. @internal */
  get holds(): boolean {
    return this.#made !== undefined || this.container !== undefined;
  }

  /** Records a failure that no exception shows, such as an aborted body. @internal */
  fail(error: unknown): void {
    this.#failure ??= { ok: false, error };
  }

  /**
   * Disposes the instances with `dispose()`, `[Symbol.asyncDispose]()` or `[Symbol.dispose]()`, once, last created first,
   * each awaited. Errors are logged.
   * @throws the error of a `dispose(outcome)` after work that had succeeded: the work has failed then
   */
  dispose(logger: Logger, outcome: Outcome = SUCCESS): void | Promise<void> {
    if (this.#made !== undefined) this.#disposal ??= disposeAll(this.#made, logger, this.#failure ?? outcome);
    return this.#disposal;
  }
}

/** How work ended, for `dispose(outcome)`: a unit of work commits or rolls back. */
export interface Outcome {
  readonly ok: boolean;
  readonly error?: unknown;
}

export const SUCCESS: Outcome = { ok: true };

/** Empties `made` from its end and disposes each instance. Returns a promise only if a disposer does. */
export function disposeAll(made: object[], logger: Logger, outcome: Outcome = SUCCESS): void | Promise<void> {
  let current = outcome;
  for (let instance = made.pop(); instance !== undefined; instance = made.pop()) {
    const disposer = disposerOf(instance);
    const { name } = instance.constructor;
    const failed = (err: unknown): Outcome => {
      // A disposer that takes the outcome may turn success into failure, but must not replace an earlier failure.
      if (disposer?.length === 1 && current.ok) return { ok: false, error: err };
      logger.error({ err, class: name }, `disposing ${name} failed`);
      return current;
    };
    try {
      const pending = disposer?.call(instance, current);
      if (isThenable(pending)) {
        const rest = Promise.resolve(pending).then(() => current, failed);
        return rest.then((next) => finish(disposeAll(made, logger, next), outcome, next));
      }
    } catch (err) {
      current = failed(err);
    }
  }
  return finish(undefined, outcome, current);
}

/** Throws if work that had succeeded has failed in a disposer. */
function finish(rest: void | Promise<void>, before: Outcome, after: Outcome): void | Promise<void> {
  if (!before.ok || after.ok) return rest;
  if (rest === undefined) throw after.error;
  return rest.then(() => {
    throw after.error;
  });
}

/** The disposer of an instance: a `dispose` with at most one parameter, else a method by one of the two symbols. */
export function disposerOf(instance: object): ((outcome: Outcome) => unknown) | undefined {
  const { dispose, [Symbol.asyncDispose]: later, [Symbol.dispose]: now } = instance as Disposers;
  if (typeof dispose === 'function' && dispose.length <= 1) return dispose;
  return later ?? now;
}

type Disposers = Partial<Disposable & AsyncDisposable & { dispose: (outcome: Outcome) => unknown }>;

import type { DependencyContainer } from 'tsyringe';
import type { Context } from '../exchange/context.js';
import type { Logger } from '../base/logger.js';
import { isThenable } from '../base/promises.js';

/** What lives as long as a request, a connection or a message: the instances made for it, and nothing else. */
export class Scope {
  /** @internal */ readonly context: Context;
  /** One instance for each scoped class, by the index that it was given at start-up. @internal */
  readonly slots: unknown[] = [];
  /** Made only where a factory, `delay()` or the like asks for it. @internal */
  container: DependencyContainer | undefined = undefined;
  #made: object[] | undefined = undefined;
  #failure: Outcome | undefined = undefined;
  #disposal: void | Promise<void> = undefined;

  constructor(context: Context) {
    this.context = context;
  }

  /** Takes over an instance that was made for this scope. @internal */
  own<T extends object>(instance: T): T {
    if (disposerOf(instance) !== undefined) (this.#made ??= []).push(instance);
    return instance;
  }

  /** Takes over what a factory has made for this scope, once: it may give the same again. @internal */
  ownProduct(product: object): void {
    if (this.#made?.includes(product) !== true) this.own(product);
  }

  /** Whether anything is to be disposed, or may be made later that is. @internal */
  get holds(): boolean {
    return this.#made !== undefined || this.container !== undefined;
  }

  /** The work failed, where nothing is thrown that would say so: a body that broke off. @internal */
  fail(error: unknown): void {
    this.#failure ??= { ok: false, error };
  }

  /**
   * Disposes what was made in the scope and has `dispose()`, `[Symbol.asyncDispose]()` or `[Symbol.dispose]()`: the
   * last made first, each awaited, and each once. Errors are logged.
   * @throws what `dispose(outcome)` throws of work that had succeeded: it has failed then
   */
  dispose(logger: Logger, outcome: Outcome = SUCCESS): void | Promise<void> {
    if (this.#made !== undefined) this.#disposal ??= disposeAll(this.#made, logger, this.#failure ?? outcome);
    return this.#disposal;
  }
}

/** How work ended: what a unit of work needs to know to commit or to roll back. */
export interface Outcome {
  readonly ok: boolean;
  readonly error?: unknown;
}

export const SUCCESS: Outcome = { ok: true };

/** Empties `made` from its end, disposing each. Gives a promise only where there is something to await. */
export function disposeAll(made: object[], logger: Logger, outcome: Outcome = SUCCESS): void | Promise<void> {
  let current = outcome;
  for (let instance = made.pop(); instance !== undefined; instance = made.pop()) {
    const disposer = disposerOf(instance);
    const { name } = instance.constructor;
    const failed = (err: unknown): Outcome => {
      // Who asks for the outcome has a part in it. One that has failed already is not to be replaced.
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

/** Throws where what had succeeded has failed at its end. */
function finish(rest: void | Promise<void>, before: Outcome, after: Outcome): void | Promise<void> {
  if (!before.ok || after.ok) return rest;
  if (rest === undefined) throw after.error;
  return rest.then(() => {
    throw after.error;
  });
}

/** The method that disposes an instance, if it has one: one of the two symbols, or a `dispose` of at most the outcome. */
export function disposerOf(instance: object): ((outcome: Outcome) => unknown) | undefined {
  const { dispose, [Symbol.asyncDispose]: later, [Symbol.dispose]: now } = instance as Disposers;
  if (typeof dispose === 'function' && dispose.length <= 1) return dispose;
  return later ?? now;
}

type Disposers = Partial<Disposable & AsyncDisposable & { dispose: (outcome: Outcome) => unknown }>;

import type { Step } from './middleware.js';
import type { Context } from '../exchange/context.js';
import { Scope, SUCCESS, type Outcome } from '../injection/scope.js';
import type { Logger } from '../base/logger.js';
import { isThenable } from '../base/promises.js';

/** The scope of an exchange or a call, shared by its middleware and its method, and made on first use. */
export function scopeOf(ctx: Context): Scope {
  return (ctx.scope ??= new Scope(ctx)) as Scope;
}

/** The scope of an exchange or a call, if it was used. */
export function scopeInUse({ scope }: Context): Scope | undefined {
  return scope as Scope | undefined;
}

/**
 * Ends the scope of an exchange after its chain and before the head is sent, so that an error of `dispose()` can still
 * decide the response. The scope of a streamed body lasts as long as the body.
 */
export function endingScope(scoped: boolean, chain: Step): Step {
  if (!scoped) return chain;
  return (ctx) =>
    concluding(
      () => chain(ctx),
      (outcome) => end(ctx, outcome),
    );
}

function end(ctx: Context, outcome: Outcome): void | Promise<void> {
  const scope = scopeInUse(ctx);
  if (scope === undefined) return undefined;
  const { logger } = ctx.environment;
  if (!outcome.ok || ctx.kind !== 'http' || !isStreamed(ctx.answer?.value)) {
    // What comes after the head has a scope of its own.
    ctx.scope = undefined;
    return scope.dispose(logger, outcome);
  }
  ctx.defer(() => endLate(scope, logger, ctx.response.writableFinished ? SUCCESS : cut()));
}

/** Ends a scope after the head was sent: errors are only logged. */
export async function endLate(scope: Scope, logger: Logger, outcome: Outcome): Promise<void> {
  try {
    await scope.dispose(logger, outcome);
  } catch (err) {
    logger.error({ err }, 'ending a scope failed');
  }
}

/** The values of a source, and `last` after it: with a failure where it throws or is left before its end. */
export function endingWith(
  source: AsyncIterator<unknown>,
  last: (outcome: Outcome) => Promise<void>,
): AsyncIterable<unknown> {
  let isOver = false;
  const end = async (outcome: Outcome): Promise<void> => {
    if (isOver) return;
    isOver = true;
    await last(outcome);
  };
  const iterator: AsyncIterator<unknown> = {
    next: async () => {
      try {
        const result = await source.next();
        if (result.done === true) await end(SUCCESS);
        return result;
      } catch (error) {
        await end({ ok: false, error });
        throw error;
      }
    },
    return: async () => {
      try {
        await source.return?.();
      } finally {
        await end(cut());
      }
      return { done: true, value: undefined };
    },
  };
  return { [Symbol.asyncIterator]: () => iterator };
}

/** Runs `last` with the outcome of `work`. Returns a promise only if one of the two does. */
export function concluding<T>(
  work: () => T | PromiseLike<T>,
  last: (outcome: Outcome) => void | Promise<void>,
): T | Promise<T> {
  let result: T | PromiseLike<T>;
  try {
    result = work();
  } catch (error) {
    return failing(error, last);
  }
  if (isThenable(result)) {
    return Promise.resolve(result as PromiseLike<T>).then(
      (value) => after(value, last),
      (error: unknown) => failing(error, last),
    );
  }
  return after(result as T, last);
}

function after<T>(value: T, last: (outcome: Outcome) => void | Promise<void>): T | Promise<T> {
  const ending = last(SUCCESS);
  return ending === undefined ? value : ending.then(() => value);
}

function failing(error: unknown, last: (outcome: Outcome) => void | Promise<void>): Promise<never> {
  const ending = last({ ok: false, error });
  if (ending === undefined) throw error;
  return ending.then(() => {
    throw error;
  });
}

/** Whether the body is streamed: the services of the method are needed until its end. */
function isStreamed(answer: unknown): boolean {
  if (typeof answer !== 'object' || answer === null) return false;
  const { body, [Symbol.asyncIterator]: iterate } = answer as {
    body?: unknown;
    [Symbol.asyncIterator]?: unknown;
  };
  if (typeof iterate === 'function') return true;
  return typeof (body as { getReader?: unknown } | null | undefined)?.getReader === 'function';
}

function cut(): Outcome {
  return { ok: false, error: new Error('the response was cut before its end') };
}

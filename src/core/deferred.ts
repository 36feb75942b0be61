import type { Context } from './context.js';
import { isThenable } from './thenable.js';

/** Runs what an exchange has deferred, one after the other. What fails is logged, and keeps nothing else from running. */
export async function runDeferred(ctx: Context, works: readonly (() => unknown)[]): Promise<void> {
  for (const work of works) {
    try {
      const result = work();
      if (isThenable(result)) await result;
    } catch (err) {
      ctx.environment.logger.error({ err, requestId: ctx.id }, 'deferred work failed');
    }
  }
}

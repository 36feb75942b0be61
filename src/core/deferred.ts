import type { Logger } from './logger.js';
import { isThenable } from './thenable.js';

/** Runs what an exchange has deferred, one after the other. What fails is logged, and keeps nothing else from running. */
export async function runDeferred(
  works: readonly (() => unknown)[],
  logger: Logger,
  requestId: string,
): Promise<void> {
  for (const work of works) {
    try {
      const result = work();
      if (isThenable(result)) await result;
    } catch (err) {
      logger.error({ err, requestId }, 'deferred work failed');
    }
  }
}

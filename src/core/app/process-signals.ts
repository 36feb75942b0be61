import type { Logger } from '../base/logger.js';

/** The application that owns the process. */
export interface Owner {
  close(): Promise<void>;
  isClosing(): boolean;
}

/**
 * Ties the life of the process to that of its application, until the result is called: SIGTERM and SIGINT end both in
 * order, and at once the second time. An exception that nobody caught leaves the state of the process undefined, says
 * Node: it is logged, what is in flight is answered, and the process ends with 1. A promise that failed and that nobody
 * awaits leaves nothing undefined: it is logged.
 */
export function processSignals({ close, isClosing }: Owner, logger: Logger): () => void {
  let status = 0;
  const end = (): void => {
    close().then(
      () => process.exit(status),
      (err: unknown) => {
        logger.error({ err }, 'closing failed');
        process.exit(1);
      },
    );
  };
  const listeners = {
    SIGTERM: () => (isClosing() ? process.exit(143) : end()),
    SIGINT: () => (isClosing() ? process.exit(130) : end()),
    uncaughtException: (err: unknown) => {
      logger.error({ err }, 'uncaughtException: the process drains and ends');
      const first = status === 0;
      status = 1;
      // What throws again in the meantime is told each time, and ends with the rest.
      if (first) end();
    },
    unhandledRejection: (err: unknown) =>
      logger.error({ err }, 'unhandledRejection: a promise failed that nobody awaits'),
  };
  for (const [event, listener] of Object.entries(listeners)) process.on(event, listener);
  return () => {
    for (const [event, listener] of Object.entries(listeners)) process.off(event, listener);
  };
}

import type { Logger } from '../base/logger.js';

/** The application that a signal closes. */
export interface Owner {
  close(): Promise<void>;
  isClosing(): boolean;
}

/**
 * Ties the process to its application. SIGTERM and SIGINT close the application and then end the process; a second signal
 * ends it at once. An uncaught exception leaves the process in an undefined state (Node's documentation of `process`), so it
 * closes the application and ends the process with 1. An unhandled rejection is logged. Returns a function that removes the
 * listeners.
 */
export function processSignals({ close, isClosing }: Owner, logger: Logger): () => void {
  let status = 0;
  const end = (): void => {
    close().then(
      () => process.exit(status),
      (err: unknown) => {
        logger.error({ err }, 'close() failed');
        process.exit(1);
      },
    );
  };
  const listeners = {
    SIGTERM: () => (isClosing() ? process.exit(143) : end()),
    SIGINT: () => (isClosing() ? process.exit(130) : end()),
    uncaughtException: (err: unknown) => {
      logger.error({ err }, 'uncaughtException: shutting down');
      const first = status === 0;
      status = 1;
      // Further exceptions are logged while the application closes.
      if (first) end();
    },
    unhandledRejection: (err: unknown) =>
      logger.error({ err }, 'unhandledRejection: no code awaits this promise'),
  };
  for (const [event, listener] of Object.entries(listeners)) process.on(event, listener);
  return () => {
    for (const [event, listener] of Object.entries(listeners)) process.off(event, listener);
  };
}

import type { Readable } from 'node:stream';

/**
 * A stream that an exchange has taken for its answer ends with the exchange, read or not, and what fails in it while
 * nobody reads is no exception of the process: the exchange sees it when it reads.
 */
export function tended<T extends Readable>(exchange: { defer(work: () => unknown): void }, stream: T): T {
  stream.on('error', ignore);
  // Its iterator would wait for the next chunk before it lets go, and lets go of nothing that was not begun.
  exchange.defer(() => void stream.destroy());
  return stream;
}

function ignore(): void {
  // Seen by who reads.
}

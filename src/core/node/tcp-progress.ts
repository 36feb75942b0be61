import type { Writable } from 'node:stream';

/** Node's handle of a TCP or TLS socket, which has no public name: what was given to the system, and what it still holds. */
interface Handle {
  readonly bytesWritten?: number;
  readonly bytesRead?: number;
  readonly writeQueueSize?: number;
}

/**
 * How many bytes the system has accepted on a stream. `socket.bytesWritten` counts what waits in the process as well,
 * and the callback of a write comes only when all of it is gone: one large write would look like silence.
 */
export function bytesAccepted(stream: Writable): number {
  const handle = handleOf(stream);
  const { bytesWritten, writeQueueSize } = handle;
  // A stream without a handle shows no more than what has left it.
  if (bytesWritten === undefined || writeQueueSize === undefined) return -stream.writableLength;
  return bytesWritten - writeQueueSize;
}

/** Whether bytes wait in the process because the system accepts no more: the peer does not take what it has. */
export function isBlocked(stream: Writable): boolean {
  return stream.writableLength > 0 || (handleOf(stream).writeQueueSize ?? 0) > 0;
}

/** How many bytes have come. */
export function bytesReceived(stream: Writable): number {
  return handleOf(stream).bytesRead ?? 0;
}

function handleOf(stream: Writable): Handle {
  return (stream as unknown as { _handle?: Handle | null })._handle ?? {};
}

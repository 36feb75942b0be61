import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
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

/** The tables of TCP connections that Linux shows (proc_net_tcp(5)). */
const TABLES = ['/proc/self/net/tcp', '/proc/self/net/tcp6'];

/** `sl local_address:port remote_address:port state tx_queue:rx_queue`, in hexadecimal. */
const ROW = /^ *\d+: [\dA-F]+:([\dA-F]{4}) [\dA-F]+:([\dA-F]{4}) [\dA-F]{2} ([\dA-F]{8}):/gm;

/** How many bytes the system holds for the peers of connections because these have not acknowledged them. */
export class KernelQueues {
  readonly #bytes: ReadonlyMap<string, number>;

  private constructor(bytes: ReadonlyMap<string, number>) {
    this.#bytes = bytes;
  }

  /** Reads those of all connections of this host. Other systems than Linux show nothing. */
  static async read(): Promise<KernelQueues> {
    const bytes = new Map<string, number>();
    for (const table of TABLES) {
      const text = await readFile(table, 'latin1').catch(() => '');
      for (const [, local = '', remote = '', queue = ''] of text.matchAll(ROW)) {
        const key = `${parseInt(local, 16)} ${parseInt(remote, 16)}`;
        bytes.set(key, (bytes.get(key) ?? 0) + parseInt(queue, 16));
      }
    }
    return new KernelQueues(bytes);
  }

  /** Known by the two ports: where clients share theirs, what one of them takes counts for all. */
  of({ localPort, remotePort }: Socket): number {
    return this.#bytes.get(`${localPort} ${remotePort}`) ?? 0;
  }
}

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';

/** Milliseconds after which something that ought to have happened is taken as never to happen. */
const PATIENCE = 20_000;

let opened = 0;

/** A TCP connection that brings bytes and keeps what comes back. */
export class Wire {
  readonly #chunks: Buffer[] = [];
  readonly closed: Promise<unknown>;
  /** Whether we closed our side before the server closed its own. */
  left = false;
  isClosed = false;
  #wake: (() => void) | undefined = undefined;

  private constructor(readonly socket: Socket) {
    socket.setNoDelay();
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#wake?.();
    });
    // What the server has ended is over; a reset tells the same.
    socket.on('end', () => {
      socket.end();
      this.#wake?.();
    });
    socket.on('error', () => socket.destroy());
    this.closed = new Promise<void>((resolve) => {
      socket.once('close', () => {
        this.isClosed = true;
        this.#wake?.();
        resolve();
      });
    });
  }

  static async open(port: number): Promise<Wire> {
    // Each connection keeps its pair of ports for a minute: one address alone would run out of them.
    const localAddress =
      process.platform === 'linux' ? `127.0.${1 + (opened++ % 100)}.${1 + (opened % 200)}` : undefined;
    const socket = connect({ port, host: '127.0.0.1', localAddress, allowHalfOpen: true });
    await once(socket, 'connect');
    return new Wire(socket);
  }

  get received(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  /** Writes in pieces of `size` bytes, or in 100 where that would be more, each in a turn; 0 is all at once. */
  async write(bytes: Buffer, piece = 0): Promise<void> {
    const size = Math.max(piece, Math.ceil(bytes.length / 100));
    if (piece === 0 || bytes.length <= size) {
      this.socket.write(bytes);
      return;
    }
    for (let at = 0; at < bytes.length && !this.isClosed; at += size) {
      this.socket.write(bytes.subarray(at, at + size));
      await turn();
    }
  }

  /** Waits until what has come is enough, or the server has ended. */
  async until(enough: (received: Buffer) => boolean): Promise<void> {
    while (!this.isClosed && !this.socket.readableEnded && !enough(this.received)) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** Says that nothing more comes. */
  leave(): void {
    if (this.isClosed || this.socket.readableEnded) return;
    this.left = true;
    this.socket.end();
  }
}

/** Resolves when all are closed. @throws Error if the server keeps one open. */
export async function allClosed(wires: readonly Wire[]): Promise<void> {
  await within(Promise.all(wires.map(({ closed }) => closed)), () => {
    const open = wires.filter(({ isClosed }) => !isClosed);
    for (const { socket } of open) socket.destroy();
    return `${open.length} connections stay open`;
  });
}

/** Bounds a wait, so that a run of an hour does not hang. */
export async function within<T>(work: Promise<T>, otherwise: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(otherwise())), PATIENCE);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Lets the event loop turn until the condition is met. @throws Error if it never is. */
export async function settles(met: () => boolean, otherwise: () => string): Promise<void> {
  const deadline = Date.now() + PATIENCE;
  while (!met()) {
    if (Date.now() > deadline) throw new Error(otherwise());
    await turn();
  }
}

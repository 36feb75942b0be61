import type { Duplex } from 'node:stream';

/** Milliseconds that a client is given to take its answer and leave. */
const LINGER = 5_000;
/** Bytes that a client may still send meanwhile. */
const DROPPED = 64 * 1_048_576;

/**
 * Closes our side, and reads on until the client has closed its own (RFC 9112, section 9.6): closed at once, with
 * something unread, the connection would be reset, and the reset could overtake the answer. What comes is dropped,
 * and how much and for how long is bounded.
 */
export function hangUp(socket: Duplex): void {
  let left = DROPPED;
  // Node's parser is to see no more: what follows is no request that anybody answers.
  socket.removeAllListeners('data');
  socket.on('data', (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) socket.destroy();
  });
  socket.end();
  socket.resume();
  // From Node 26 on the socket of an upgrade with a body is a stream that has no timeouts of its own.
  const timer = setTimeout(() => socket.destroy(), LINGER).unref();
  socket.once('close', () => clearTimeout(timer));
}

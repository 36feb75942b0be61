import type { Writable } from 'node:stream';
import { writeFrames, type Frame } from './frame.js';

/** The chunk that was made last: all readers of a channel receive the same one. */
let last = { text: '', chunk: '' };

/** Writes frames as one chunk of the chunked coding, RFC 9112 section 7.1. */
export function writeChunk(socket: Writable, frames: Frame | readonly Frame[]): void {
  if (typeof frames === 'string') {
    if (frames !== last.text) last = { text: frames, chunk: `${size(frames.length)}${frames}\r\n` };
    socket.write(last.chunk, 'latin1');
    return;
  }
  socket.cork();
  const length = Array.isArray(frames) ? frames.reduce((sum, frame) => sum + frame.length, 0) : frames.length;
  socket.write(size(length), 'latin1');
  writeFrames(socket, frames);
  socket.write('\r\n', 'latin1');
  socket.uncork();
}

function size(bytes: number): string {
  return `${bytes.toString(16)}\r\n`;
}

import type { Writable } from 'node:stream';

/**
 * Bytes that are ready to be written, made once and shared by all who receive them. A string holds one byte
 * in each character (latin1), so that frames of ASCII text join by concatenation and leave in one write.
 */
export type Frame = string | Buffer;

const TEXT = 0x81;
const BINARY = 0x82;

/** Longer texts become bytes: Node would copy a string for each socket that it waits on. */
const LARGE = 65_536;

/** An empty ping, RFC 6455 section 5.5.2. */
export const PING: Frame = '\x89\x00';

/** Joins frames for one write: into one string, if all of them are strings. */
export function joined(frames: readonly Frame[]): Frame | readonly Frame[] {
  return frames.every((frame) => typeof frame === 'string') ? shared(frames.join('')) : frames;
}

/** Writes frames, in one system call. */
export function writeFrames(sink: Writable, frames: Frame | readonly Frame[]): void {
  if (typeof frames === 'string') {
    sink.write(frames, 'latin1');
  } else if (Array.isArray(frames)) {
    sink.cork();
    for (const frame of frames) writeFrames(sink, frame as Frame);
    sink.uncork();
  } else {
    sink.write(frames);
  }
}

/** Latin1 text in the form that many sockets share best. */
export function shared(text: string): Frame {
  return text.length > LARGE ? Buffer.from(text, 'latin1') : text;
}

/** The error for the sender of a value that is too large. */
export function tooLarge(bytes: number, most: number): RangeError {
  return new RangeError(`a value of ${bytes} bytes cannot be sent: limits.value allows ${most}`);
}

/** A whole unmasked text message, RFC 6455 section 5.2. */
export function textFrame(text: string): Frame {
  const { length } = text;
  const bytes = Buffer.byteLength(text);
  if (bytes !== length || length > 0xffff) {
    const frame = header(TEXT, bytes);
    frame.buffer.write(text, frame.size, 'utf8');
    return frame.buffer;
  }
  return length < 126
    ? String.fromCharCode(TEXT, length) + text
    : String.fromCharCode(TEXT, 126, length >> 8, length & 0xff) + text;
}

/** A whole unmasked binary message. */
export function binaryFrame(data: Uint8Array): Frame {
  const frame = header(BINARY, data.byteLength);
  frame.buffer.set(data, frame.size);
  return frame.buffer;
}

function header(opcode: number, length: number): { buffer: Buffer; size: number } {
  const size = length < 126 ? 2 : length <= 0xffff ? 4 : 10;
  const buffer = Buffer.allocUnsafe(size + length);
  buffer[0] = opcode;
  if (size === 2) {
    buffer[1] = length;
  } else if (size === 4) {
    buffer[1] = 126;
    buffer.writeUInt16BE(length, 2);
  } else {
    buffer[1] = 127;
    buffer.writeBigUInt64BE(BigInt(length), 2);
  }
  return { buffer, size };
}

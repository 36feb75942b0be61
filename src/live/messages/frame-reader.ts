import { isUtf8 } from 'node:buffer';
import type { Duplex } from 'node:stream';

/** Receives the messages that a `FrameReader` reads. */
export interface FrameSink {
  /** Corked while a chunk is read, so that all replies to it leave in one write. */
  readonly outbox: { cork(): void; uncork(): void };
  receive(message: string | Buffer): void;
  /** Bytes that a message may have. */
  readonly limit: number;
  /** The receiver of ws, which has its error as soon as it was given bytes that break the protocol. */
  readonly parser: { readonly errored: Error | null };
}

type Wired = Duplex & { [READER]?: FrameSink | FrameReader };
type Listener = (this: Duplex, chunk: Buffer) => void;

/** Of a stream: its sink, and from the first chunk on its reader. */
const READER = Symbol('frame reader');

/** The listeners of ws: one function for all its sockets. */
let wsListener: Listener;
let wsEndListener: (this: Duplex) => void;

/** A frame's first byte (RFC 6455, section 5.2): FIN, no reserved bit, and the opcode. */
const TEXT = 0x81;
const BINARY = 0x82;
const PING = 0x89;
const PONG = 0x8a;

/**
 * Fast path: reads short frames that have come whole, as almost all messages are, without a stream and a state machine for each
 * frame, and answers all of one chunk by one write. Without it an echo has 0.79 of the throughput, and 0.69 with eight messages
 * in flight.
 *
 * All else goes to ws, which is the authority on the protocol: frames that come in parts, pings and long frames one by one, and
 * everything from the first fragment, close frame or violation on.
 */
export class FrameReader {
  /** Bytes of a frame under way that belong to ws, too. */
  #owed = 0;
  /** The begin of a frame whose length is not known yet: 13 bytes at the most. */
  #held: Buffer | undefined = undefined;
  #listensForClose = false;
  #reading = false;
  /** Whether ws reads from the next frame on. */
  #leaving = false;

  private constructor(
    private readonly stream: Duplex,
    private readonly sink: FrameSink,
  ) {}

  /** Takes the place of ws's listeners on a socket that was just opened. The reader is made with the first chunk. */
  static attach(stream: Duplex, sink: FrameSink): void {
    wsListener = stream.listeners('data')[0] as Listener;
    (stream as Wired)[READER] = sink;
    stream.on('data', onData);
    stream.off('data', wsListener);
    wsEndListener = stream.listeners('end').at(-1) as typeof wsEndListener;
    stream.off('end', wsEndListener);
    stream.on('end', onEnd);
  }

  /** Leaves the stream to ws: from the next message on, if it is called within one. */
  static detach(stream: Duplex): void {
    const reader = FrameReader.of(stream);
    if (reader === undefined) return;
    if (reader.#reading) reader.#leaving = true;
    else reader.detach();
  }

  /** @internal The reader of a stream on which something has come. */
  static of(stream: Wired): FrameReader | undefined {
    const found = stream[READER];
    if (found === undefined || found instanceof FrameReader) return found;
    return (stream[READER] = new FrameReader(stream, found));
  }

  /** @internal */
  onChunk(chunk: Buffer): void {
    let data = chunk;
    if (this.#held !== undefined) {
      data = Buffer.concat([this.#held, chunk]);
      this.#held = undefined;
    }
    this.sink.outbox.cork();
    this.#reading = true;
    try {
      this.#read(data);
    } finally {
      this.#reading = false;
      this.sink.outbox.uncork();
    }
  }

  /** @internal Leaves the stream to ws, with the bytes that were not read yet. */
  detach(rest: Buffer | undefined = this.#held): void {
    this.#held = undefined;
    const { stream } = this;
    if ((stream as Wired)[READER] !== this) return;
    stream.off('close', onClose);
    stream.on('data', wsListener);
    stream.off('data', onData);
    (stream as Wired)[READER] = undefined;
    if (rest !== undefined) wsListener.call(stream, rest);
  }

  #read(data: Buffer): void {
    const end = data.length;
    let at = this.#owed === 0 ? 0 : this.#forward(data, 0, this.#owed);
    while (at < end && !this.stream.destroyed) {
      if (this.#leaving) return this.detach(data.subarray(at));
      if (end - at < 2) return this.#hold(data, at);
      const first = data[at] as number;
      const second = data[at + 1] as number;
      const short = second & 0x7f;
      const control = first === PING || first === PONG;
      if (second < 0x80 || (control ? short > 125 : first !== TEXT && first !== BINARY)) {
        return this.detach(data.subarray(at));
      }
      const mask = at + (short < 126 ? 2 : short === 126 ? 4 : 10);
      if (mask > end) return this.#hold(data, at);
      const length = short < 126 ? short : lengthAt(data, at + 2, short);
      // Refused before any of it has come.
      if (length > this.sink.limit) return this.detach(data.subarray(at));
      const start = mask + 4;
      if (start > end) return this.#hold(data, at);
      const next = start + length;
      if (control || next > end || short === 127) at = this.#forward(data, at, next - at);
      else if (this.#message(data, first, mask, next)) at = next;
      else return this.detach(data.subarray(at));
    }
    if (this.#leaving) this.detach();
  }

  /** Unmasks a message and hands it to the sink. False for text that is not UTF-8: the frame is unchanged then. */
  #message(data: Buffer, first: number, mask: number, end: number): boolean {
    const start = mask + 4;
    const isAscii = unmask(data, mask, end) < 0x80;
    if (first === BINARY) {
      this.sink.receive(data.subarray(start, end));
    } else if (isAscii) {
      this.sink.receive(data.toString('latin1', start, end));
    } else if (isUtf8(data.subarray(start, end))) {
      this.sink.receive(data.toString('utf8', start, end));
    } else {
      unmask(data, mask, end);
      return false;
    }
    return true;
  }

  /** Forwards the bytes of one frame to ws, as far as they have come. Returns where the next frame begins. */
  #forward(data: Buffer, at: number, size: number): number {
    const end = Math.min(data.length, at + size);
    this.#owed = size - (end - at);
    wsListener.call(this.stream, at === 0 && end === data.length ? data : data.subarray(at, end));
    if (this.sink.parser.errored === null) return end;
    // ws closes the socket after this tick or later: what follows is dropped.
    this.detach();
    return data.length;
  }

  #hold(data: Buffer, at: number): void {
    // A copy: the few bytes would keep a whole chunk.
    this.#held = Buffer.from(data.subarray(at));
    if (this.#listensForClose) return;
    this.#listensForClose = true;
    // Before ws reads what is left of a socket that has closed.
    this.stream.prependListener('close', onClose);
  }
}

function onData(this: Wired, chunk: Buffer): void {
  FrameReader.of(this)?.onChunk(chunk);
}

/** After a close handshake ws ends the stream a second time, and Node makes an error of that, which costs as much as all else. */
function onEnd(this: Duplex): void {
  if (!this.writableEnded) wsEndListener.call(this);
}

function onClose(this: Wired): void {
  FrameReader.of(this)?.detach();
}

/** The extended length of a payload, in 16 or 64 bits. */
function lengthAt(data: Buffer, at: number, short: number): number {
  return short === 126 ? data.readUInt16BE(at) : data.readUInt32BE(at) * 2 ** 32 + data.readUInt32BE(at + 4);
}

/** Masks or unmasks the payload behind a mask. Returns all its bytes, or-ed together. */
function unmask(data: Buffer, mask: number, end: number): number {
  const a = data[mask] as number;
  const b = data[mask + 1] as number;
  const c = data[mask + 2] as number;
  const d = data[mask + 3] as number;
  let seen = 0;
  let i = mask + 4;
  for (; i + 3 < end; i += 4) {
    seen |= data[i] = (data[i] as number) ^ a;
    seen |= data[i + 1] = (data[i + 1] as number) ^ b;
    seen |= data[i + 2] = (data[i + 2] as number) ^ c;
    seen |= data[i + 3] = (data[i + 3] as number) ^ d;
  }
  if (i < end) seen |= data[i] = (data[i] as number) ^ a;
  if (i + 1 < end) seen |= data[i + 1] = (data[i + 1] as number) ^ b;
  if (i + 2 < end) seen |= data[i + 2] = (data[i + 2] as number) ^ c;
  return seen;
}

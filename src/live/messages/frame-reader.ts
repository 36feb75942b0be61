import { isUtf8 } from 'node:buffer';
import type { Duplex } from 'node:stream';

/** What takes the messages that were read. */
export interface Taker {
  /** Corked while a chunk is read, so that all replies to it leave in one write. */
  readonly outbox: { cork(): void; uncork(): void };
  receive(message: string | Buffer): void;
  /** Bytes that a message may have. */
  readonly limit: number;
  /** ws's parser; it has its error as soon as it was given what breaks the protocol. */
  readonly parser: { readonly errored: Error | null };
}

type Wired = Duplex & { [TAKER]?: Taker | Intake };
type Listener = (this: Duplex, chunk: Buffer) => void;

/** Of a stream: who takes its messages, and from the first chunk on what reads them. */
const TAKER = Symbol('taker');

/** ws's listeners: one function for all its sockets. */
let theirs: Listener;
let theirEnd: (this: Duplex) => void;

/** A frame's first byte (RFC 6455, section 5.2): FIN, no reserved bit, and what it holds. */
const TEXT = 0x81;
const BINARY = 0x82;
const PING = 0x89;
const PONG = 0x8a;

/**
 * Reads what almost all messages are, a short frame that has come whole, on the spot and as strings, and answers all
 * that came in one chunk by one write. The rest is ws's, which is the authority on the protocol: frames that come in
 * parts, pings and long frames as they are, and from the first fragment, close frame or violation on everything.
 *
 * A pipelined echo is twice as fast as with ws's own receiver, a stream with a state machine for each frame.
 */
export class Intake {
  /** Bytes of a frame under way that ws is to be given, too. */
  #owed = 0;
  /** The begin of a frame whose length is not known yet: 13 bytes at the most. */
  #held: Buffer | undefined = undefined;
  #followed = false;
  #reading = false;
  /** Whether ws is to read from the next frame on. */
  #leaving = false;

  private constructor(
    private readonly stream: Duplex,
    private readonly taker: Taker,
  ) {}

  /** Takes the place of ws's listeners on a socket that was just opened; most sockets only listen, and need no more. */
  static attend(stream: Duplex, taker: Taker): void {
    theirs = stream.listeners('data')[0] as Listener;
    (stream as Wired)[TAKER] = taker;
    stream.on('data', onData);
    stream.off('data', theirs);
    theirEnd = stream.listeners('end').at(-1) as typeof theirEnd;
    stream.off('end', theirEnd);
    stream.on('end', onEnd);
  }

  /** @internal The intake of a stream on which something has come. */
  static of(stream: Wired): Intake | undefined {
    const found = stream[TAKER];
    if (found === undefined || found instanceof Intake) return found;
    return (stream[TAKER] = new Intake(stream, found));
  }

  /** @internal */
  take(chunk: Buffer): void {
    let data = chunk;
    if (this.#held !== undefined) {
      data = Buffer.concat([this.#held, chunk]);
      this.#held = undefined;
    }
    this.taker.outbox.cork();
    this.#reading = true;
    try {
      this.#read(data);
    } finally {
      this.#reading = false;
      this.taker.outbox.uncork();
    }
  }

  /** ws reads the stream from now on: somebody listens to its messages. From within a message, from the next one on. */
  static leave(stream: Duplex): void {
    const intake = Intake.of(stream);
    if (intake === undefined) return;
    if (intake.#reading) intake.#leaving = true;
    else intake.handBack();
  }

  /** @internal ws takes over, with what was not read yet. */
  handBack(rest: Buffer | undefined = this.#held): void {
    this.#held = undefined;
    const { stream } = this;
    if ((stream as Wired)[TAKER] !== this) return;
    stream.off('close', onClose);
    stream.on('data', theirs);
    stream.off('data', onData);
    (stream as Wired)[TAKER] = undefined;
    if (rest !== undefined) theirs.call(stream, rest);
  }

  #read(data: Buffer): void {
    const end = data.length;
    let at = this.#owed === 0 ? 0 : this.#give(data, 0, this.#owed);
    while (at < end && !this.stream.destroyed) {
      if (this.#leaving) return this.handBack(data.subarray(at));
      if (end - at < 2) return this.#hold(data, at);
      const first = data[at] as number;
      const second = data[at + 1] as number;
      const short = second & 0x7f;
      const control = first === PING || first === PONG;
      if (second < 0x80 || (control ? short > 125 : first !== TEXT && first !== BINARY)) {
        return this.handBack(data.subarray(at));
      }
      const mask = at + (short < 126 ? 2 : short === 126 ? 4 : 10);
      if (mask > end) return this.#hold(data, at);
      const length = short < 126 ? short : lengthAt(data, at + 2, short);
      // Before any of it has come.
      if (length > this.taker.limit) return this.handBack(data.subarray(at));
      const start = mask + 4;
      if (start > end) return this.#hold(data, at);
      const next = start + length;
      if (control || next > end || short === 127) at = this.#give(data, at, next - at);
      else if (this.#message(data, first, mask, next)) at = next;
      else return this.handBack(data.subarray(at));
    }
    if (this.#leaving) this.handBack();
  }

  /** Gives a message to the socket; false, and the frame is as it was, for text that is not UTF-8. */
  #message(data: Buffer, first: number, mask: number, end: number): boolean {
    const start = mask + 4;
    const isAscii = unmask(data, mask, end) < 0x80;
    if (first === BINARY) {
      this.taker.receive(data.subarray(start, end));
    } else if (isAscii) {
      this.taker.receive(data.toString('latin1', start, end));
    } else if (isUtf8(data.subarray(start, end))) {
      this.taker.receive(data.toString('utf8', start, end));
    } else {
      unmask(data, mask, end);
      return false;
    }
    return true;
  }

  /** Gives ws the bytes of one frame, as far as they have come; the result is where the next one begins. */
  #give(data: Buffer, at: number, size: number): number {
    const end = Math.min(data.length, at + size);
    this.#owed = size - (end - at);
    theirs.call(this.stream, at === 0 && end === data.length ? data : data.subarray(at, end));
    if (this.taker.parser.errored === null) return end;
    // ws closes when the turn is over, or later: what follows is nobody's.
    this.handBack();
    return data.length;
  }

  #hold(data: Buffer, at: number): void {
    // A copy: the few bytes would keep a whole chunk.
    this.#held = Buffer.from(data.subarray(at));
    if (this.#followed) return;
    this.#followed = true;
    // Before ws reads what is left of a socket that has closed.
    this.stream.prependListener('close', onClose);
  }
}

function onData(this: Wired, chunk: Buffer): void {
  Intake.of(this)?.take(chunk);
}

/** After a closing handshake ws ends again what has ended, and Node makes an error of each, which costs as much as all else. */
function onEnd(this: Duplex): void {
  if (!this.writableEnded) theirEnd.call(this);
}

function onClose(this: Wired): void {
  Intake.of(this)?.handBack();
}

/** The extended length of a payload, in 16 or 64 bits. */
function lengthAt(data: Buffer, at: number, short: number): number {
  return short === 126 ? data.readUInt16BE(at) : data.readUInt32BE(at) * 2 ** 32 + data.readUInt32BE(at + 4);
}

/** Takes the mask off a payload, which follows it, or puts it on; gives all its bytes, or-ed together. */
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

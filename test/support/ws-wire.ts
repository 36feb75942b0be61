import { createHash } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import type { TestServer } from 'coequal/testing';
import { HANDSHAKE, RawClient, type RawAnswer } from './raw-client.js';

export const CONTINUATION = 0;
export const TEXT = 1;
export const BINARY = 2;
export const CLOSE = 8;
export const PING = 9;
export const PONG = 10;

/** What a frame may have otherwise than a client ought to write it, RFC 6455 section 5.2. */
export interface FrameInit {
  fin?: boolean;
  /** RSV1, RSV2 and RSV3, as 4, 2 and 1. */
  rsv?: number;
  /** The masking key; none for a frame that is not masked. */
  mask?: Uint8Array | 'none';
  /** Bits of the length: the fewest that hold it, unless told otherwise. */
  bits?: 7 | 16 | 64;
  /** The length that the frame claims to have. */
  claim?: number | bigint;
}

const MASK = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);

/** A frame in which every bit is free. */
export function frame(opcode: number, payload: string | Uint8Array = '', init: FrameInit = {}): Buffer {
  const data = Buffer.from(payload);
  const { fin = true, rsv = 0, mask = MASK, claim = data.length } = init;
  const length = BigInt(claim);
  const bits = init.bits ?? (length < 126n ? 7 : length < 65_536n ? 16 : 64);
  const masked = mask !== 'none';
  const size = bits === 7 ? 2 : bits === 16 ? 4 : 10;
  const bytes = Buffer.alloc(size + (masked ? 4 : 0) + data.length);
  bytes[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  bytes[1] = (masked ? 0x80 : 0) | (bits === 7 ? Number(length) : bits === 16 ? 126 : 127);
  if (bits === 16) bytes.writeUInt16BE(Number(length), 2);
  if (bits === 64) bytes.writeBigUInt64BE(length, 2);
  if (masked) bytes.set(mask, size);
  const at = bytes.length - data.length;
  for (let i = 0; i < data.length; i++) bytes[at + i] = (data[i] ?? 0) ^ (masked ? (mask[i % 4] ?? 0) : 0);
  return bytes;
}

export const text = (payload: string | Uint8Array, init?: FrameInit): Buffer => frame(TEXT, payload, init);
export const binary = (payload: string | Uint8Array, init?: FrameInit): Buffer =>
  frame(BINARY, payload, init);
export const ping = (payload: string | Uint8Array = '', init?: FrameInit): Buffer =>
  frame(PING, payload, init);
export const pong = (payload: string | Uint8Array = '', init?: FrameInit): Buffer =>
  frame(PONG, payload, init);
/** A close frame; without a code, an empty one. */
export const close = (code?: number, reason: string | Uint8Array = '', init?: FrameInit): Buffer =>
  frame(CLOSE, code === undefined ? '' : Buffer.concat([uint16(code), Buffer.from(reason)]), init);
/** A message in as many frames as it has parts. */
export const fragments = (opcode: number, parts: readonly (string | Uint8Array)[]): Buffer[] =>
  parts.map((part, i) => frame(i === 0 ? opcode : CONTINUATION, part, { fin: i === parts.length - 1 }));

/** What a server's frame says, in a form that reads well when two of them differ. */
export const says = {
  text: (payload: string): string => said(TEXT, 0, Buffer.from(payload)),
  binary: (payload: string | Uint8Array): string => said(BINARY, 0, Buffer.from(payload)),
  pong: (payload: string | Uint8Array = ''): string => said(PONG, 0, Buffer.from(payload)),
  /** A close; without a code, an empty one. */
  close: (code?: number, reason = ''): string =>
    said(CLOSE, 0, code === undefined ? Buffer.alloc(0) : Buffer.concat([uint16(code), Buffer.from(reason)])),
};

/** A frame as the server sent it. */
export interface ServerFrame {
  readonly opcode: number;
  readonly rsv: number;
  readonly payload: Buffer;
}

/** One socket, spoken by hand: writes what it is given, and reads frame by frame what comes back. */
export class Wire {
  #at: number;

  private constructor(
    readonly client: RawClient,
    /** The head of the 101. */
    readonly head: RawAnswer,
  ) {
    this.#at = client.received.indexOf('\r\n\r\n') + 4;
  }

  /** Opens a socket. @throws Error if it is refused. */
  static async open(server: TestServer, path: string, ...fields: string[]): Promise<Wire> {
    const client = await RawClient.connect(await server.url());
    client.socket.setNoDelay();
    client.head(`GET ${path} HTTP/1.1`, ...HANDSHAKE, ...fields);
    return Wire.opened(client);
  }

  /** The socket of a client that has sent its handshake. @throws Error if it is refused. */
  static async opened(client: RawClient): Promise<Wire> {
    const head = await client.opening();
    if (head.status !== 101) throw new Error(`the socket was refused with ${head.status}`);
    return new Wire(client, head);
  }

  /** Writes all of it at once. */
  write(...frames: readonly Uint8Array[]): this {
    this.client.write(Buffer.concat(frames));
    return this;
  }

  /** Writes it in chops of so many bytes, each of which is read by the server before the next is sent. */
  async chop(size: number, ...frames: readonly Uint8Array[]): Promise<void> {
    const bytes = Buffer.concat(frames);
    for (let at = 0; at < bytes.length; at += size) {
      this.client.write(bytes.subarray(at, at + size));
      // Server and client share this loop: it reads what has been written before it turns again.
      await turn();
    }
  }

  /** The next frame. @throws Error if none comes, or if it is none that a server may send. */
  async next(): Promise<ServerFrame> {
    const bytes = await this.client.until((received) => this.#size(received) !== undefined);
    const size = this.#size(bytes) ?? 0;
    const whole = bytes.subarray(this.#at, this.#at + size);
    this.#at += size;
    return parsed(whole);
  }

  /** What the next so many frames say. */
  async say(count: number): Promise<string[]> {
    const heard: string[] = [];
    while (heard.length < count) heard.push(described(await this.next()));
    return heard;
  }

  /** What all frames say until the server ends the connection; then ours ends, too. */
  async rest(): Promise<string[]> {
    const { socket } = this.client;
    if (!socket.readableEnded && !socket.closed) {
      await new Promise((resolve) => socket.once('end', resolve).once('close', resolve));
    }
    await this.client.closed();
    const { received } = this.client;
    const heard: string[] = [];
    while (this.#at < received.length) {
      const size = this.#size(received);
      if (size === undefined) throw new Error('the connection ended within a frame');
      heard.push(described(parsed(received.subarray(this.#at, this.#at + size))));
      this.#at += size;
    }
    return heard;
  }

  /** How long the next frame is; undefined until all of it is there. */
  #size(received: Buffer): number | undefined {
    const at = this.#at;
    if (received.length < at + 2) return undefined;
    const short = (received[at + 1] ?? 0) & 0x7f;
    const head = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (received.length < at + head) return undefined;
    const length =
      short < 126
        ? short
        : short === 126
          ? received.readUInt16BE(at + 2)
          : Number(received.readBigUInt64BE(at + 2));
    return received.length < at + head + length ? undefined : head + length;
  }
}

/**
 * Sends bytes on a new socket and gives all that comes back until the connection has ended: what is heard up to
 * `expected`, and, where that is not a close, a close of our own and the answer to it.
 */
export async function exchange(
  wire: Wire,
  sent: readonly Uint8Array[],
  expected: readonly string[],
  chop = Infinity,
): Promise<string[]> {
  if (chop === Infinity) wire.write(...sent);
  else await wire.chop(chop, ...sent);
  if (expected.at(-1)?.startsWith('close') === true) return wire.rest();
  const heard = await wire.say(expected.length);
  wire.write(close(1000));
  return [...heard, ...(await wire.rest())];
}

function parsed(whole: Buffer): ServerFrame {
  const [first = 0, second = 0] = whole;
  const opcode = first & 0x0f;
  const short = second & 0x7f;
  const payload = whole.subarray(short < 126 ? 2 : short === 126 ? 4 : 10);
  if ((first & 0x80) === 0) throw new Error('a frame of the server is not final');
  if ((second & 0x80) !== 0) throw new Error('a frame of the server is masked');
  if (short !== (payload.length < 126 ? payload.length : payload.length < 65_536 ? 126 : 127)) {
    throw new Error('the length of a frame of the server is not the shortest');
  }
  if (opcode >= CLOSE && payload.length > 125) throw new Error('a control frame of the server is too long');
  return { opcode, rsv: (first >> 4) & 7, payload };
}

function described({ opcode, rsv, payload }: ServerFrame): string {
  return said(opcode, rsv, payload);
}

function said(opcode: number, rsv: number, payload: Buffer): string {
  const kind = KINDS[opcode] ?? `opcode ${opcode}`;
  const bits = rsv === 0 ? '' : `, rsv ${rsv}`;
  if (opcode !== CLOSE || payload.length < 2) return kind + bits + content(payload);
  const reason = payload.subarray(2);
  return `${kind} ${payload.readUInt16BE(0)}${bits}${reason.length === 0 ? '' : content(reason)}`;
}

function content(payload: Buffer): string {
  if (payload.length <= 200) return ` ${JSON.stringify(payload.toString('latin1'))}`;
  return ` of ${payload.length} bytes, ${createHash('sha1').update(payload).digest('hex')}`;
}

const KINDS: Readonly<Record<number, string>> = {
  [TEXT]: 'text',
  [BINARY]: 'binary',
  [CLOSE]: 'close',
  [PING]: 'ping',
  [PONG]: 'pong',
};

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

import { isUtf8 } from 'node:buffer';
import { BINARY, CLOSE, masked, PING, PONG, readLength, TEXT } from './frame.js';

/** What an endpoint sends: `text:`, `binary:` and `pong:` with the payload in hexadecimal, and `close:` with the code. */
export type Sent = string;

export type Reply = (payload: Buffer, binary: boolean) => Sent;

/**
 * What a server that echoes answers to the bytes of a client, by RFC 6455 and from nothing else: the witness that
 * the server is compared with. It fails a connection as soon as the bytes that show the mistake are there.
 */
export class FrameModel {
  readonly sent: Sent[] = [];
  /** Whether the server has closed: what follows is dropped. */
  over = false;
  #bytes = Buffer.alloc(0);
  #fragments: Buffer[] | undefined = undefined;
  #opcode = 0;

  constructor(
    private readonly limit: number,
    private readonly reply: Reply,
  ) {}

  feed(bytes: Buffer): this {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    while (!this.over && this.#frame());
    return this;
  }

  #frame(): boolean {
    const bytes = this.#bytes;
    const [first, second] = bytes;
    if (first === undefined || second === undefined) return false;
    const [fin, opcode, short] = [(first & 0x80) !== 0, first & 0xf, second & 0x7f];
    if (!this.#isLegal(first, second)) return this.#close(1002);
    const form = short === 127 ? 8 : short === 126 ? 2 : 0;
    if (bytes.length < 2 + form) return false;
    const length = form === 0 ? short : form === 2 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
    const before = this.#fragments?.reduce((sum, one) => sum + one.length, 0) ?? 0;
    if (opcode < 8 && before + length > this.limit) return this.#close(1009);
    const start = 2 + form + 4;
    if (bytes.length < start + length) return false;
    const payload = masked(bytes.subarray(start, start + length), bytes.subarray(start - 4, start));
    this.#bytes = bytes.subarray(start + length);
    return opcode < 8 ? this.#data(fin, opcode, payload) : this.#control(opcode, payload);
  }

  /** What the first two bytes of a frame must be (sections 5.2, 5.4 and 5.5). */
  #isLegal(first: number, second: number): boolean {
    const [fin, opcode, short] = [(first & 0x80) !== 0, first & 0xf, second & 0x7f];
    if ((first & 0x70) !== 0 || (second & 0x80) === 0) return false;
    if (opcode === 0) return this.#fragments !== undefined;
    if (opcode === TEXT || opcode === BINARY) return this.#fragments === undefined;
    if (opcode < CLOSE || opcode > PONG) return false;
    return fin && short < 126 && !(opcode === CLOSE && short === 1);
  }

  #data(fin: boolean, opcode: number, payload: Buffer): boolean {
    if (opcode !== 0) this.#opcode = opcode;
    const fragments = [...(this.#fragments ?? []), payload];
    this.#fragments = fin ? undefined : fragments;
    if (!fin) return true;
    const message = Buffer.concat(fragments);
    const binary = this.#opcode === BINARY;
    if (!binary && !isUtf8(message)) return this.#close(1007);
    return this.#send(this.reply(message, binary));
  }

  #control(opcode: number, payload: Buffer): boolean {
    if (opcode === PONG) return true;
    if (opcode === PING) return this.#send(`pong:${payload.toString('hex')}`);
    if (payload.length === 0) return this.#close(1005);
    const code = payload.readUInt16BE(0);
    if (!mayBeSent(code)) return this.#close(1002);
    return this.#close(isUtf8(payload.subarray(2)) ? code : 1007);
  }

  #close(code: number): boolean {
    return this.#send(`close:${code}`);
  }

  #send(sent: Sent): boolean {
    this.sent.push(sent);
    this.over ||= sent.startsWith('close:');
    return !this.over;
  }
}

/** Codes that an endpoint may put into a close frame (section 7.4, and the registry). */
export function mayBeSent(code: number): boolean {
  if (code >= 3000 && code <= 4999) return true;
  return code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code);
}

/**
 * Reads what a server has sent. @throws Error for what is not well-formed: masks, reserved bits, lengths that could
 * be shorter, text that is no UTF-8, close codes that may not be sent, anything after a close frame; frames that are
 * cut, where all is there.
 */
export function readSent(bytes: Buffer, { rsv1 = false, whole = true } = {}): Sent[] {
  const sent: Sent[] = [];
  for (let at = 0; at < bytes.length;) {
    if (sent.at(-1)?.startsWith('close:') === true) throw new Error('something after a close frame');
    if (!whole && at + 1 === bytes.length) return sent;
    const [first = 0, second = -1] = [bytes[at], bytes[at + 1]];
    const compressed = (first & 0x40) !== 0;
    if ((first & 0x80) === 0 || (first & 0x30) !== 0 || (compressed && !rsv1) || (second & 0x80) !== 0) {
      throw new Error(`no frame of a server: ${bytes.toString('hex', at, at + 16)}`);
    }
    const form = second === 127 ? 8 : second === 126 ? 2 : 0;
    const length = form === 0 ? second : readLength(bytes, at + 2, form);
    if ((form === 2 && length < 126) || (form === 8 && length < 65_536)) throw new Error('a length too long');
    const start = at + 2 + form;
    const payload = bytes.subarray(start, start + length);
    if (payload.length < length) {
      if (!whole) return sent;
      throw new Error('a frame that is cut');
    }
    at = start + length;
    const frame = sentBy(first & 0xf, payload, compressed);
    if (frame !== undefined) sent.push(frame);
  }
  return sent;
}

function sentBy(opcode: number, payload: Buffer, compressed: boolean): Sent | undefined {
  const hex = payload.toString('hex');
  if (opcode === TEXT) {
    if (!compressed && !isUtf8(payload)) throw new Error(`text that is no UTF-8: ${hex}`);
    return `text:${hex}`;
  }
  if (opcode === BINARY) return `binary:${hex}`;
  if (opcode < CLOSE || opcode > PONG || payload.length > 125 || compressed) {
    throw new Error(`an illegal frame of opcode ${opcode}`);
  }
  // Heartbeats come when they come.
  if (opcode === PING) return undefined;
  if (opcode === PONG) return `pong:${hex}`;
  if (payload.length === 0) return 'close:1005';
  const code = payload.length === 1 ? 0 : payload.readUInt16BE(0);
  if (!mayBeSent(code) || !isUtf8(payload.subarray(2))) throw new Error(`an illegal close frame: ${hex}`);
  return `close:${code}`;
}

/** A frame of RFC 6455, section 5.2, with which the wrong can be said as well as the right. */
export interface Frame {
  readonly fin: boolean;
  /** RSV1 to RSV3 as three bits. */
  readonly rsv: number;
  readonly opcode: number;
  /** Four bytes; undefined for a frame that is not masked. */
  readonly mask: Buffer | undefined;
  readonly payload: Buffer;
  /** Bytes of the extended length; the fewest, unless given. */
  readonly form?: 0 | 2 | 8;
  /** The length that is claimed; the payload's own, unless given. */
  readonly claim?: bigint;
}

export const TEXT = 1;
export const BINARY = 2;
export const CLOSE = 8;
export const PING = 9;
export const PONG = 10;

export function encode({ fin, rsv, opcode, mask, payload, ...given }: Frame): Buffer {
  const claim = given.claim ?? BigInt(payload.length);
  const form = given.form ?? (claim > 0xffffn ? 8 : claim > 125n ? 2 : 0);
  const length = Buffer.alloc(8);
  length.writeBigUInt64BE(claim & 0xffff_ffff_ffff_ffffn);
  const short = form === 0 ? Number(claim & 0x7fn) : form === 2 ? 126 : 127;
  const head = [
    (fin ? 0x80 : 0) | ((rsv & 7) << 4) | (opcode & 0xf),
    (mask === undefined ? 0 : 0x80) | short,
  ];
  const parts = [Buffer.from(head), length.subarray(8 - form)];
  if (mask === undefined) return Buffer.concat([...parts, payload]);
  return Buffer.concat([...parts, mask, masked(payload, mask)]);
}

export function masked(payload: Buffer, mask: Buffer): Buffer {
  const bytes = Buffer.alloc(payload.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = (payload[i] ?? 0) ^ (mask[i % 4] ?? 0);
  return bytes;
}

/** The frames of an entry of the corpus, which is well-formed. */
export function decode(bytes: Buffer): Frame[] {
  const frames: Frame[] = [];
  for (let at = 0; at < bytes.length;) {
    const { start, next, opcode } = skim(bytes, at);
    if (next > bytes.length) throw new Error('a frame that is not whole');
    const [first = 0, second = 0] = bytes.subarray(at);
    const mask = (second & 0x80) === 0 ? undefined : bytes.subarray(start - 4, start);
    const data = bytes.subarray(start, next);
    const payload = mask === undefined ? data : masked(data, mask);
    frames.push({ fin: (first & 0x80) !== 0, rsv: (first >> 4) & 7, opcode, mask, payload });
    at = next;
  }
  return frames;
}

/** Where the payload of a frame begins, and where the next frame does. Its length must be there. */
export function skim(bytes: Buffer, at: number): { opcode: number; start: number; next: number } {
  const [first = 0, second = 0] = bytes.subarray(at);
  const short = second & 0x7f;
  const form = short === 127 ? 8 : short === 126 ? 2 : 0;
  const start = at + 2 + form + ((second & 0x80) === 0 ? 0 : 4);
  const length = form === 0 ? short : readLength(bytes, at + 2, form);
  return { opcode: first & 0xf, start, next: start + length };
}

/** An extended length; endless where it is not there yet. */
export function readLength(bytes: Buffer, at: number, form: 2 | 8): number {
  if (at + form > bytes.length) return Infinity;
  return form === 2 ? bytes.readUInt16BE(at) : Number(bytes.readBigUInt64BE(at));
}

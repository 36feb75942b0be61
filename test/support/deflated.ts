import { constants, deflateRawSync, inflateRawSync, type ZlibOptions } from 'node:zlib';
import { CONTINUATION, frame, type FrameInit, type ServerFrame } from './ws-wire.js';

const TAIL = Buffer.from([0, 0, 0xff, 0xff]);
const FLUSHED = { finishFlush: constants.Z_SYNC_FLUSH };
const RSV1 = 4;

/** The payload of a compressed message, RFC 7692 section 7.2.1. What came before may be referred to. */
export function deflated(data: string | Uint8Array, before = '', options: ZlibOptions = {}): Buffer {
  const dictionary = before === '' ? {} : { dictionary: Buffer.from(before) };
  const bytes = deflateRawSync(data, { ...options, ...FLUSHED, ...dictionary });
  return bytes.subarray(0, -TAIL.length);
}

/** A compressed message: the first of its frames has RSV1. */
export function packed(opcode: number, data: string | Uint8Array, before = '', init: FrameInit = {}): Buffer {
  return frame(opcode, deflated(data, before), { rsv: RSV1, ...init });
}

/** A compressed message in so many frames. */
export function packedFragments(opcode: number, data: string | Uint8Array, count: number): Buffer[] {
  const bytes = deflated(data);
  const size = Math.ceil(bytes.length / count);
  return Array.from({ length: count }, (_, i) =>
    frame(i === 0 ? opcode : CONTINUATION, bytes.subarray(i * size, (i + 1) * size), {
      rsv: i === 0 ? RSV1 : 0,
      fin: i === count - 1,
    }),
  );
}

/** Reads the messages of a server that compresses: each may refer to what came before. */
export class Unpacker {
  #window = Buffer.alloc(0);

  constructor(
    private readonly takeover = true,
    private readonly windowBits = 15,
  ) {}

  payload({ rsv, payload }: ServerFrame): Buffer {
    if (rsv === 0) return payload;
    if (rsv !== RSV1) throw new Error(`the server has set RSV ${rsv}`);
    const dictionary = this.#window.length === 0 ? {} : { dictionary: this.#window };
    const data = inflateRawSync(Buffer.concat([payload, TAIL]), {
      ...FLUSHED,
      ...dictionary,
      windowBits: this.windowBits,
    });
    if (this.takeover) this.#window = Buffer.concat([this.#window, data]).subarray(-(2 ** this.windowBits));
    return data;
  }
}

import fc from 'fast-check';
import { corpus } from './corpus.js';
import { BINARY, CLOSE, decode, encode, PING, PONG, TEXT, type Frame } from './frame.js';
import { mutated, mutations, type Mutation } from './mutations.js';

/** One entry of the corpus after changes of its frames, and then of its bytes. */
export interface FrameInput {
  readonly entry: number;
  readonly changes: readonly FrameChange[];
  readonly bytes: readonly Mutation[];
}

/** A change of one of the frames of an entry; `at` chooses the frame, and the place within it. */
type FrameChange =
  | { op: 'remask'; at: number; mask: Uint8Array }
  | { op: 'split'; at: number; pieces: number; ping: boolean }
  | { op: 'character'; at: number; text: string }
  | { op: 'repeat'; at: number; times: number }
  | { op: 'control'; at: number; opcode: number; payload: Uint8Array }
  | { op: 'payload'; at: number; change: Mutation }
  | { op: 'opcode'; at: number; opcode: number }
  | { op: 'rsv'; at: number; rsv: number }
  | { op: 'fin'; at: number }
  | { op: 'unmask'; at: number }
  | { op: 'claim'; at: number; claim: bigint }
  | { op: 'code'; at: number; code: number };

const entries = corpus('frames');
const frames = entries.map(({ data }) => decode(data));
const others = entries.map(({ data }) => data);

// What ends a conversation is rare, or what comes after it would never be read.
const closes = frames.map((list) => list.some(({ opcode }) => opcode === CLOSE));
const CLOSING = entries.flatMap((_, index) => (closes[index] === true ? [index] : []));
const TALKING = entries.flatMap((_, index) => (closes[index] === true ? [] : [index]));

const at = fc.nat(0xffff);
const claims = fc.constantFrom(
  0n,
  1n,
  125n,
  126n,
  127n,
  4_096n,
  4_097n,
  65_535n,
  65_536n,
  0xffff_ffffn,
  1n << 53n,
  (1n << 63n) - 1n,
  (1n << 64n) - 1n,
);
const codes = fc.constantFrom(
  0,
  999,
  1000,
  1001,
  1004,
  1005,
  1006,
  1007,
  1014,
  1015,
  1016,
  2999,
  3000,
  4999,
  5000,
  65_535,
);

/** Of one to four bytes in UTF-8, and what JSON gives a meaning. */
const characters = fc.constantFrom(
  'a',
  '"',
  '\\',
  '[',
  '\0',
  '\x7f',
  'é',
  '€',
  '\ufeff',
  '\uffff',
  '😀',
  '\u{10ffff}',
);

const harmless: fc.Arbitrary<FrameChange> = fc.oneof(
  fc.record({ op: fc.constant('remask' as const), at, mask: fc.uint8Array({ minLength: 4, maxLength: 4 }) }),
  fc.record({
    op: fc.constant('split' as const),
    at,
    pieces: fc.integer({ min: 2, max: 5 }),
    ping: fc.boolean(),
  }),
  fc.record({
    op: fc.constant('character' as const),
    at,
    text: fc.string({ unit: characters, maxLength: 4 }),
  }),
  fc.record({ op: fc.constant('repeat' as const), at, times: fc.integer({ min: 2, max: 3 }) }),
  fc.record({
    op: fc.constant('control' as const),
    at,
    opcode: fc.constantFrom(PING, PONG),
    payload: fc.uint8Array({ maxLength: 125 }),
  }),
);

const harmful: fc.Arbitrary<FrameChange> = fc.oneof(
  {
    arbitrary: fc.record({
      op: fc.constant('payload' as const),
      at,
      change: mutations(['"', '\\u0000', '[', '__proto__']),
    }),
    weight: 4,
  },
  fc.record({ op: fc.constant('opcode' as const), at, opcode: fc.nat(15) }),
  fc.record({ op: fc.constant('rsv' as const), at, rsv: fc.integer({ min: 1, max: 7 }) }),
  fc.record({ op: fc.constant('fin' as const), at }),
  fc.record({ op: fc.constant('unmask' as const), at }),
  fc.record({ op: fc.constant('claim' as const), at, claim: claims }),
  fc.record({ op: fc.constant('code' as const), at, code: codes }),
);

/** Mutated entries, most of which a server can still go on after. */
export const frameInputs: fc.Arbitrary<FrameInput> = fc.record({
  entry: fc.oneof(
    { arbitrary: fc.constantFrom(...TALKING), weight: 40 },
    { arbitrary: fc.constantFrom(...CLOSING), weight: 1 },
  ),
  changes: fc.array(fc.oneof({ arbitrary: harmless, weight: 30 }, { arbitrary: harmful, weight: 1 }), {
    minLength: 1,
    maxLength: 3,
  }),
  bytes: fc.oneof(
    { arbitrary: fc.constant([]), weight: 25 },
    { arbitrary: fc.array(mutations(), { minLength: 1, maxLength: 3 }), weight: 1 },
  ),
});

/** The bytes of an input. */
export function bytesOf({ entry, changes, bytes }: FrameInput): Buffer {
  const changed = changes.reduce((list, change) => changeFrames(list, change), frames[entry] ?? []);
  return mutated(Buffer.concat(changed.map(encode)), bytes, others);
}

function changeFrames(list: readonly Frame[], change: FrameChange): Frame[] {
  const index = change.at % Math.max(1, list.length);
  const frame = list[index];
  if (frame === undefined) return [];
  return [...list.slice(0, index), ...changeFrame(frame, change), ...list.slice(index + 1)];
}

function changeFrame(frame: Frame, change: FrameChange): Frame[] {
  switch (change.op) {
    case 'remask':
      return [{ ...frame, mask: Buffer.from(change.mask) }];
    case 'split':
      return split(frame, change.pieces, change.ping);
    case 'character':
      return [insert(frame, change.at, Buffer.from(change.text))];
    case 'repeat':
      // The first fragment of a message cannot come twice, nor its last.
      return frame.fin && frame.opcode !== 0 ? Array.from({ length: change.times }, () => frame) : [frame];
    case 'control':
      return [
        { ...frame, fin: true, rsv: 0, opcode: change.opcode, payload: Buffer.from(change.payload) },
        frame,
      ];
    case 'payload':
      return [{ ...frame, payload: mutated(frame.payload, [change.change], others) }];
    case 'opcode':
      return [{ ...frame, opcode: change.opcode }];
    case 'rsv':
      return [{ ...frame, rsv: change.rsv }];
    case 'fin':
      return [{ ...frame, fin: !frame.fin }];
    case 'unmask':
      return [{ ...frame, mask: undefined }];
    case 'claim':
      return [{ ...frame, claim: change.claim }];
    case 'code': {
      const code = Buffer.alloc(2);
      code.writeUInt16BE(change.code);
      return [
        {
          ...frame,
          fin: true,
          opcode: CLOSE,
          payload: Buffer.concat([code, frame.payload.subarray(0, 123)]),
        },
      ];
    }
  }
}

/** A message in more fragments; a control frame must come whole. */
function split(frame: Frame, pieces: number, ping: boolean): Frame[] {
  if (frame.opcode > BINARY) return [frame];
  const size = Math.ceil(frame.payload.length / pieces);
  return Array.from({ length: pieces }, (_, piece) => piece).flatMap((piece): Frame[] => {
    const fragment: Frame = {
      ...frame,
      fin: frame.fin && piece === pieces - 1,
      opcode: piece === 0 ? frame.opcode : 0,
      payload: frame.payload.subarray(piece * size, (piece + 1) * size),
    };
    const between: Frame = { ...frame, fin: true, opcode: PING, payload: Buffer.from([piece]) };
    return ping && piece > 0 ? [between, fragment] : [fragment];
  });
}

/** Inserts where a character may begin, so that text remains text. */
function insert(frame: Frame, place: number, text: Buffer): Frame {
  const { payload } = frame;
  let start = place % (payload.length + 1);
  if (frame.opcode === TEXT) while (start > 0 && ((payload[start] ?? 0) & 0xc0) === 0x80) start--;
  return { ...frame, payload: Buffer.concat([payload.subarray(0, start), text, payload.subarray(start)]) };
}

import fc from 'fast-check';

/** One change of an input. Places are taken modulo its length, so that each fits every input. */
export type Mutation =
  | { op: 'flip'; at: number; bit: number }
  | { op: 'insert'; at: number; bytes: Uint8Array }
  | { op: 'delete'; at: number; count: number }
  | { op: 'duplicate'; at: number; count: number; times: number }
  | { op: 'truncate'; at: number }
  | { op: 'integer'; at: number; width: number; value: bigint }
  | { op: 'splice'; at: number; other: number; from: number };

const place = fc.nat(0xffff);

/** What length fields and counters go wrong at: the borders of their forms, and of the limits. */
const BORDERS = [
  0n,
  1n,
  126n,
  128n,
  256n,
  4_096n,
  0x8000n,
  0x1_0000n,
  1n << 31n,
  1n << 32n,
  1n << 53n,
  1n << 63n,
];
const integers = fc
  .constantFrom(...BORDERS, 1n << 64n)
  .chain((border) => fc.constantFrom(border, border - 1n, border + 1n))
  .map((value) => BigInt.asUintN(64, value));

/** Changes of bytes; `tokens` are what the format gives a meaning. */
export function mutations(tokens: readonly string[] = []): fc.Arbitrary<Mutation> {
  const inserted = fc.uint8Array({ minLength: 1, maxLength: 8 });
  const token = tokens.length === 0 ? inserted : fc.constantFrom(...tokens).map((text) => Buffer.from(text));
  return fc.oneof(
    fc.record({ op: fc.constant('flip' as const), at: place, bit: fc.nat(7) }),
    fc.record({ op: fc.constant('insert' as const), at: place, bytes: inserted }),
    { arbitrary: fc.record({ op: fc.constant('insert' as const), at: place, bytes: token }), weight: 2 },
    fc.record({ op: fc.constant('delete' as const), at: place, count: fc.integer({ min: 1, max: 16 }) }),
    fc.record({
      op: fc.constant('duplicate' as const),
      at: place,
      count: fc.integer({ min: 1, max: 32 }),
      times: fc.integer({ min: 1, max: 4 }),
    }),
    fc.record({ op: fc.constant('truncate' as const), at: place }),
    fc.record({
      op: fc.constant('integer' as const),
      at: place,
      width: fc.constantFrom(1, 2, 4, 8),
      value: integers,
    }),
    fc.record({ op: fc.constant('splice' as const), at: place, other: place, from: place }),
  );
}

/** The input after all changes; `others` are what may be spliced into it. */
export function mutated(input: Buffer, changes: readonly Mutation[], others: readonly Buffer[]): Buffer {
  return changes.reduce((bytes, change) => mutate(bytes, change, others), input);
}

function mutate(input: Buffer, change: Mutation, others: readonly Buffer[]): Buffer {
  const at = change.at % (input.length + 1);
  const [before, after] = [input.subarray(0, at), input.subarray(at)];
  switch (change.op) {
    case 'flip': {
      if (after.length === 0) return input;
      const bytes = Buffer.from(input);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << change.bit);
      return bytes;
    }
    case 'insert':
      return Buffer.concat([before, change.bytes, after]);
    case 'delete':
      return Buffer.concat([before, after.subarray(change.count)]);
    case 'duplicate': {
      const piece = after.subarray(0, change.count);
      return Buffer.concat([before, ...Array.from({ length: change.times }, () => piece), after]);
    }
    case 'truncate':
      return before;
    case 'integer': {
      const bytes = Buffer.alloc(8);
      bytes.writeBigUInt64BE(change.value);
      return Buffer.concat([before, bytes.subarray(8 - change.width), after.subarray(change.width)]);
    }
    case 'splice': {
      const other = others[change.other % Math.max(1, others.length)] ?? input;
      return Buffer.concat([before, other.subarray(change.from % (other.length + 1))]);
    }
  }
}

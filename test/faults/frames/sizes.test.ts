import { BINARY_PATHS, echoes, TEXT_PATHS } from '../../support/echoes.js';
import { binary, says, text } from '../../support/ws-wire.js';

/** On both sides of each border of the length field (RFC 6455, section 5.2), and the limit of a message itself. */
const SIZES = [0, 1, 125, 126, 127, 128, 65_535, 65_536];

/** Bytes of a message that are let by one by one only where there are few: each takes a turn of the loop. */
const chopsOf = (size: number): number[] => (size < 1_000 ? [Infinity, 997, 7, 1] : [Infinity, 997]);

const delivered = (chop: number): string => (chop === Infinity ? 'in one piece' : `in chops of ${chop}`);

const letters = (size: number): string => Array.from({ length: size }, (_, i) => 'abcdefg'[i % 7]).join('');
const octets = (size: number): Buffer => Buffer.from(Array.from({ length: size }, (_, i) => (i * 7) & 0xff));

describe('Frames', () => {
  describe('messages of each size', () => {
    const { holds, talks } = echoes();

    for (const size of SIZES) {
      for (const chop of chopsOf(size)) {
        for (const path of TEXT_PATHS) {
          holds(`text of ${size} bytes ${delivered(chop)} comes back whole (${path})`, () =>
            talks(path, [text(letters(size))], [says.text(letters(size))], chop),
          );
        }
        for (const path of BINARY_PATHS) {
          holds(`${size} bytes ${delivered(chop)} come back whole (${path})`, () =>
            talks(path, [binary(octets(size))], [says.binary(octets(size))], chop),
          );
        }
      }
    }

    holds('a mask of zeros is a mask', () =>
      talks('/text', [text('hello', { mask: Buffer.alloc(4) })], [says.text('hello')]),
    );

    holds('each frame has its own mask', () =>
      talks(
        '/text',
        [1, 2, 3].map((n) => text(`message ${n}`, { mask: Buffer.from([n, 0xff, 0, n * 40]) })),
        [1, 2, 3].map((n) => says.text(`message ${n}`)),
      ),
    );

    holds('the header of a frame may be cut at any byte', async () => {
      const long = letters(300);
      for (let cut = 1; cut <= 9; cut++) {
        await talks('/text', [text(long)], [says.text(long)], cut);
      }
    });
  });
});

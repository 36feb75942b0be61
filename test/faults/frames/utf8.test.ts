import { expect } from 'chai';
import { echoes, TEXT_PATHS } from '../../support/echoes.js';
import { binary, fragments, frame, says, TEXT, text, Wire } from '../../support/ws-wire.js';

/** The first and the last of each length, and the borders of what is excluded (RFC 3629, section 4). */
const VALID: [name: string, text: string][] = [
  ['U+0000', '\u0000'],
  ['U+007F', '\u007f'],
  ['U+0080', '\u0080'],
  ['U+07FF', '\u07ff'],
  ['U+0800', '\u0800'],
  ['U+D7FF', '\ud7ff'],
  ['U+E000', '\ue000'],
  ['U+FEFF, also at the start', '\ufefftext'],
  ['U+FFFD', '\ufffd'],
  ['U+FFFE', '\ufffe'],
  ['U+FFFF', '\uffff'],
  ['U+10000', '\u{10000}'],
  ['U+10FFFF', '\u{10ffff}'],
  ['words of all lengths', 'κόσμε – σ, €, 한국어, 🎈 and ASCII'],
];

const INVALID: [name: string, bytes: number[]][] = [
  ['a lone continuation 80', [0x80]],
  ['a lone continuation BF', [0xbf]],
  ['many lone continuations', [0x80, 0xbf, 0x80, 0xbf, 0x80]],
  ['C0 80, an overlong NUL', [0xc0, 0x80]],
  ['C1 BF, an overlong 7F', [0xc1, 0xbf]],
  ['E0 80 80, an overlong NUL', [0xe0, 0x80, 0x80]],
  ['E0 9F BF, an overlong U+07FF', [0xe0, 0x9f, 0xbf]],
  ['F0 80 80 80, an overlong NUL', [0xf0, 0x80, 0x80, 0x80]],
  ['F0 8F BF BF, an overlong U+FFFF', [0xf0, 0x8f, 0xbf, 0xbf]],
  ['the surrogate U+D800', [0xed, 0xa0, 0x80]],
  ['the surrogate U+DBFF', [0xed, 0xaf, 0xbf]],
  ['the surrogate U+DC00', [0xed, 0xb0, 0x80]],
  ['the surrogate U+DFFF', [0xed, 0xbf, 0xbf]],
  ['a pair of surrogates', [0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80]],
  ['F4 90 80 80, beyond U+10FFFF', [0xf4, 0x90, 0x80, 0x80]],
  ['F5 80 80 80, beyond U+10FFFF', [0xf5, 0x80, 0x80, 0x80]],
  ['F8 88 80 80 80, five bytes', [0xf8, 0x88, 0x80, 0x80, 0x80]],
  ['FC 84 80 80 80 80, six bytes', [0xfc, 0x84, 0x80, 0x80, 0x80, 0x80]],
  ['FE', [0xfe]],
  ['FF', [0xff]],
  ['C3, cut short', [0xc3]],
  ['E2, cut short', [0xe2]],
  ['E2 82, cut short', [0xe2, 0x82]],
  ['F0 9F, cut short', [0xf0, 0x9f]],
  ['F0 9F 8E, cut short', [0xf0, 0x9f, 0x8e]],
  ['C3 28, a continuation that is none', [0xc3, 0x28]],
  ['E2 28 A1, a continuation that is none', [0xe2, 0x28, 0xa1]],
  ['F0 9F 28 80, a continuation that is none', [0xf0, 0x9f, 0x28, 0x80]],
];

const around = (bytes: number[]): Buffer =>
  Buffer.concat([Buffer.from('before '), Buffer.from(bytes), Buffer.from(' after')]);

describe('Frames', () => {
  describe('text that is UTF-8', () => {
    const { holds, talks } = echoes();

    for (const [name, valid] of VALID) {
      for (const path of TEXT_PATHS) {
        holds(`${name} comes back (${path})`, () => talks(path, [text(valid)], [says.text(valid)]));
        holds(`${name} comes back, byte by byte (${path})`, () =>
          talks(path, [text(valid)], [says.text(valid)], 1),
        );
        holds(`${name} comes back when each byte has a fragment of its own (${path})`, () => {
          const bytes = [...Buffer.from(valid)].map((byte) => Buffer.from([byte]));
          return talks(path, fragments(TEXT, [...bytes, '']), [says.text(valid)]);
        });
      }
      const { length } = Buffer.from(valid);
      for (let cut = 1; cut < Math.min(length, 5); cut++) {
        holds(`${name} comes back when it is cut in two fragments after byte ${cut}`, () => {
          const bytes = Buffer.from(valid);
          return talks('/text', fragments(TEXT, [bytes.subarray(0, cut), bytes.subarray(cut)]), [
            says.text(valid),
          ]);
        });
      }
    }
  });

  describe('text that is no UTF-8', () => {
    const { holds, server, talks, fails } = echoes();

    for (const [name, bytes] of INVALID) {
      for (const path of TEXT_PATHS) {
        holds(`${name} closes the socket with 1007 (${path})`, () =>
          fails(path, [text(Buffer.from(bytes))], [says.close(1007)]),
        );
      }
      holds(`${name} within a longer text closes the socket with 1007`, () =>
        fails('/text', [text(around(bytes))], [says.close(1007)]),
      );
      holds(`${name} within a longer text, byte by byte, closes the socket with 1007`, () =>
        fails('/text', [text(around(bytes))], [says.close(1007)], 1),
      );
      holds(`${name} with a fragment for each byte closes the socket with 1007`, () =>
        fails('/text-loop', fragments(TEXT, [...Array.from(bytes, (byte) => Buffer.from([byte])), '']), [
          says.close(1007),
        ]),
      );
      holds(
        `${name} behind a message in the same chunk closes the socket with 1007, the message answered`,
        () =>
          fails(
            '/text-loop',
            [text('first'), text(Buffer.from(bytes))],
            [says.text('first'), says.close(1007)],
          ),
      );
      holds(`${name} is as good as any other bytes where the message is binary`, () =>
        talks('/bytes', [binary(Buffer.from(bytes))], [says.binary(Buffer.from(bytes))]),
      );
    }

    for (const path of TEXT_PATHS) {
      holds(`what comes in one chunk with its end is not handled (${path})`, async () => {
        const wire = await Wire.open(server, path);
        const wrong = text(around([0xff]));
        wire.write(text('first'), wrong.subarray(0, 10));
        // The answer says that the begin of the next frame has been read.
        expect(await wire.say(1)).to.deep.equal([says.text('first')]);
        wire.write(wrong.subarray(10), text('late'), text('later'));
        expect(await wire.rest()).to.deep.equal([says.close(1007)]);
      });
    }

    holds('a sequence that is cut by the end of its message is not mended by the next', () =>
      fails(
        '/text',
        [frame(TEXT, Buffer.from([0xe2])), frame(TEXT, Buffer.from([0x82, 0xac]))],
        [says.close(1007)],
      ),
    );
  });
});

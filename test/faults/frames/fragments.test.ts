import { BINARY_PATHS, echoes, TEXT_PATHS } from '../../support/echoes.js';
import {
  BINARY,
  binary,
  close,
  CONTINUATION,
  fragments,
  frame,
  ping,
  pong,
  says,
  text,
  TEXT,
} from '../../support/ws-wire.js';

const open = (payload = 'frag', opcode = TEXT): Buffer => frame(opcode, payload, { fin: false });
const more = (payload = 'more'): Buffer => frame(CONTINUATION, payload, { fin: false });
const last = (payload = 'ment'): Buffer => frame(CONTINUATION, payload);

const parts = (count: number): string[] => Array.from({ length: count }, (_, i) => `part ${i};`);

describe('Frames', () => {
  describe('fragmented messages', () => {
    const { holds, talks } = echoes();

    const whole: [name: string, parts: string[]][] = [
      ['two fragments', ['frag', 'ment']],
      ['three fragments', ['frag', 'men', 't']],
      ['a hundred fragments', parts(100)],
      ['a thousand fragments', parts(1_000)],
      ['fragments of one byte', Array.from('abcdefghij')],
      ['two empty fragments', ['', '']],
      ['many empty fragments', Array.from({ length: 50 }, () => '')],
      ['an empty first fragment', ['', 'all']],
      ['an empty last fragment', ['all', '']],
      ['an empty fragment between', ['a', '', 'll']],
      ['fragments that are large and small', ['a'.repeat(40_000), 'b', 'c'.repeat(25_000)]],
      ['fragments that come to the limit', ['a'.repeat(65_535), 'b']],
    ];
    for (const [name, of] of whole) {
      for (const chop of of.join('').length < 100 ? [Infinity, 7, 1] : [Infinity, 997]) {
        const how = chop === Infinity ? 'in one chunk' : `in chops of ${chop}`;
        for (const path of TEXT_PATHS) {
          holds(`text in ${name}, ${how}, is one message (${path})`, () =>
            talks(path, fragments(TEXT, of), [says.text(of.join(''))], chop),
          );
        }
        for (const path of BINARY_PATHS) {
          holds(`bytes in ${name}, ${how}, are one message (${path})`, () =>
            talks(path, fragments(BINARY, of), [says.binary(of.join(''))], chop),
          );
        }
      }
    }

    for (const path of TEXT_PATHS) {
      holds(`two fragmented messages follow one another (${path})`, () =>
        talks(
          path,
          [...fragments(TEXT, ['on', 'e']), ...fragments(TEXT, ['t', 'wo'])],
          [says.text('one'), says.text('two')],
        ),
      );
      holds(`a fragmented message stands between whole ones (${path})`, () =>
        talks(
          path,
          [text('one'), ...fragments(TEXT, ['t', 'wo']), text('three')],
          [says.text('one'), says.text('two'), says.text('three')],
        ),
      );
      holds(`pings and pongs within a message are none of it (${path})`, () =>
        talks(
          path,
          [open('a'), ping('1'), more('b'), pong('2'), ping('3'), more(''), ping(''), last('c')],
          [says.pong('1'), says.pong('3'), says.pong(''), says.text('abc')],
        ),
      );
      holds(`pings within a message, byte by byte, are none of it (${path})`, () =>
        talks(
          path,
          [open('a'), ping('1'), more('b'), ping('2'), last('c')],
          [says.pong('1'), says.pong('2'), says.text('abc')],
          1,
        ),
      );
    }
  });

  describe('broken fragmentation', () => {
    const { holds, fails } = echoes();

    const broken: [name: string, frames: Buffer[]][] = [
      ['a continuation of nothing', [last()]],
      ['a continuation of nothing that is not the last', [more(), last()]],
      ['an empty continuation of nothing', [last('')]],
      ['a continuation of what has ended', [open(), last(), last()]],
      ['text within text', [open(), text('whole')]],
      ['text within bytes', [open('frag', BINARY), text('whole')]],
      ['bytes within text', [open(), binary('whole')]],
      ['bytes within bytes', [open('frag', BINARY), binary('whole')]],
      ['a first fragment within text', [open(), open()]],
      ['a first fragment after a continuation', [open(), more(), open('x', BINARY)]],
      ['an empty text within an empty fragment', [open(''), text('')]],
      ['text within text after a ping', [open(), ping(), text('whole')]],
    ];
    for (const [name, frames] of broken) {
      const answers = [
        ...(name.includes('has ended') ? [says.text('fragment')] : []),
        ...(name.includes('ping') ? [says.pong()] : []),
        says.close(1002),
      ];
      for (const path of TEXT_PATHS) {
        holds(`${name} closes the socket with 1002 (${path})`, () =>
          fails(path, [...frames, text('after')], answers),
        );
        holds(`${name}, byte by byte, closes the socket with 1002 (${path})`, () =>
          fails(path, frames, answers, 1),
        );
        // Where the pong comes among the replies is the server's to choose.
        if (name.includes('ping')) continue;
        holds(
          `${name} behind a message closes the socket with 1002, and the message is answered (${path})`,
          () => fails(path, [text('first'), ...frames], [says.text('first'), ...answers]),
        );
      }
    }

    holds('a control frame within a message does not end it: what comes next must go on', () =>
      fails('/text', [open(), ping('now'), pong(), text('whole')], [says.pong('now'), says.close(1002)]),
    );
    holds('a message that is broken off by a close is never seen', () =>
      fails('/text-loop', [text('seen'), open(), close(1006)], [says.text('seen'), says.close(1002)]),
    );
  });
});

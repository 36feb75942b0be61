import { expect } from 'chai';
import { setImmediate as turn } from 'node:timers/promises';
import { echoes, TEXT_PATHS } from '../../support/echoes.js';
import {
  binary,
  close,
  CLOSE,
  exchange,
  fragments,
  frame,
  ping,
  pong,
  says,
  text,
  TEXT,
  Wire,
} from '../../support/ws-wire.js';

/** Frames that end a conversation, and the code with which they do. */
const BAD: [name: string, frame: Buffer, code: number][] = [
  ['a frame with RSV1', text('x', { rsv: 4 }), 1002],
  ['a frame with RSV3', text('x', { rsv: 1 }), 1002],
  ['a reserved opcode', frame(3, 'x'), 1002],
  ['a reserved control opcode', frame(11, 'x'), 1002],
  ['a frame without a mask', text('x', { mask: 'none' }), 1002],
  ['a continuation of nothing', frame(0, 'x'), 1002],
  ['a ping in fragments', ping('x', { fin: false }), 1002],
  ['a ping that is too long', ping('x'.repeat(126)), 1002],
  ['a close of one byte', frame(CLOSE, 'x'), 1002],
  ['a close with a code that nobody may send', close(1005), 1002],
  ['text that is no UTF-8', text(Buffer.from([0xc3, 0x28])), 1007],
  ['a close whose reason is no UTF-8', close(1000, Buffer.from([0xff])), 1007],
  ['a message that claims to be too big', text('', { claim: 65_537 }), 1009],
  ['a message that claims to be beyond all bounds', text('', { claim: 2n ** 63n }), 1009],
  ['a close', close(3_000), 3_000],
];

const numbered = (count: number): string[] => Array.from({ length: count }, (_, i) => `message ${i}`);
const letters = (size: number): string => 'abcdefghij'.repeat(Math.ceil(size / 10)).slice(0, size);

describe('Frames', () => {
  describe('several in one chunk', () => {
    const { holds, talks, fails, server } = echoes();

    for (const path of TEXT_PATHS) {
      for (const count of [2, 10, 15, 16, 17, 100, 1_000]) {
        holds(`${count} messages are answered in order (${path})`, () =>
          talks(
            path,
            numbered(count).map((n) => text(n)),
            numbered(count).map(says.text),
          ),
        );
      }

      for (const chop of [3, 7, 11, 13]) {
        holds(
          `fifty messages in chops of ${chop}, which cut them anywhere, are answered in order (${path})`,
          () =>
            talks(
              path,
              numbered(50).map((n) => text(n)),
              numbered(50).map(says.text),
              chop,
            ),
        );
      }

      holds(`one and a half, and then the rest, are answered in order (${path})`, async () => {
        const [one, two, three] = ['one', 'two', 'three'].map((n) => text(n)) as [Buffer, Buffer, Buffer];
        for (let cut = 1; cut < two.length; cut++) {
          const wire = await Wire.open(server, path);
          wire.write(one, two.subarray(0, cut));
          expect(await wire.say(1)).to.deep.equal([says.text('one')]);
          expect(await exchange(wire, [two.subarray(cut), three], ['', ''])).to.deep.equal([
            says.text('two'),
            says.text('three'),
            says.close(1000),
          ]);
        }
      });

      holds(`large and small ones are answered in order (${path})`, () => {
        const sizes = [3, 60_000, 0, 126, 65_536, 1, 125, 65_535, 2];
        return talks(
          path,
          sizes.map((size) => text(letters(size))),
          sizes.map((size) => says.text(letters(size))),
        );
      });

      holds(`whole and fragmented ones, ASCII and not, are answered in order (${path})`, () =>
        talks(
          path,
          [
            text('one'),
            ...fragments(TEXT, ['t', 'wö']),
            text('drèi'),
            text(''),
            ...fragments(TEXT, ['4', '', '']),
          ],
          ['one', 'twö', 'drèi', '', '4'].map(says.text),
        ),
      );

      holds(
        `every ping between messages is answered, and every message, each in order (${path})`,
        async () => {
          const frames = numbered(30).flatMap((n) => [text(n), ping(n), pong(n)]);
          const heard = await exchange(
            await Wire.open(server, path),
            frames,
            Array.from({ length: 60 }, () => ''),
          );
          expect(heard.filter((one) => one.startsWith('text'))).to.deep.equal(numbered(30).map(says.text));
          expect(heard.filter((one) => one.startsWith('pong'))).to.deep.equal(numbered(30).map(says.pong));
          expect(heard.at(-1)).to.equal(says.close(1000));
        },
      );

      for (const [name, bad, code] of BAD) {
        holds(`${name} behind a message: the message is answered first (${path})`, () =>
          (code === 3_000 ? talks : fails)(
            path,
            [text('good'), bad, text('late')],
            [says.text('good'), says.close(code)],
          ),
        );
        holds(
          `${name} behind many messages and the half of one: all are answered first (${path})`,
          async () => {
            const expected = [...numbered(40).map(says.text), says.close(code)];
            const frames = [...numbered(40).map((n) => text(n)), bad, text('half').subarray(0, 7)];
            await (code === 3_000 ? talks : fails)(path, frames, expected);
          },
        );
        holds(`${name} in the chunk after a message: the message is answered first (${path})`, async () => {
          const wire = await Wire.open(server, path);
          wire.write(text('good'));
          await turn();
          expect(await exchange(wire, [bad], ['close'])).to.deep.equal([says.text('good'), says.close(code)]);
        });
        holds(`${name} cut anywhere behind a message: the message is answered first (${path})`, () =>
          (code === 3_000 ? talks : fails)(
            path,
            [text('good'), bad.subarray(0, 16)],
            [says.text('good'), says.close(code)],
            5,
          ),
        );
      }
    }

    holds(
      'a close and the end of the connection come with it: the messages before it are answered',
      async () => {
        const wire = await Wire.open(server, '/text');
        wire.write(text('one'), text('two'), close(1000));
        wire.client.socket.end();
        expect((await wire.rest()).slice(0, 2)).to.deep.equal([says.text('one'), says.text('two')]);
      },
    );

    holds('bytes and text are told apart', () =>
      talks(
        '/bytes',
        [binary('one'), text('two'), binary(''), text('')],
        ['one', 'two', '', ''].map(says.binary),
      ),
    );
  });
});

import { echoes } from '../../support/echoes.js';
import { BINARY, CLOSE, CONTINUATION, frame, PING, PONG, says, text, TEXT } from '../../support/ws-wire.js';

const OPCODES: [name: string, opcode: number][] = [
  ['text', TEXT],
  ['binary', BINARY],
  ['continuation', CONTINUATION],
  ['close', CLOSE],
  ['ping', PING],
  ['pong', PONG],
];

/** Where a frame may stand that must not. */
const PLACES: [name: string, path: string, before: Buffer[], answers: string[]][] = [
  ['as the first frame', '/text', [], []],
  ['behind a message', '/text', [text('first')], [says.text('first')]],
  ['behind a message of a loop', '/text-loop', [text('first')], [says.text('first')]],
  ['between fragments', '/text', [frame(TEXT, 'frag', { fin: false })], []],
];

describe('Frames', () => {
  describe('reserved bits', () => {
    const { holds, fails } = echoes();

    for (const rsv of [1, 2, 3, 4, 5, 6, 7]) {
      for (const [place, path, before, answers] of PLACES) {
        const name = `RSV ${rsv.toString(2).padStart(3, '0')} ${place}`;
        // Between fragments a continuation is what ought to come.
        const opcode = place === 'between fragments' ? CONTINUATION : TEXT;
        holds(`${name} closes the socket with 1002`, () =>
          fails(
            path,
            [...before, frame(opcode, 'bits', { rsv }), text('after')],
            [...answers, says.close(1002)],
          ),
        );
      }
    }

    for (const [name, opcode] of OPCODES) {
      for (const rsv of [4, 2, 1]) {
        holds(`RSV${rsv === 4 ? 1 : rsv === 2 ? 2 : 3} on a ${name} frame closes the socket with 1002`, () =>
          fails('/bytes', [frame(opcode, '', { rsv })], [says.close(1002)]),
        );
      }
    }

    holds('a reserved bit is seen before the rest of the frame has come', () =>
      fails('/text', [frame(TEXT, '', { rsv: 4, claim: 60_000 }).subarray(0, 2)], [says.close(1002)]),
    );
  });

  describe('reserved opcodes', () => {
    const { holds, fails } = echoes();

    for (const opcode of [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]) {
      for (const [place, path, before, answers] of PLACES) {
        holds(`opcode ${opcode} ${place} closes the socket with 1002`, () =>
          fails(path, [...before, frame(opcode, 'what'), text('after')], [...answers, says.close(1002)]),
        );
      }
    }

    for (const opcode of [3, 7, 11, 15]) {
      holds(`opcode ${opcode} without a payload, byte by byte, closes the socket with 1002`, () =>
        fails('/text', [frame(opcode)], [says.close(1002)], 1),
      );
    }
  });

  describe('masks', () => {
    const { holds, fails } = echoes();

    for (const [name, opcode] of OPCODES) {
      for (const [place, path, before, answers] of PLACES) {
        // A second message, and a continuation of none, are wrong already.
        if ((place === 'between fragments') !== (opcode === CONTINUATION) && opcode < CLOSE) continue;
        holds(`a ${name} frame without a mask ${place} closes the socket with 1002`, () =>
          fails(
            path,
            [...before, frame(opcode, opcode === CLOSE ? '' : 'bare', { mask: 'none' })],
            [...answers, says.close(1002)],
          ),
        );
      }
    }

    holds('a missing mask is seen before the rest of the frame has come', () =>
      fails('/text', [text('', { mask: 'none', claim: 60_000 }).subarray(0, 2)], [says.close(1002)]),
    );
  });
});

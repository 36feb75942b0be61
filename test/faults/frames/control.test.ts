import { echoes, TEXT_PATHS } from '../../support/echoes.js';
import { close, fragments, frame, ping, PING, pong, PONG, says, text, TEXT } from '../../support/ws-wire.js';

const FULL = 'x'.repeat(125);
const BYTES = Buffer.from([0, 0xff, 0xfe, 0xfd, 0xc0, 0x80, 0x0d, 0x0a]);

describe('Frames', () => {
  describe('pings and pongs', () => {
    const { holds, talks, fails } = echoes();

    const payloads: [name: string, payload: string | Buffer][] = [
      ['nothing', ''],
      ['text', 'hello'],
      ['bytes that are no text', BYTES],
      ['125 bytes', FULL],
    ];
    for (const path of TEXT_PATHS) {
      for (const [name, payload] of payloads) {
        for (const chop of [Infinity, 1]) {
          const how = chop === Infinity ? '' : ', byte by byte,';
          holds(`a ping of ${name}${how} is answered by a pong of the same (${path})`, () =>
            talks(path, [ping(payload)], [says.pong(payload)], chop),
          );
        }
        holds(`a pong of ${name} that nobody asked for is ignored (${path})`, () =>
          talks(path, [pong(payload), text('still here')], [says.text('still here')]),
        );
      }

      holds(`ten pings are answered one by one and in order (${path})`, () => {
        const numbers = Array.from({ length: 10 }, (_, i) => `ping ${i}`);
        return talks(
          path,
          numbers.map((n) => ping(n)),
          numbers.map((n) => says.pong(n)),
        );
      });

      holds(`ten pings in chops of seven are answered one by one and in order (${path})`, () => {
        const numbers = Array.from({ length: 10 }, (_, i) => `ping ${i}`);
        return talks(
          path,
          numbers.map((n) => ping(n)),
          numbers.map((n) => says.pong(n)),
          7,
        );
      });

      holds(`a pong that nobody asked for, before a ping, takes nothing from it (${path})`, () =>
        talks(path, [pong('one'), ping('two'), pong('three')], [says.pong('two')]),
      );

      holds(`a ping between the fragments of a message is answered before the message (${path})`, () => {
        const [first, second] = fragments(TEXT, ['frag', 'ment']) as [Buffer, Buffer];
        return talks(path, [first, ping('now'), second], [says.pong('now'), says.text('fragment')]);
      });

      holds(`a pong between the fragments of a message is ignored (${path})`, () => {
        const [first, second] = fragments(TEXT, ['frag', 'ment']) as [Buffer, Buffer];
        return talks(path, [first, pong('hm'), second], [says.text('fragment')]);
      });
    }

    const broken: [name: string, bytes: Buffer][] = [
      ['a ping of 126 bytes', ping('x'.repeat(126))],
      ['a pong of 126 bytes', pong('x'.repeat(126))],
      ['a close of 126 bytes', close(1000, 'x'.repeat(124))],
      ['a ping whose short length takes 16 bits', ping('hello', { bits: 16 })],
      ['a ping whose short length takes 64 bits', ping('hello', { bits: 64 })],
      ['a close whose short length takes 16 bits', close(1000, '', { bits: 16 })],
      ['a ping that claims 65,536 bytes', ping('', { claim: 65_536 })],
      ['a ping in fragments', frame(PING, 'frag', { fin: false })],
      ['a pong in fragments', frame(PONG, 'frag', { fin: false })],
      ['a close in fragments', close(1000, '', { fin: false })],
      ['a ping without a mask', ping('bare', { mask: 'none' })],
      ['a pong without a mask', pong('bare', { mask: 'none' })],
      ['a close without a mask', close(1000, '', { mask: 'none' })],
    ];
    for (const [name, bytes] of broken) {
      holds(`${name} closes the socket with 1002`, () => fails('/text', [bytes], [says.close(1002)]));

      holds(`${name}, byte by byte, closes the socket with 1002`, () =>
        fails('/text', [bytes.subarray(0, 12)], [says.close(1002)], 1),
      );

      holds(`${name} behind a message closes the socket with 1002, and the message is answered`, () =>
        fails('/text', [text('first'), bytes], [says.text('first'), says.close(1002)]),
      );

      holds(`${name} within a message closes the socket with 1002, and the message is none`, () =>
        fails('/text-loop', [frame(TEXT, 'frag', { fin: false }), bytes], [says.close(1002)]),
      );
    }
  });
});

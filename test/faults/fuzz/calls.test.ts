import { expect } from 'chai';
import fc from 'fast-check';
import { answerTo, briefly, type Brief } from './calls-model.js';
import { corpus } from './corpus.js';
import { explore } from './exploring.js';
import { encode, PING, TEXT } from './frame.js';
import { readSent, type Sent } from './frame-model.js';
import { fuzzed } from './fuzzed.js';
import { readAnswers } from './http-answers.js';
import { mutated, mutations } from './mutations.js';
import { Procedures } from './target.js';
import { allClosed, Wire, within } from './wire.js';

const TOKENS = [
  '"',
  '[',
  ']',
  '{',
  '}',
  ',',
  'null',
  '1e999',
  '-0',
  '[]',
  '{}',
  '"id":',
  '"id":{},',
  '"id":"x",',
  '"params":null,',
  '"params":[],',
  '"method":"__proto__",',
  '"method":"then",',
  '"jsonrpc":"1.0",',
  '"__proto__":{},',
  `${'{},'.repeat(101)}`,
  '\\ud800',
  '\ufeff',
];

const entries = corpus('calls').map(({ data }) => data);

const inputs = fc.array(
  fc.record({
    entry: fc.nat(entries.length - 1),
    changes: fc.array(mutations(TOKENS), { maxLength: 3 }),
  }),
  { minLength: 1, maxLength: 40, size: 'max' },
);

describe('Fuzzing', () => {
  describe('calls', () => {
    const { holds, port, unharmed } = fuzzed({ controllers: [Procedures] });

    /** Sends messages on one socket, waits for as many answers, and for those of a ping after them. */
    async function converse(path: string, messages: readonly Buffer[], answers: number): Promise<Sent[]> {
      const wire = await Wire.open(await port());
      await wire.write(Buffer.from([`GET ${path} HTTP/1.1`, ...HANDSHAKE, '', ''].join('\r\n')));
      const sent = (): Sent[] =>
        readSent(readAnswers(wire.received).rest ?? Buffer.alloc(0), { whole: false });
      const until = (enough: () => boolean): Promise<void> =>
        within(wire.until(enough), () => `no more answers after ${sent().join()}`);
      await until(() => wire.received.includes('\r\n\r\n'));
      await wire.write(Buffer.concat(messages.map((payload) => frame(TEXT, payload))));
      await until(() => sent().length >= answers);
      await wire.write(frame(PING, Buffer.alloc(0)));
      await until(() => sent().includes('pong:'));
      wire.leave();
      await allClosed([wire]);
      return sent().filter((one) => one !== 'pong:');
    }

    holds(
      'mutated calls and batches get the answers that JSON-RPC 2.0 says, each with its id, and no others',
      () =>
        explore({ of: 'calls', short: 1_000, long: 100_000 }, inputs, async (list) => {
          const messages = list.map(({ entry, changes }) =>
            textOf(mutated(entries[entry] ?? Buffer.alloc(0), changes, entries)),
          );
          const expected = messages.map(answerTo).filter((answer) => answer !== undefined);
          const got = (await converse('/calls', messages, expected.length)).map(answerOf);
          // Those that overlap answer when they are done.
          expect(got.sort().join('\n')).to.equal(expected.sort().join('\n'));
          await unharmed();
          return list.length;
        }),
    );

    holds('mutated calls among other messages get one answer each, at most', () =>
      explore({ of: 'calls among others', short: 500, long: 50_000 }, inputs, async (list) => {
        const messages = list.map(({ entry, changes }) =>
          textOf(mutated(entries[entry] ?? Buffer.alloc(0), changes, entries)),
        );
        const expected = messages
          .map((message) => (message.includes('"jsonrpc"') ? answerTo(message) : 'one'))
          .filter((answer) => answer !== undefined);
        const got = await converse('/calls/mixed', messages, expected.length);
        expect(got).to.have.length(expected.length);
        await unharmed();
        return list.length;
      }),
    );
  });
});

/** Messages of text hold text, as long as the server takes it; what does not is a matter of frames. */
function textOf(bytes: Buffer): Buffer {
  const text = bytes.toString();
  return Buffer.byteLength(text) > 4_096 ? Buffer.from('{}') : Buffer.from(text);
}

function answerOf(sent: Sent): Brief {
  if (!sent.startsWith('text:')) return sent;
  return briefly(JSON.parse(Buffer.from(sent.slice('text:'.length), 'hex').toString()));
}

function frame(opcode: number, payload: Buffer): Buffer {
  return encode({ fin: true, rsv: 0, opcode, mask: Buffer.from([1, 2, 3, 4]), payload });
}

const HANDSHAKE = [
  'Host: localhost',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
];

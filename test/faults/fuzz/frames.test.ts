import { expect } from 'chai';
import fc from 'fast-check';
import { conversations, converse } from './conversations.js';
import { corpus } from './corpus.js';
import { explore } from './exploring.js';
import { bytesOf, frameInputs } from './frame-mutations.js';
import type { Reply, Sent } from './frame-model.js';
import { checkCloseCode, fuzzed } from './fuzzed.js';
import { Procedures, Sockets } from './target.js';

const asText: Reply = (payload) => `text:${payload.toString('hex')}`;

/** Sockets whose answers are known: those of text, and those of bytes. */
const echoing: readonly { path: string; reply: Reply }[] = [
  {
    path: '/echo',
    reply: (payload, binary) => (binary ? 'close:1003' : `text:${payload.toString('hex')}`),
  },
  { path: '/bytes', reply: (payload) => `binary:${payload.toString('hex')}` },
];

const paths = ['/loop', '/orders', '/calls', '/calls/mixed', '/news'];

/** Sizes of the pieces in which bytes come; 0 is all at once. */
const pieces = fc.oneof({ arbitrary: fc.constant(0), weight: 6 }, fc.constantFrom(7, 64, 125, 126, 1_000));

const inputs = fc.array(frameInputs, { minLength: 1, maxLength: 100, size: 'max' });
const few = fc.array(frameInputs, { minLength: 1, maxLength: 5, size: 'max' });

describe('Fuzzing', () => {
  describe('frames', () => {
    const { holds, port, unharmed } = fuzzed({ controllers: [Sockets, Procedures] });

    holds('entries of the corpus are answered as RFC 6455 says', async () => {
      for (const { path, reply } of echoing) {
        const all = corpus('frames').flatMap(({ data }) => conversations([data], reply));
        const got = await converse(all, { port: await port(), path, piece: 0, together: false });
        all.forEach(({ bytes, expected }, index) => {
          expect(text([got[index] ?? []]), bytes.toString('hex', 0, 40)).to.equal(text([expected]));
        });
        await unharmed();
      }
    });

    holds('mutated frames get the echoes, pongs and close codes that RFC 6455 says, and nothing else', () =>
      explore(
        { of: 'frames', short: 3_000, long: 600_000 },
        fc.record({ inputs, echo: fc.constantFrom(...echoing), piece: pieces, together: fc.boolean() }),
        async ({ inputs: list, echo: { path, reply }, piece, together }) => {
          const all = conversations(list.map(bytesOf), reply);
          const got = await converse(all, { port: await port(), path, piece, together });
          expect(text(got)).to.equal(text(all.map(({ expected }) => expected)));
          await unharmed();
          return list.length;
        },
      ),
    );

    holds('mutated frames get well-formed answers and legal close codes from sockets of every sort', () =>
      explore(
        { of: 'frames for other sockets', short: 2_000, long: 300_000 },
        fc.record({ inputs, path: fc.constantFrom(...paths), piece: pieces, together: fc.boolean() }),
        async ({ inputs: list, path, piece, together }) => {
          const all = conversations(list.map(bytesOf), asText);
          const got = await converse(all, { port: await port(), path, piece, together });
          got.forEach((sent, index) => checkSent(sent, all[index]?.expected ?? [], path));
          await unharmed();
          return list.length;
        },
      ),
    );

    holds('mutated frames get the same answers byte by byte as all at once', () =>
      explore(
        { of: 'frames byte by byte', short: 200, long: 50_000 },
        fc.record({ inputs: few, echo: fc.constantFrom(...echoing) }),
        async ({ inputs: list, echo: { path, reply } }) => {
          // As short as this, or they would not go byte by byte.
          const short = list.map(bytesOf).filter(({ length }) => length < 20);
          const all = conversations(short, reply);
          const way = { port: await port(), path, together: false };
          const whole = await converse(all, { ...way, piece: 0 });
          const single = await converse(all, { ...way, piece: 1 });
          expect(text(single)).to.equal(text(whole));
          await unharmed();
          return short.length;
        },
      ),
    );
  });

  describe('compressed frames', () => {
    const { holds, port, unharmed } = fuzzed({ controllers: [Sockets], perMessageDeflate: true });

    holds('mutated frames get well-formed answers and legal close codes where compression is agreed on', () =>
      explore(
        { of: 'frames with compression', short: 500, long: 50_000 },
        fc.record({ inputs, together: fc.boolean() }),
        async ({ inputs: list, together }) => {
          // What is compressed is beyond the model: nobody waits for the close that it expects.
          const all = conversations(list.map(bytesOf), asText).map((one) => ({ ...one, over: false }));
          const got = await converse(all, {
            port: await port(),
            path: '/echo',
            piece: 0,
            together,
            fields: ['Sec-WebSocket-Extensions: permessage-deflate'],
          });
          got.forEach((sent, index) => checkCodes(sent, all[index]?.expected ?? []));
          await unharmed();
          return list.length;
        },
      ),
    );
  });
});

/** Control frames may come before messages that were sent earlier (RFC 6455, section 5.4): each sort has its order. */
function apart(sent: readonly Sent[]): { pongs: Sent[]; others: Sent[] } {
  return {
    pongs: sent.filter((one) => one.startsWith('pong:')),
    others: sent.filter((one) => !one.startsWith('pong:')),
  };
}

/** One line for each frame, so that a difference is seen where it is. */
function text(sent: readonly (readonly Sent[])[]): string {
  return sent
    .map(apart)
    .map(({ pongs, others }) => [...others, ...pongs].join('\n'))
    .join('\n\n');
}

/** What can be said of an answer without knowing the method behind it. */
function checkSent(sent: readonly Sent[], expected: readonly Sent[], path: string): void {
  checkCodes(sent, expected);
  const { pongs, others } = apart(sent);
  const model = apart(expected);
  expect(pongs.join('\n')).to.equal(model.pongs.slice(0, pongs.length).join('\n'));
  if (path !== '/loop') return;
  const texts = others.filter((one) => one.startsWith('text:'));
  const echoes = model.others.filter((one) => one.startsWith('text:'));
  expect(texts.join('\n')).to.equal(echoes.slice(0, texts.length).join('\n'));
}

/** A close code is the client's own, or one for its mistake. */
function checkCodes(sent: readonly Sent[], expected: readonly Sent[]): void {
  for (const one of sent) {
    if (one.startsWith('close:') && !expected.includes(one)) checkCloseCode(Number(one.slice(6)));
  }
}

import { expect } from 'chai';
import { sessions } from 'coequal';
import fc from 'fast-check';
import { corpus, type Entry } from './corpus.js';
import { explore } from './exploring.js';
import { mayBeSent, readSent } from './frame-model.js';
import { checkCloseCode, fuzzed, type Exchange } from './fuzzed.js';
import { httpInputs, requestOf } from './http-mutations.js';
import { prepare, Procedures, Requests, Sessions, Sockets } from './target.js';

const pieces = fc.oneof({ arbitrary: fc.constant(0), weight: 6 }, fc.constantFrom(1, 16, 100));

describe('Fuzzing', () => {
  for (const folder of ['requests', 'handshakes'] as const) {
    describe(folder, () => {
      const { holds, server, send, unharmed } = fuzzed({
        controllers: [Requests, Sessions, Sockets, Procedures],
        middleware: [sessions()],
        health: true,
      });
      let entries: Entry[];
      before(async () => {
        entries = corpus(folder, await prepare(server));
      });

      holds('entries of the corpus are answered by the status in their name', async () => {
        const exchanges = await send(entries.map(({ data }) => data));
        exchanges.forEach(({ answers }, index) => {
          const { name } = entries[index] ?? { name: '' };
          const status = answers.find((answer) => answer.status !== 100)?.status;
          expect(`${status ?? 'none'}`, name).to.equal(name.split('.')[1]);
        });
        await unharmed();
      });

      holds(
        'mutated ones get well-formed answers, none of which blames the server or tells of its inside',
        () =>
          explore(
            { of: folder, short: 1_000, long: 100_000 },
            fc.record({
              inputs: fc.array(httpInputs(corpus(folder).length), {
                minLength: 1,
                maxLength: 32,
                size: 'max',
              }),
              piece: pieces,
            }),
            async ({ inputs, piece }) => {
              const datas = entries.map(({ data }) => data);
              const exchanges = await send(
                inputs.map((input) => requestOf(input, datas)),
                { piece },
              );
              exchanges.forEach(checkSocket);
              await unharmed();
              return inputs.length;
            },
          ),
      );
    });
  }
});

/** What came after a 101 are frames; a close is for the client's mistake, or the code that it sent. */
function checkSocket({ rest, input }: Exchange): void {
  for (const sent of readSent(rest ?? Buffer.alloc(0))) {
    if (!sent.startsWith('close:')) continue;
    const code = Number(sent.slice('close:'.length));
    if (!(mayBeSent(code) && input.includes(Buffer.from([code >> 8, code & 0xff])))) checkCloseCode(code);
  }
}

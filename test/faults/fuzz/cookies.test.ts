import { expect } from 'chai';
import { sessions } from 'coequal';
import fc from 'fast-check';
import { corpus, type Entry } from './corpus.js';
import { explore } from './exploring.js';
import { fuzzed } from './fuzzed.js';
import { field } from './http-answers.js';
import { mutated, mutations } from './mutations.js';
import { prepare, Requests, Sessions, Sockets } from './target.js';

const TOKENS = [
  '__Host-session=',
  ';',
  '; ',
  ',',
  '=',
  '"',
  '%',
  '%00',
  '%3D',
  'é',
  '\0',
  '__proto__=',
  'x'.repeat(5_000),
];

const inputs = fc.array(
  fc.record({
    entry: fc.nat(corpus('cookies').length - 1),
    changes: fc.array(mutations(TOKENS), { minLength: 1, maxLength: 3 }),
    method: fc.constantFrom('GET', 'POST'),
  }),
  { minLength: 1, maxLength: 32, size: 'max' },
);

describe('Fuzzing', () => {
  describe('cookies', () => {
    const { holds, server, send, unharmed } = fuzzed({
      controllers: [Requests, Sessions, Sockets],
      middleware: [sessions()],
    });
    let entries: Entry[];
    let token: string;
    before(async () => {
      const { session } = await prepare(server);
      entries = corpus('cookies', { session });
      token = session;
    });

    const ask = (method: string, cookie: Buffer): Buffer =>
      Buffer.concat([
        Buffer.from(
          `${method} /session HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\nCookie: `,
        ),
        cookie,
        Buffer.from('\r\n\r\n'),
      ]);

    holds('entries of the corpus are who they are', async () => {
      const exchanges = await send(
        entries.map(({ data }) => ask('GET', data)),
        { stay: true },
      );
      const users = exchanges.map(({ answers: [answer] }) => answer?.body.toString());
      const ada = '{"user":"ada"}';
      expect(Object.fromEntries(entries.map(({ name }, index) => [name, users[index]]))).to.deep.equal({
        'no-session.txt': '{"user":null}',
        'session-among-others.txt': ada,
        'session.txt': ada,
        // Which of two counts is not ours to say; here it is the first.
        'two-sessions.txt': '{"user":null}',
      });
      await unharmed();
    });

    holds('mutated cookies make nobody somebody, and set none', () =>
      explore({ of: 'cookies', short: 600, long: 50_000 }, inputs, async (list) => {
        const datas = entries.map(({ data }) => data);
        const cookies = list.map(({ entry, changes }) =>
          mutated(datas[entry] ?? Buffer.alloc(0), changes, datas),
        );
        const exchanges = await send(
          list.map(({ method }, index) => ask(method, cookies[index] ?? Buffer.alloc(0))),
        );
        exchanges.forEach(({ answers: [answer], input }, index) => {
          if (answer === undefined) return;
          const line = input.toString('latin1');
          expect(answer.status, line).to.be.oneOf([200, 400, 403, 431]);
          if (list[index]?.method === 'POST') return;
          expect(field(answer, 'set-cookie'), line).to.equal(undefined);
          if (!answer.body.includes('ada')) return;
          expect(`${line}${unescaped(line)}`.includes(token), line).to.equal(true);
        });
        await unharmed();
        return list.length;
      }),
    );
  });
});

function unescaped(text: string): string {
  return text.replace(/%([\da-f]{2})/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
}

import { expect } from 'chai';
import fc from 'fast-check';
import { corpus, type Entry } from './corpus.js';
import { explore } from './exploring.js';
import { readSent } from './frame-model.js';
import { fuzzed, type Exchange } from './fuzzed.js';
import { mutated, mutations } from './mutations.js';
import { ISSUES, KEPT, prepare, Requests, Sessions, Sockets } from './target.js';
import { sessions } from 'coequal';

const inputs = fc.array(
  fc.record({
    entry: fc.nat(corpus('cursors').length - 1),
    changes: fc.array(mutations(['.', '0', '-', '_', 'z', '..', 'é', '%', '\0', '__proto__']), {
      maxLength: 3,
    }),
    kind: fc.constantFrom('sse' as const, 'websocket' as const),
  }),
  { minLength: 1, maxLength: 24, size: 'max' },
);

/** Where a position is, in the words of those who gave it. */
interface Origin {
  epoch: string;
  nonce: string;
}

describe('Fuzzing', () => {
  describe('cursors', () => {
    const { holds, server, send, unharmed } = fuzzed({
      controllers: [Requests, Sessions, Sockets],
      middleware: [sessions()],
    });
    let entries: Entry[];
    let origin: Origin;
    before(async () => {
      const { cursor: first } = await prepare(server);
      const [epoch = '', nonce = ''] = first.split('.');
      const last = `${epoch}.${nonce}.${ISSUES.toString(36)}`;
      entries = corpus('cursors', { first, last, epoch, nonce });
      origin = { epoch, nonce };
    });

    holds('mutated cursors bring what was missed, or the news that there is a gap, and never a hole', () =>
      explore({ of: 'cursors', short: 600, long: 50_000 }, inputs, async (list) => {
        const datas = entries.map(({ data }) => data);
        const cursors = list.map(({ entry, changes }) =>
          // What cannot stand in a field would be another test.
          mutated(datas[entry] ?? Buffer.alloc(0), changes, datas)
            .toString('latin1')
            .replace(/[^\t\x20-\x7e\x80-\xff]/g, ''),
        );
        const exchanges = await send(
          list.map(({ kind }, index) => Buffer.from(request(kind, cursors[index] ?? ''), 'latin1')),
        );
        list.forEach(({ kind }, index) => {
          // White space around a field's value is none of it.
          const cursor =
            kind === 'sse' ? (cursors[index] ?? '').replace(/^[ \t]+|[ \t]+$/g, '') : (cursors[index] ?? '');
          const { input, ...exchange } = exchanges[index] as Exchange;
          const got = kind === 'sse' ? events(exchange.answers[0]?.body) : messages(exchange.rest);
          expect(got.join('\n'), input.toString('latin1')).to.equal(told(cursor, origin).join('\n'));
        });
        await unharmed();
        return list.length;
      }),
    );
  });
});

function request(kind: 'sse' | 'websocket', cursor: string): string {
  if (kind === 'sse') {
    return `GET /news HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nLast-Event-ID: ${cursor}\r\n\r\n`;
  }
  return [
    `GET /news?lastEventId=${encodeURIComponent(cursor)} HTTP/1.1`,
    'Host: localhost',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Protocol: coequal.events',
    '',
    '',
  ].join('\r\n');
}

/** What a reader is to be told who comes back with this cursor. */
function told(cursor: string, { epoch, nonce }: Origin): string[] {
  const all = (after: number): string[] =>
    Array.from({ length: ISSUES - after }, (_, index) => `issue ${after + index + 1}`);
  const oldest = ISSUES - KEPT;
  if (cursor === '') return all(oldest);
  const match = /^([\w-]{8})\.([\w-]{8})\.([0-9a-z]{1,11})$/.exec(cursor);
  const after = parseInt(match?.[3] ?? '', 36);
  if (match === null || match[2] !== nonce || !Number.isSafeInteger(after)) return ['gap', ...all(oldest)];
  if (match[1] !== epoch || after > ISSUES || after < oldest) return ['gap', ...all(oldest)];
  return all(after);
}

function events(body: Buffer = Buffer.alloc(0)): string[] {
  return body
    .toString()
    .split('\n\n')
    .map(
      (event) =>
        Object.fromEntries(event.split('\n').map((line) => line.split(/: (.*)/s, 2))) as Record<
          string,
          string
        >,
    )
    .flatMap(({ event, data }) => (data === undefined ? [] : [event === 'gap' ? 'gap' : data]));
}

function messages(rest: Buffer = Buffer.alloc(0)): string[] {
  return readSent(rest)
    .filter((sent) => sent.startsWith('text:'))
    .map(
      (sent) => JSON.parse(Buffer.from(sent.slice(5), 'hex').toString()) as { event?: string; data?: string },
    )
    .flatMap(({ event, data }) => (data === undefined ? [] : [event === 'gap' ? 'gap' : data]));
}

import { isUtf8 } from 'node:buffer';
import { expect } from 'chai';
import fc from 'fast-check';
import { corpus } from './corpus.js';
import { explore } from './exploring.js';
import { fuzzed, type Exchange } from './fuzzed.js';
import { readJson } from './json-model.js';
import { mutated, mutations, type Mutation } from './mutations.js';
import { Requests } from './target.js';

const JSON_TOKENS = [
  '"',
  '\\',
  '\\u0000',
  '[',
  ']',
  '{',
  '}',
  ',',
  ':',
  'null',
  '-',
  '1e999',
  '"__proto__":',
  '"\\u005f_proto__":1,',
  '{"constructor":{"prototype":1}}',
  '\ufeff',
  '/**/',
  'NaN',
  '[['.repeat(40),
];
const FORM_TOKENS = [
  '&',
  '=',
  '+',
  '%',
  '%00',
  '%c0%ae',
  '%E2%82',
  '%25',
  '__proto__',
  '[]',
  ';',
  'é',
  '&a'.repeat(999),
];
const MULTIPART_TOKENS = [
  '\r\n',
  '--border',
  '--',
  '\r\n--border\r\n',
  '\r\n\r\n',
  '; ',
  'name="',
  'filename="',
  '"',
  '\\',
  "filename*=utf-8''%",
  'Content-Type: ',
  'Content-Disposition: form-data',
  '\0',
  '../../',
  '__proto__',
  'x'.repeat(17_000),
];

interface Input {
  entry: number;
  changes: Mutation[];
}

function inputs(entries: readonly Buffer[], tokens: readonly string[]): fc.Arbitrary<Input[]> {
  const changes = fc.array(mutations(tokens), { minLength: 1, maxLength: 4 });
  const input = fc.record({ entry: fc.nat(entries.length - 1), changes });
  return fc.array(input, { minLength: 1, maxLength: 16, size: 'max' });
}

describe('Fuzzing', () => {
  describe('bodies', () => {
    const { holds, send, unharmed } = fuzzed({ controllers: [Requests] });

    /** Posts bodies at once with their length, and in chunks and pieces: the answers must be the same. */
    async function post(
      path: string,
      type: string,
      bodies: readonly Buffer[],
      piece: number,
    ): Promise<Exchange[]> {
      const head = `POST ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: ${type}\r\n`;
      const whole = bodies.map((body) =>
        Buffer.concat([Buffer.from(`${head}Content-Length: ${body.length}\r\n\r\n`), body]),
      );
      const chunked = bodies.map((body) =>
        Buffer.concat([Buffer.from(`${head}Transfer-Encoding: chunked\r\n\r\n`), chunks(body, piece)]),
      );
      const [one, other] = [await send(whole, { stay: true }), await send(chunked, { piece, stay: true })];
      one.forEach((exchange, index) => {
        expect(shown(other[index]), 'what comes in chunks').to.equal(shown(exchange));
      });
      return one;
    }

    holds('JSON is what JSON.parse makes of it, or refused, mutated as it may be', () => {
      const entries = corpus('json').map(({ data }) => data);
      return explore(
        { of: 'JSON bodies', short: 500, long: 50_000 },
        fc.record({ list: inputs(entries, JSON_TOKENS), piece: fc.integer({ min: 1, max: 50 }) }),
        async ({ list, piece }) => {
          const bodies = list.map(({ entry, changes }) => mutated(entries[entry] ?? EMPTY, changes, entries));
          const exchanges = await post('/any', 'application/json', bodies, piece);
          bodies.forEach((body, index) => {
            const model = body.length === 0 ? { value: null } : readJson(body);
            const expected = model === undefined ? '400' : `200 ${JSON.stringify({ body: model.value })}`;
            expect(brief(exchanges[index]), body.toString('latin1')).to.equal(expected);
          });
          await unharmed();
          return list.length;
        },
      );
    });

    holds('a form is what URLSearchParams makes of it, or refused, mutated as it may be', () => {
      const entries = corpus('forms').map(({ data }) => data);
      return explore(
        { of: 'forms', short: 500, long: 50_000 },
        fc.record({ list: inputs(entries, FORM_TOKENS), piece: fc.integer({ min: 1, max: 50 }) }),
        async ({ list, piece }) => {
          const bodies = list.map(({ entry, changes }) => mutated(entries[entry] ?? EMPTY, changes, entries));
          const exchanges = await post('/any', 'application/x-www-form-urlencoded', bodies, piece);
          bodies.forEach((body, index) => {
            const model = readForm(body);
            const expected = model === undefined ? '400' : `200 ${JSON.stringify({ body: model })}`;
            expect(brief(exchanges[index]), body.toString('latin1')).to.equal(expected);
          });
          await unharmed();
          return list.length;
        },
      );
    });

    holds('multipart is read the same in one chunk as in many, or refused, mutated as it may be', () => {
      const entries = corpus('multipart').map(({ data }) => data);
      return explore(
        { of: 'multipart bodies', short: 300, long: 50_000 },
        fc.record({ list: inputs(entries, MULTIPART_TOKENS), piece: fc.integer({ min: 1, max: 200 }) }),
        async ({ list, piece }) => {
          const bodies = list
            .map(({ entry, changes }) => mutated(entries[entry] ?? EMPTY, changes, entries))
            .filter(({ length }) => length > 0);
          const exchanges = await post('/uploads', 'multipart/form-data; boundary=border', bodies, piece);
          for (const { answers } of exchanges) expect(answers[0]?.status).to.be.oneOf([200, 400, 413, 415]);
          await unharmed();
          return list.length;
        },
      );
    });
  });
});

const EMPTY = Buffer.alloc(0);

function chunks(body: Buffer, size: number): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < body.length; at += size) {
    const data = body.subarray(at, at + size);
    parts.push(Buffer.from(`${data.length.toString(16)}\r\n`), data, Buffer.from('\r\n'));
  }
  return Buffer.concat([...parts, Buffer.from('0\r\n\r\n')]);
}

/** The answer without what differs from one request to the next. */
function shown(exchange: Exchange | undefined): string {
  const [answer] = exchange?.answers ?? [];
  return `${answer?.status} ${answer?.body.toString().replace(/"requestId":"[^"]*"/, '')}`;
}

function brief(exchange: Exchange | undefined): string {
  const [answer] = exchange?.answers ?? [];
  return answer?.status === 200 ? `200 ${answer.body.toString()}` : `${answer?.status}`;
}

/** A form by the URL standard: null for none, undefined for one that is to be refused. */
function readForm(body: Buffer): object | null | undefined {
  if (body.length === 0) return null;
  if (!isUtf8(body)) return undefined;
  const pairs = body
    .toString()
    .split('&')
    .filter((pair) => pair !== '');
  if (pairs.length > 1_000 || !pairs.every(isDecodable)) return undefined;
  const fields = Object.create(null) as Record<string, string | string[]>;
  // A question mark at the start would be taken for the query's.
  for (const [name, value] of new URLSearchParams(`&${body.toString()}`)) {
    const known = fields[name];
    fields[name] = known === undefined ? value : [known, value].flat();
  }
  return fields;
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch (error) {
    if (error instanceof URIError) return false;
    throw error;
  }
}

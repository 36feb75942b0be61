import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { All, Controller, HttpError, Sse, UseMiddleware, WebSocket, type Middleware } from 'coequal';
import { files } from 'coequal/files';
import fc from 'fast-check';
import { corpus } from './corpus.js';
import { explore } from './exploring.js';
import { fuzzed, type Exchange } from './fuzzed.js';
import { mutated, mutations } from './mutations.js';
import { Requests, SECRET } from './target.js';

const TOKENS = [
  '/',
  '//',
  '.',
  '..',
  '/../',
  '/./',
  '%2e',
  '%2E%2e',
  '%2f',
  '%5c',
  '\\',
  '%',
  '%00',
  '%25',
  '%252e',
  '%c0%ae',
  '%e0%80%ae',
  '%ed%a0%80',
  '%F0%9F%98%80',
  '?',
  '&',
  '=',
  '+',
  '#',
  ';',
  '*',
  ':',
  '@',
  '//x',
  'guarded',
  'GUARDED',
  '__proto__',
  '&a'.repeat(1_001),
  '\t',
  'é',
];

const entries = corpus('targets').map(({ data }) => data);

const inputs = fc.array(
  fc.record({
    entry: fc.nat(entries.length - 1),
    changes: fc.array(mutations(TOKENS), { maxLength: 4 }),
    kind: fc.constantFrom('http' as const, 'sse' as const, 'websocket' as const),
  }),
  { minLength: 1, maxLength: 32, size: 'max' },
);

let entered = 0;
const nobody: Middleware = () => {
  throw new HttpError(401, 'Nobody may');
};

@Controller('/guarded')
@UseMiddleware(nobody)
class Guarded {
  @All('/*') @Sse('/*') @WebSocket('/*') enter() {
    entered++;
    return SECRET;
  }
}

const folder = mkdtempSync(join(tmpdir(), 'targets-'));
mkdirSync(join(folder, 'public/where'), { recursive: true });
writeFileSync(join(folder, 'public/where/file.txt'), 'a file');
writeFileSync(join(folder, 'guarded'), SECRET);
writeFileSync(join(folder, 'public/.secret'), SECRET);

describe('Fuzzing', () => {
  describe('targets', () => {
    after(() => rmSync(folder, { recursive: true }));
    const { holds, send, unharmed } = fuzzed({
      controllers: [Requests, Guarded],
      middleware: [files(join(folder, 'public'))],
    });

    holds('mutated paths and queries are refused or have one canonical form, and lead round no guard', () =>
      explore({ of: 'targets', short: 600, long: 100_000 }, inputs, async (list) => {
        const targets = list.map(({ entry, changes }) =>
          mutated(entries[entry] ?? Buffer.alloc(0), changes, entries).toString('latin1'),
        );
        const requests = list.map(({ kind }, index) => request(kind, targets[index] ?? ''));
        const exchanges = await send(requests);
        exchanges.forEach((exchange, index) => check(exchange, targets[index] ?? ''));
        expect(entered, 'handlers behind the guard').to.equal(0);
        await unharmed();
        return list.length;
      }),
    );
  });
});

function request(kind: 'http' | 'sse' | 'websocket', target: string): Buffer {
  const fields = {
    http: ['Connection: close'],
    sse: ['Connection: close', 'Accept: text/event-stream'],
    websocket: [
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    ],
  };
  return Buffer.from(
    [`GET ${target} HTTP/1.1`, 'Host: localhost', ...fields[kind], '', ''].join('\r\n'),
    'latin1',
  );
}

function check({ answers, rest }: Exchange, target: string): void {
  expect(rest, `101 for ${target}`).to.equal(undefined);
  for (const { status, body } of answers) {
    const text = body.toString();
    expect(text, target).to.not.include(SECRET);
    if (status !== 200 || !text.startsWith('{"path":')) continue;
    const { path, query } = JSON.parse(text) as { path: string; query: Record<string, string | string[]> };
    expect(path, target).to.match(/^\/where\/./);
    for (const segment of path.split('/').slice(1)) expect(segment, target).to.not.be.oneOf(['', '.', '..']);
    expect(path, target).to.not.match(/[\p{Cc}\\]/u);
    const model = queryOf(target);
    if (model !== undefined) expect(query, target).to.deep.equal(model);
  }
}

/** The query by the URL standard; undefined where it holds what others read in other ways. */
function queryOf(target: string): object | undefined {
  const search = /^[^?#]*\?([^#]*)$/.exec(target)?.[1] ?? '';
  if (/[^\x21-\x7e]|%(?![\da-f]{2})|%[89a-f]/i.test(search)) return undefined;
  const query: Record<string, string | string[]> = {};
  for (const [name, value] of new URLSearchParams(`&${search}`)) {
    const known = Object.hasOwn(query, name) ? query[name] : undefined;
    // An assignment would reach the prototype.
    const all = known === undefined ? value : [known, value].flat();
    Object.defineProperty(query, name, { value: all, enumerable: true, configurable: true, writable: true });
  }
  return query;
}

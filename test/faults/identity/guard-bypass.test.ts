import { expect } from 'chai';
import { Channels } from 'coequal';
import { asks } from '../../support/doors.js';
import { mistreated, type Mistreated } from '../../support/canary.js';
import { GUEST, placements, ran, Secrets, SIGNED_IN } from '../../support/guarded.js';
import { RawClient, type RawAnswer } from '../../support/raw-client.js';
import { spellingsOf } from '../../support/spellings.js';
import { sample } from '../../support/long.js';

/** One way to ask for a path. */
interface Way {
  readonly name: string;
  readonly method: string;
  readonly version?: string;
  readonly fields: readonly string[];
  readonly query?: string;
  readonly body?: string;
  /** The status that who may enter is given. */
  readonly opened: number;
}

/** The ways, some of which resume from a cursor. */
function waysFrom(cursor: string): Way[] {
  const { http, sse, websocket } = asks;
  const json = 'Content-Type: application/json';
  const events = 'Sec-WebSocket-Protocol: coequal.events';
  const lastEventId = `lastEventId=${encodeURIComponent(cursor)}`;
  return [
    { name: 'GET', method: 'GET', fields: http, opened: 200 },
    { name: 'HEAD', method: 'HEAD', fields: http, opened: 200 },
    { name: 'SSE', method: 'GET', fields: sse, opened: 200 },
    { name: 'an upgrade', method: 'GET', fields: websocket, opened: 101 },
    { name: 'a stream resumed', method: 'GET', fields: [...sse, `Last-Event-ID: ${cursor}`], opened: 200 },
    {
      name: 'a socket resumed',
      method: 'GET',
      fields: [...websocket, events],
      query: lastEventId,
      opened: 101,
    },
    { name: 'the POST of a call', method: 'POST', fields: [json], body: '{}', opened: 200 },
    { name: 'DELETE', method: 'DELETE', fields: http, opened: 204 },
    {
      name: 'an upgrade to h2c',
      method: 'GET',
      fields: ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAoAAA'],
      opened: 200,
    },
    { name: 'HTTP/1.0', method: 'GET', version: '1.0', fields: http, opened: 200 },
    { name: 'an upgrade in HTTP/1.0', method: 'GET', version: '1.0', fields: websocket, opened: 200 },
  ];
}

/** Fields, parameters and bodies by which some server or framework lets a request say that it is another. */
const OVERRIDES: readonly { name: string; field?: string; query?: string; body?: string }[] = [
  ...['X-HTTP-Method-Override', 'X-HTTP-Method', 'X-Method-Override'].flatMap((name) =>
    ['GET', 'HEAD', 'POST', 'DELETE', 'OPTIONS'].map((verb) => ({
      name: `${name}: ${verb}`,
      field: `${name}: ${verb}`,
    })),
  ),
  ...[
    'X-Original-URL: /canary',
    'X-Original-URI: /canary',
    'X-Rewrite-URL: /canary',
    'X-Forwarded-URI: /canary',
    'X-Forwarded-Path: /canary',
    'X-Forwarded-Prefix: /canary',
    'X-Forwarded-Host: localhost/canary',
    'X-Script-Name: /admin',
    'Content-Location: /canary',
    'Referer: http://localhost/canary',
  ].map((field) => ({ name: field, field })),
  { name: '?_method=OPTIONS', query: '_method=OPTIONS' },
  { name: '?_method=DELETE', query: '_method=DELETE' },
  { name: '_method=DELETE in a form', body: '_method=DELETE&_method=OPTIONS' },
];

describe('Identity', () => {
  describe('guard bypass', () => {
    let ways: Way[] = [];

    // Without LONG, each placement meets a fifth of the spellings.
    for (const [index, placement] of placements.entries()) {
      const suite = mistreated(placement.options());

      before(async () => {
        const channel = suite.server.app.container.resolve(Channels).of(Secrets, {});
        channel.publish('before');
        channel.publish('after');
        const stream = await suite.server.sse('/admin', { headers: field(SIGNED_IN) });
        ways = waysFrom((await stream.next()).id ?? '');
        stream.close();
      });
      beforeEach(() => void Object.assign(ran, { enter: 0, write: 0, remove: 0 }));

      for (const { target, meaning } of sample(spellingsOf('/admin'), 5, index)) {
        const status = { same: 401, other: 404, malformed: 400 }[meaning];
        const shown = JSON.stringify(target);
        suite.holds(`of ${placement.name} by ${shown}: ${status}, whatever asks`, async () => {
          const answers = await Promise.all(ways.map((way) => ask(suite, way, target)));
          answers.forEach((answer, i) => {
            const way = ways[i] as Way;
            if (meaning === 'other' && placement.everywhere && !target.startsWith('/canary/')) {
              return refused(answer, way, 401);
            }
            if (meaning !== 'malformed') return refused(answer, way, status);
            expect(answer.status, way.name).to.equal(400);
          });
          nothingHappened(suite);
        });
      }

      suite.holds(`of ${placement.name} by another spelling of a path with a parameter`, async () => {
        const [get, , , upgrade] = ways as [Way, Way, Way, Way];
        for (const { target, meaning } of spellingsOf('/admin/7')) {
          for (const way of [get, upgrade]) {
            const { status } = await ask(suite, way, target);
            const allowed = { same: [401], other: [401, 404], malformed: [400] }[meaning];
            expect(allowed, `${way.name} ${target}`).to.include(status);
          }
        }
        nothingHappened(suite);
      });

      suite.holds(`of ${placement.name} by who is signed in, and has no such role: 403`, async () => {
        for (const way of ways) refused(await ask(suite, way, '/admin', [GUEST]), way, 403);
        for (const { target, meaning } of spellingsOf('/admin')) {
          if (meaning !== 'same') continue;
          refused(await ask(suite, ways[0] as Way, target, [GUEST]), ways[0] as Way, 403);
        }
        nothingHappened(suite);
      });

      suite.holds(`is none with the credential: ${placement.name} lets every way in`, async () => {
        for (const path of ['/admin', '/admin/7']) {
          for (const way of ways) {
            const before = total();
            const { status } = await ask(suite, way, path, [SIGNED_IN]);
            expect(status, way.name).to.equal(way.opened);
            expect(total() - before, way.name).to.equal(1);
          }
        }
        for (const { target, meaning } of spellingsOf('/admin')) {
          const before = total();
          const { status } = await ask(suite, ways[0] as Way, target, [SIGNED_IN]);
          expect(status, target).to.equal({ same: 200, other: 404, malformed: 400 }[meaning]);
          expect(total() - before, target).to.equal(meaning === 'same' ? 1 : 0);
        }
      });

      for (const { name, field: line, query, body } of sample(OVERRIDES, 5, index)) {
        suite.holds(`of ${placement.name} by ${name}: 401, and the open path stays itself`, async () => {
          for (const way of ways.filter(({ version, query: cursor }) => version === undefined && !cursor)) {
            const lines = line === undefined ? [] : [line];
            const form = body !== undefined && way.body !== undefined;
            if (form) lines.push('Content-Type: application/x-www-form-urlencoded');
            const asked = { ...way, body: form ? body : way.body, query };
            refused(await ask(suite, asked, '/admin', lines), way, 401);
          }
          const towards = line?.replace('/canary', '/admin');
          const open = await ask(suite, ways[0] as Way, '/canary', towards === undefined ? [] : [towards]);
          expect([open.status, open.body]).to.deep.equal([200, 'alive']);
          nothingHappened(suite);
        });
      }

      suite.holds(`is no change of the method by who may enter ${placement.name}`, async () => {
        const post = ways.find(({ method }) => method === 'POST') as Way;
        for (const { field: line, query } of OVERRIDES) {
          await ask(
            suite,
            { ...post, query },
            '/admin',
            line === undefined ? [SIGNED_IN] : [SIGNED_IN, line],
          );
        }
        expect(ran).to.deep.equal({ enter: 0, write: OVERRIDES.length, remove: 0 });
      });
    }
  });
});

/** Asks for a target as it stands: a client library would tidy it up. */
async function ask(
  { server }: Mistreated,
  { method, version = '1.1', fields, query, body }: Way,
  target: string,
  more: readonly string[] = [],
): Promise<RawAnswer> {
  const client = await RawClient.connect(await server.url());
  const lines = [
    `${method} ${query === undefined ? target : withQuery(target, query)} HTTP/${version}`,
    'Host: localhost',
    ...fields,
    ...more,
  ];
  if (!fields.some((line) => line.startsWith('Connection:'))) lines.push('Connection: close');
  if (body !== undefined) lines.push(`Content-Length: ${body.length}`);
  client.write(Buffer.from([...lines, '', body ?? ''].join('\r\n'), 'latin1'));
  const opening = await client.opening();
  // What has opened goes on; what was refused is read to its end.
  if (opening.status >= 300 || opening.headers['content-length'] !== undefined) return client.answer();
  client.reset();
  return opening;
}

function withQuery(target: string, query: string): string {
  return `${target}${target.includes('?') ? '&' : '?'}${query}`;
}

const PROBLEMS = new Map([
  [401, { title: 'Unauthorized', status: 401, code: 'UNAUTHORIZED', detail: 'Sign in first' }],
  [403, { title: 'Forbidden', status: 403, code: 'FORBIDDEN', detail: 'Operators only' }],
  [404, { title: 'Not Found', status: 404, code: 'NOT_FOUND' }],
]);

/** One refusal, to the letter, for whatever asks. */
function refused(answer: RawAnswer, { name, method }: Way, status: number): void {
  expect(answer.status, name).to.equal(status);
  expect(answer.headers['content-type'], name).to.equal('application/problem+json');
  expect(answer.headers['www-authenticate'], name).to.equal(status === 401 ? 'Bearer' : undefined);
  if (method === 'HEAD') {
    expect(answer.body).to.equal('');
    return;
  }
  const { requestId, ...problem } = JSON.parse(answer.body) as Record<string, unknown>;
  expect(requestId, name).to.be.a('string');
  expect(problem, name).to.deep.equal(PROBLEMS.get(status));
}

/** No guarded method was run, and nothing is open but the canary's socket. */
function nothingHappened({ server }: Mistreated): void {
  expect(ran).to.deep.equal({ enter: 0, write: 0, remove: 0 });
  expect(server.app.stats().connections).to.include({ sse: 0, websocket: 1 });
}

function total(): number {
  return ran.enter + ran.write + ran.remove;
}

function field(line: string): Record<string, string> {
  const colon = line.indexOf(':');
  return { [line.slice(0, colon)]: line.slice(colon + 2) };
}

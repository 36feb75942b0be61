import { expect } from 'chai';
import type { TestSocket } from 'coequal/testing';
import { INHERITED } from '../../support/calls.js';
import { mistreated } from '../../support/canary.js';
import { conversationsWith, handled } from '../../support/conversations.js';

const NO_JSON = [
  '',
  ' ',
  '\ufeff',
  'hello',
  'undefined',
  'NaN',
  '-',
  '01',
  '1 2',
  "{'text':'a'}",
  '{"text":"a",}',
  '{"text":"a"',
  '{"text":"a"}}',
  '"a\nb"',
  '"\\x61"',
  '{"__proto__":{"text":"a"}}',
  '{"text":"a","\\u005f_proto__":1}',
  '{"constructor":{"prototype":{"text":"a"}}}',
  '[{"a":[{"__proto__":null}]}]',
  '['.repeat(65) + ']'.repeat(65),
  '['.repeat(60_000),
  `{${Array<string>(10_001).fill('"":1').join()}}`,
];

/** Values of JSON, whole messages each. */
const VALUES = [
  'null',
  'true',
  'false',
  '0',
  '-1.5e3',
  '""',
  '"text"',
  '[]',
  '[null]',
  '{}',
  '{"a":{"b":[]}}',
];

describe('Messages', () => {
  beforeEach(() => void (handled.count = 0));

  describe('bodies that are malformed', () => {
    const suite = mistreated({ controllers: conversationsWith() });

    for (const text of NO_JSON) {
      const shown = text.length > 60 ? `${text.slice(0, 12)}…` : text;
      suite.holds(`are answered by a problem, and the socket goes on: ${JSON.stringify(shown)}`, async () => {
        for (const path of ['/json', '/schema', '/number']) {
          const socket = await suite.server.socket(path);
          socket.send(text);
          await refused(socket);
        }
        expect(handled.count).to.equal(0);
        expect(({} as { text?: unknown }).text).to.equal(undefined);
        expect(suite.log.at('error')).to.deep.equal([]);
      });
    }

    suite.holds('are no matter to who takes text', async () => {
      for (const path of ['/text', '/loop']) {
        const socket = await suite.server.socket(path);
        for (const text of NO_JSON) {
          socket.send(text);
          expect(await socket.next()).to.equal(text);
        }
      }
    });

    suite.holds(
      'are what the codec of the route says: its failure is a 400 that tells nothing of it',
      async () => {
        const socket = await suite.server.socket('/codec');
        for (const text of ['', 'no mark', '~', '~{']) {
          socket.send(text);
          const answer = String(await socket.next());
          expect(answer).to.match(/^~\{"error":\{.*"status":400/);
          expect(answer).not.to.include('mark').and.not.include('JSON');
        }
        socket.send('~{"a":1}');
        expect(await socket.next()).to.equal('~{"a":1}');
      },
    );
  });

  describe('bodies of another type', () => {
    const suite = mistreated({ controllers: conversationsWith() });

    for (const text of [...VALUES, '{"text":1}', '{"text":null}', '{"text":["a"]}', '{"Text":"a"}']) {
      suite.holds(`are refused where a schema is given: ${text}`, async () => {
        const socket = await suite.server.socket('/schema');
        socket.send(text);
        const { errors } = await refused(socket);
        expect(errors).to.be.an('array').that.is.not.empty;
        expect(handled.count).to.equal(0);
        socket.send('{"text":"a"}');
        expect(await socket.json()).to.deep.equal({ text: 'a' });
      });
    }

    for (const text of VALUES.filter((one) => !/^-?\d/.test(one))) {
      suite.holds(`are refused where a number is declared: ${text}`, async () => {
        const socket = await suite.server.socket('/number');
        socket.send(text);
        const { errors } = await refused(socket);
        expect(errors).to.deep.equal([{ path: '', message: 'expected a number' }]);
        expect(handled.count).to.equal(0);
        socket.send('7');
        expect(await socket.json()).to.equal(7);
      });
    }

    suite.holds('are taken where anything is', async () => {
      const socket = await suite.server.socket('/json');
      for (const text of VALUES) {
        socket.send(text);
        const value: unknown = JSON.parse(text);
        // A string is sent as it is.
        if (typeof value === 'string') expect(await socket.next()).to.equal(value);
        else expect(await socket.json()).to.deep.equal(value);
      }
    });

    for (const key of INHERITED.filter((one) => one !== '__proto__')) {
      suite.holds(`may have a key that objects inherit: ${key}`, async () => {
        const [any, strict] = await Promise.all(
          ['/json', '/schema'].map((path) => suite.server.socket(path)),
        );
        for (const value of [{ [key]: 'x' }, { [key]: null }, { [key]: { [key]: [] } }, [{ [key]: 1 }]]) {
          any?.send(value);
          expect(await any?.json()).to.deep.equal(value);
        }
        strict?.send({ [key]: 'x' });
        await refused(strict as TestSocket);
        // What the schema does not know is left out, and stands in for nothing.
        strict?.send({ text: 'a', [key]: 'x' });
        expect(await strict?.json()).to.deep.equal({ text: 'a' });
      });
    }
  });
});

/** The message is answered by a 400 that shows nothing of it, and the socket is open still. */
async function refused(socket: TestSocket): Promise<Record<string, unknown>> {
  const { error, ...rest } = await socket.json<{ error: Record<string, unknown> }>();
  expect(rest).to.deep.equal({});
  expect(error).to.include({ title: 'Bad Request', status: 400 });
  expect(error['requestId']).to.be.a('string');
  expect(error).not.to.have.any.keys('stack', 'cause');
  expect(socket.raw.readyState).to.equal(socket.raw.OPEN);
  return error;
}

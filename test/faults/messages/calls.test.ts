import { expect } from 'chai';
import type { TestSocket } from 'coequal/testing';
import { called, Calls, callable, INHERITED } from '../../support/calls.js';
import { mistreated } from '../../support/canary.js';

const DEEP = 65;
const KEYS = 10_001;

/** What a call is answered by, when something is wrong with it. */
interface Failure {
  jsonrpc: '2.0';
  error: { code: number; message: string; data: { requestId?: string; detail?: string } };
  id: unknown;
}

describe('Messages', () => {
  beforeEach(() => void (called.length = 0));

  describe('calls that are no JSON', () => {
    const suite = mistreated({ controllers: [Calls] });

    const texts: [name: string, text: string][] = [
      ['nothing', ''],
      ['a blank', ' '],
      ['a byte order mark', '\ufeff'],
      ['a word', 'jsonrpc'],
      ['NaN', 'NaN'],
      ['undefined', 'undefined'],
      ['a number with a zero before it', '01'],
      ['two values', '1 2'],
      ['a comment', '{"jsonrpc":"2.0"/* */,"method":"echo","id":1}'],
      ['single quotes', "{'jsonrpc':'2.0','method':'echo','id':1}"],
      ['a comma too many', '{"jsonrpc":"2.0","method":"echo","id":1,}'],
      ['an end that is missing', '{"jsonrpc":"2.0","method":"echo","id":1'],
      ['an end too many', '{"jsonrpc":"2.0","method":"echo","id":1}}'],
      ['a batch that does not end', '[{"jsonrpc":"2.0","method":"echo","id":1},'],
      ['a line break within a text', '{"jsonrpc":"2.0","method":"ec\nho","id":1}'],
      ['a bad escape', '{"jsonrpc":"2.0","method":"\\x65cho","id":1}'],
      ['a key that is __proto__', '{"jsonrpc":"2.0","method":"echo","id":1,"__proto__":{}}'],
      ['a key that is __proto__, escaped', '{"jsonrpc":"2.0","method":"echo","id":1,"\\u005f_proto__":{}}'],
      ['params with __proto__', '{"jsonrpc":"2.0","method":"echo","params":{"__proto__":{"a":1}},"id":1}'],
      ['params with __proto__ within', '{"jsonrpc":"2.0","method":"echo","params":[{"__proto__":1}],"id":1}'],
      [
        'params with constructor.prototype',
        '{"jsonrpc":"2.0","method":"echo","params":{"constructor":{"prototype":{"a":1}}},"id":1}',
      ],
      [`a list ${DEEP} deep`, '['.repeat(DEEP) + ']'.repeat(DEEP)],
      [`params ${DEEP} deep`, `{"jsonrpc":"2.0","method":"echo","params":${nested(DEEP - 1)},"id":1}`],
      [`${KEYS} keys`, `{${Array<string>(KEYS).fill('"":1').join()}}`],
    ];
    for (const [name, text] of texts) {
      suite.holds(`are answered by -32700 without an id: ${name}`, async () => {
        const socket = await suite.server.socket('/calls');
        const { error, ...rest } = await exchange(socket, text);
        expect(rest).to.deep.equal({ jsonrpc: '2.0', id: null });
        expect(error).to.include({ code: -32700, message: 'Parse error' });
        expect(error.data).to.include({ title: 'Bad Request', status: 400 });
        expect(error.data.detail).to.be.a('string').that.does.not.include('echo');
        await stillTalks(socket);
        expect(called).to.deep.equal([]);
        expect(({} as { a?: unknown }).a).to.equal(undefined);
      });
    }

    for (const { name, path } of callable.slice(1)) {
      suite.holds(`are messages like others on ${name}, unless they are calls`, async () => {
        const socket = await suite.server.socket(path);
        for (const text of [
          '',
          '{',
          'null',
          '[]',
          '{"method":"echo","id":1}',
          '"jsonrp',
          '{"jsonrpc":',
          '{"jsonrpc":"2.0"}',
        ]) {
          socket.send(text);
          expect(await socket.next()).to.equal(`heard ${text}`);
        }
        await stillTalks(socket);
      });
    }
  });

  describe('calls that are no requests', () => {
    const suite = mistreated({ controllers: [Calls] });

    const values: [text: string, id: unknown][] = [
      ['null', null],
      ['true', null],
      ['1', null],
      ['-0', null],
      ['"echo"', null],
      ['{}', null],
      ['{"id":7}', 7],
      ['{"jsonrpc":"2.0"}', null],
      ['{"jsonrpc":"2.0","id":1}', 1],
      ['{"method":"echo","id":1}', 1],
      ['{"jsonrpc":2,"method":"echo","id":1}', 1],
      ['{"jsonrpc":"1.0","method":"echo","id":1}', 1],
      ['{"jsonrpc":"2","method":"echo","id":1}', 1],
      ['{"jsonrpc":["2.0"],"method":"echo","id":1}', 1],
      ['{"jsonrpc":null,"method":"echo","id":1}', 1],
      ['{"jsonrpc":"2.0","method":1,"id":1}', 1],
      ['{"jsonrpc":"2.0","method":null,"id":1}', 1],
      ['{"jsonrpc":"2.0","method":["echo"],"id":1}', 1],
      ['{"jsonrpc":"2.0","method":{"toString":"echo"},"id":1}', 1],
      ['{"jsonrpc":"2.0","Method":"echo","id":1}', 1],
      ['{"jsonrpc":"2.0","method":"echo","params":null,"id":1}', 1],
      ['{"jsonrpc":"2.0","method":"echo","params":1,"id":1}', 1],
      ['{"jsonrpc":"2.0","method":"echo","params":"a","id":1}', 1],
      ['{"jsonrpc":"2.0","method":"echo","params":false,"id":1}', 1],
      ['{"jsonrpc":"2.0","method":"echo","id":true}', null],
      ['{"jsonrpc":"2.0","method":"echo","id":[1]}', null],
      ['{"jsonrpc":"2.0","method":"echo","id":{"then":1}}', null],
      ['{"jsonrpc":"2.0","method":"echo","id":1e999}', null],
    ];
    for (const [text, id] of values) {
      suite.holds(`are answered by -32600, and by their id where they have one: ${text}`, async () => {
        // Where other messages are taken too, what is not a call is one of them.
        for (const { path } of /"jsonrpc":"2\.0","method":"/.test(text) ? callable : callable.slice(0, 1)) {
          const socket = await suite.server.socket(path);
          const { error, ...rest } = await exchange(socket, text);
          expect(rest).to.deep.equal({ jsonrpc: '2.0', id });
          expect(bare(error)).to.deep.equal({
            code: -32600,
            message: 'Invalid Request',
            data: { title: 'Bad Request', status: 400, code: 'BAD_REQUEST' },
          });
          await stillTalks(socket);
        }
        expect(called).to.deep.equal([]);
      });
    }
  });

  describe('responses that nobody waits for', () => {
    const suite = mistreated({ controllers: [Calls] });

    for (const text of [
      '{"jsonrpc":"2.0","id":"a","result":1}',
      '{"jsonrpc":"2.0","id":"a","error":{"code":1,"message":""}}',
    ]) {
      suite.holds(`are not answered: ${text}`, async () => {
        for (const { path } of callable) {
          const socket = await suite.server.socket(path);
          socket.send(text);
          await stillTalks(socket);
        }
      });
    }
  });

  describe('names that objects inherit', () => {
    const suite = mistreated({ controllers: [Calls] });

    const others = [
      '',
      ' echo',
      'echo ',
      'ECHO',
      'echo\0',
      'e\u200bcho',
      'rpc.discover',
      'open',
      'loop',
      'calls',
    ];
    for (const method of [...INHERITED, ...others]) {
      suite.holds(`are no methods: ${JSON.stringify(method)} is answered by -32601`, async () => {
        for (const { path } of callable) {
          const socket = await suite.server.socket(path);
          const failure = {
            code: -32601,
            message: 'Method not found',
            data: { title: 'Not Found', status: 404, code: 'NOT_FOUND' },
          };
          for (const id of ['x', 0, null]) {
            const { error, ...rest } = await exchange(socket, { jsonrpc: '2.0', method, id });
            expect(rest).to.deep.equal({ jsonrpc: '2.0', id });
            expect(bare(error)).to.deep.equal(failure);
          }
          const batch = [{ jsonrpc: '2.0', method, id: 'x' }];
          const answers = (await exchange(socket, batch)) as unknown as Failure[];
          expect(answers.map(({ error }) => bare(error))).to.deep.equal([failure]);
          socket.send({ jsonrpc: '2.0', method });
          await stillTalks(socket);
        }
        expect(called).to.deep.equal([]);
      });
    }

    for (const key of INHERITED.filter((one) => one !== '__proto__')) {
      suite.holds(`are params like others: ${key}`, async () => {
        const socket = await suite.server.socket('/calls');
        for (const params of [{ [key]: 'x' }, [{ [key]: { [key]: null } }], { a: { [key]: [] } }]) {
          const answer = await exchange(socket, { jsonrpc: '2.0', method: 'echo', params, id: 1 });
          expect(answer).to.deep.equal({ jsonrpc: '2.0', id: 1, result: params });
          const posted = await suite.server.fetch('/calls/echo', { json: params });
          expect([posted.status, await posted.json()]).to.deep.equal([200, params]);
        }
        const wrong = await exchange(socket, { jsonrpc: '2.0', method: 'add', params: { [key]: 1 }, id: 1 });
        expect(wrong.error.code).to.equal(-32602);
      });
    }

    suite.holds('are ids like others', async () => {
      const socket = await suite.server.socket('/calls');
      for (const id of INHERITED) {
        const answer = await exchange(socket, { jsonrpc: '2.0', method: 'nothing', id });
        expect(answer).to.deep.equal({ jsonrpc: '2.0', id, result: null });
      }
    });
  });
});

async function exchange(socket: TestSocket, message: unknown): Promise<Failure> {
  socket.send(message);
  return socket.json<Failure>();
}

/** The error without what differs from one connection to the next. */
function bare({ data: { requestId, ...data }, ...error }: Failure['error']): unknown {
  expect(requestId).to.be.a('string');
  return { ...error, data };
}

/** The next thing that comes is the answer to a good call: nothing else was on its way. */
async function stillTalks(socket: TestSocket): Promise<void> {
  const answer = await exchange(socket, { jsonrpc: '2.0', method: 'nothing', id: 'still talks' });
  expect(answer).to.deep.equal({ jsonrpc: '2.0', id: 'still talks', result: null });
  called.pop();
}

/** A list of lists, so many deep. */
function nested(depth: number): string {
  return '['.repeat(depth) + ']'.repeat(depth);
}

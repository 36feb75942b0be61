import { expect } from 'chai';
import type { TestSocket } from 'coequal/testing';
import { called, Calls, callable } from '../../support/calls.js';
import { mistreated } from '../../support/canary.js';

const MAX_BATCH = 100;
const INVALID = {
  jsonrpc: '2.0',
  error: {
    code: -32600,
    message: 'Invalid Request',
    data: { title: 'Bad Request', status: 400, code: 'BAD_REQUEST' },
  },
  id: null,
};

interface Answer {
  jsonrpc: '2.0';
  id: unknown;
  result?: unknown;
  error?: { code: number; message: string; data?: Record<string, unknown> };
}

/** Calls that fail, and what they are answered by; `errors` are those of the log. */
const failing: readonly {
  method: string;
  params?: unknown;
  error: { code: number; message: string; data: Record<string, unknown> };
  errors: number;
}[] = [
  ...['fails', 'fails.later', 'fails.beside', 'unsendable'].map((method) => ({
    method,
    error: {
      code: -32603,
      message: 'Internal error',
      data: { title: 'Internal Server Error', status: 500, code: 'INTERNAL_SERVER_ERROR' },
    },
    errors: 1,
  })),
  {
    method: 'taken',
    error: {
      code: -32000,
      message: 'taken',
      data: { title: 'Conflict', status: 409, code: 'CONFLICT', detail: 'taken', by: 'ada' },
    },
    errors: 0,
  },
  ...[
    undefined,
    [],
    [1, 2],
    { a: 1 },
    { a: '1', b: 1 },
    { a: null, b: 1 },
    { a: [1], b: { valueOf: 1 } },
  ].map((params) => ({
    method: 'add',
    params,
    error: {
      code: -32602,
      message: 'The body is not valid',
      data: { title: 'Bad Request', status: 400, code: 'INVALID_INPUT', detail: 'The body is not valid' },
    },
    errors: 0,
  })),
];

describe('Messages', () => {
  beforeEach(() => void (called.length = 0));

  describe('errors of calls', () => {
    const suite = mistreated({ controllers: [Calls] });

    for (const { method, params, error, errors } of failing) {
      const shown = params === undefined ? method : `${method} ${JSON.stringify(params)}`;
      for (const { name, path } of callable) {
        suite.holds(
          `are ${error.code} for ${shown}, with the problem and not its cause, on ${name}`,
          async () => {
            const socket = await suite.server.socket(path);
            const answer = await exchange(socket, { jsonrpc: '2.0', method, params, id: 'x' });
            expect(plain(answer)).to.deep.equal({ jsonrpc: '2.0', error, id: 'x' });
            expect(JSON.stringify(answer)).not.to.include('password');
            expect(suite.log.at('error')).to.have.length(errors);
          },
        );

        suite.holds(`are told to nobody for the notification of ${shown}, on ${name}`, async () => {
          const socket = await suite.server.socket(path);
          socket.send({ jsonrpc: '2.0', method, params });
          await stillTalks(socket);
          // What cannot be sent is not sent.
          expect(suite.log.at('error')).to.have.length(method === 'unsendable' ? 0 : errors);
          expect(suite.log.at('error').every(({ fields }) => fields['requestId'] !== undefined)).to.equal(
            true,
          );
        });
      }

      suite.holds(`are the same in a batch: ${shown}`, async () => {
        const socket = await suite.server.socket('/calls');
        const batch = [
          { jsonrpc: '2.0', method, params, id: 1 },
          { jsonrpc: '2.0', method, params },
          { jsonrpc: '2.0', method: 'nothing', id: 2 },
        ];
        expect((await answersTo(socket, batch)).map(plain)).to.deep.equal([
          { jsonrpc: '2.0', error, id: 1 },
          { jsonrpc: '2.0', id: 2, result: null },
        ]);
        expect(suite.log.at('error')).to.have.length(method === 'unsendable' ? 1 : errors * 2);
      });
    }

    suite.holds('are those that the same method answers by HTTP, for what is refused', async () => {
      const socket = await suite.server.socket('/calls');
      const answer = await exchange(
        socket,
        '{"jsonrpc":"2.0","method":"echo","params":{"__proto__":1},"id":1}',
      );
      const posted = await suite.server.fetch('/calls/echo', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"__proto__":1}',
      });
      expect([answer.error?.code, posted.status]).to.deep.equal([-32700, 400]);
      expect(called).to.deep.equal([]);
    });
  });

  describe('batches of calls', () => {
    const suite = mistreated({ controllers: [Calls] });
    const nothing = (id: unknown) => ({ jsonrpc: '2.0', method: 'nothing', id });
    const done = (id: unknown) => ({ jsonrpc: '2.0', id, result: null });

    const whole: [name: string, text: string, error: { code: number; message: string }, runs: number][] = [
      ['are empty', '[]', { code: -32600, message: `A batch has 1 to ${MAX_BATCH} calls` }, 0],
      [
        `are more than ${MAX_BATCH}`,
        JSON.stringify(Array.from({ length: MAX_BATCH + 1 }, (_, id) => nothing(id))),
        { code: -32600, message: `A batch has 1 to ${MAX_BATCH} calls` },
        0,
      ],
      [
        'are more than that of things that are no calls',
        JSON.stringify(Array(20_000).fill(0)),
        { code: -32600, message: `A batch has 1 to ${MAX_BATCH} calls` },
        0,
      ],
      ['do not end', `[${JSON.stringify(nothing(1))},`, { code: -32700, message: 'Parse error' }, 0],
      [
        'hold a key that reaches for a prototype',
        `[${JSON.stringify(nothing(1))},{"jsonrpc":"2.0","method":"echo","params":{"__proto__":1},"id":2}]`,
        { code: -32700, message: 'Parse error' },
        0,
      ],
    ];
    for (const [name, text, error, runs] of whole) {
      suite.holds(`are refused as a whole where they ${name}, and none of them runs`, async () => {
        const socket = await suite.server.socket('/calls');
        const { error: given, ...rest } = await exchange(socket, text);
        expect(rest).to.deep.equal({ jsonrpc: '2.0', id: null });
        expect(given).to.include(error);
        expect(given?.data).to.include({ title: 'Bad Request', status: 400 });
        await stillTalks(socket);
        expect(called).to.have.length(runs);
      });
    }

    const mixed: [name: string, batch: unknown[], answers: unknown[]][] = [
      ['numbers', [1, 2, 3], [INVALID, INVALID, INVALID]],
      ['null, true and text', [null, true, 'nothing'], [INVALID, INVALID, INVALID]],
      ['a batch in a batch', [[nothing(1)], []], [INVALID, INVALID]],
      ['a batch beside a call', [[[nothing(1)]], nothing(2)], [INVALID, done(2)]],
      ['the same id twice', [nothing(1), nothing(1)], [done(1), done(1)]],
      ['ids of all types', [nothing('1'), nothing(1), nothing(null)], [done('1'), done(1), done(null)]],
      ['a call among what is none', [0, nothing(1), {}], [INVALID, done(1), INVALID]],
      ['a notification beside a call', [{ jsonrpc: '2.0', method: 'nothing' }, nothing(1)], [done(1)]],
      [
        'a notification of what nobody has',
        [{ jsonrpc: '2.0', method: 'constructor' }, nothing(1)],
        [done(1)],
      ],
      ['an answer of the client', [{ jsonrpc: '2.0', id: 1, result: 1 }, nothing(2)], [done(2)]],
    ];
    for (const [name, batch, answers] of mixed) {
      suite.holds(`are answered one by one, and in order: ${name}`, async () => {
        for (const { path } of callable) {
          // Where other messages are taken too, what holds no call is one of them.
          if (path !== '/calls' && !batch.some((one) => Object.hasOwn(Object(one) as object, 'jsonrpc')))
            continue;
          const socket = await suite.server.socket(path);
          expect((await answersTo(socket, batch)).map(plain)).to.deep.equal(answers);
          await stillTalks(socket);
        }
      });
    }

    suite.holds(`may be ${MAX_BATCH}, which run one after the other`, async () => {
      const socket = await suite.server.socket('/calls');
      const methods = Array.from({ length: MAX_BATCH }, (_, i) => (i % 2 === 0 ? 'fails.beside' : 'nothing'));
      const batch = methods.map((method, id) => ({ jsonrpc: '2.0', method, id }));
      const answers = await answersTo(socket, batch);
      expect(answers.map(({ id }) => id)).to.deep.equal(batch.map(({ id }) => id));
      expect(called).to.deep.equal(methods);
      expect(suite.log.at('error')).to.have.length(MAX_BATCH / 2);
    });

    suite.holds('are not answered where all of them are notifications, though they fail', async () => {
      const socket = await suite.server.socket('/calls');
      const methods = ['nothing', 'fails', 'fails.beside', 'taken', 'toString', 'unsendable'];
      socket.send(methods.map((method) => ({ jsonrpc: '2.0', method })));
      await stillTalks(socket);
      expect(called).to.deep.equal(methods.filter((method) => method !== 'toString'));
      expect(suite.log.at('error')).to.have.length(2);
    });

    suite.holds('keep the calls that come after them waiting for their turn', async () => {
      const socket = await suite.server.socket('/calls');
      socket.send(
        Array.from({ length: MAX_BATCH }, (_, id) => ({ jsonrpc: '2.0', method: 'fails.later', id })),
      );
      socket.send(nothing('afterwards'));
      expect(await socket.json<Answer[]>()).to.have.length(MAX_BATCH);
      expect(await socket.json()).to.deep.equal(done('afterwards'));
      expect(called.at(-1)).to.equal('nothing');
    });

    suite.holds('of more bytes than a message may have close the socket with 1009', async () => {
      const socket = await suite.server.socket('/calls');
      socket.send(JSON.stringify([nothing('x'.repeat(65_536))]));
      expect((await socket.closed()).code).to.equal(1009);
      expect(called).to.deep.equal([]);
    });
  });
});

async function exchange(socket: TestSocket, message: unknown): Promise<Answer> {
  socket.send(message);
  return socket.json<Answer>();
}

async function answersTo(socket: TestSocket, batch: unknown[]): Promise<Answer[]> {
  return (await exchange(socket, batch)) as unknown as Answer[];
}

/** The answer without what differs from one to the next: the id of the request, and the list of what was wrong. */
function plain({ error, ...rest }: Answer): unknown {
  if (error?.data === undefined) return error === undefined ? rest : { ...rest, error };
  const { requestId, errors, ...data } = error.data;
  expect(requestId).to.be.a('string');
  if (error.code === -32602) expect(errors).to.be.an('array').that.is.not.empty;
  else expect(errors).to.equal(undefined);
  return { ...rest, error: { ...error, data } };
}

/** The next thing that comes is the answer to a good call: nothing else was on its way. */
async function stillTalks(socket: TestSocket): Promise<void> {
  const answer = await exchange(socket, { jsonrpc: '2.0', method: 'nothing', id: 'still talks' });
  expect(answer).to.deep.equal({ jsonrpc: '2.0', id: 'still talks', result: null });
  called.pop();
}

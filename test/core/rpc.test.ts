import { expect } from 'chai';
import {
  attribute,
  Attr,
  Body,
  Connection,
  Controller,
  HttpError,
  Post,
  Rpc,
  Socket,
  User,
  UseMiddleware,
  WebSocket,
  type Context,
  type Middleware,
} from 'coequal';
import { serve, type TestSocket } from 'coequal/testing';
import { JSONRPCClient, type JSONRPCResponse } from 'json-rpc-2.0';
import { Lifecycle, scoped, injectable } from 'tsyringe';
import { z } from 'zod';

const Plan = attribute<string>('plan');
const Sum = z.object({ a: z.number(), b: z.number() });

const made: number[] = [];
const disposed: number[] = [];

@scoped(Lifecycle.ContainerScoped)
class Unit {
  static count = 0;
  readonly number = ++Unit.count;
  constructor() {
    made.push(this.number);
  }
  dispose(): void {
    disposed.push(this.number);
  }
}

const wrapped: string[] = [];
const gates = new Map<string, () => void>();

const signIn: Middleware = (ctx, next) => {
  ctx.user = { id: 'ada' };
  ctx.attributes.set(Plan, 'gold');
  return next();
};

async function around(ctx: Context, next: () => Promise<void>): Promise<void> {
  wrapped.push(`before ${(ctx.user as { id: string }).id} ${String(ctx.attributes.get(Plan))}`);
  await next();
  wrapped.push('after');
}

@Controller('/desk')
@UseMiddleware(signIn)
class Desk {
  @WebSocket()
  open() {}

  @Rpc('sum')
  @Post('/sum')
  sum(@Body(Sum) { a, b }: z.infer<typeof Sum>) {
    return a + b;
  }

  @Rpc()
  @UseMiddleware(around)
  who(@User() user: { id: string }, @Attr(Plan) plan: string) {
    return { user, plan };
  }

  @Rpc('conflict')
  conflict() {
    throw new HttpError(409, 'It is taken', { extensions: { by: 'grace' } });
  }

  @Rpc('broken')
  broken() {
    throw new Error('the password of the database is hunter2');
  }

  @Rpc('wait')
  async wait(@Body(z.object({ name: z.string() })) { name }: { name: string }) {
    await new Promise<void>((resolve) => gates.set(name, resolve));
    return name;
  }

  @Rpc('overlap', { concurrent: true })
  overlap(@Body(z.object({ name: z.string() })) body: { name: string }) {
    return this.wait(body);
  }

  @Rpc('tell')
  tell(@Connection() connection: Connection) {
    connection.send('told');
  }

  @Rpc('cycle')
  cycle() {
    const ring: { self?: unknown } = {};
    ring.self = ring;
    return ring;
  }
}

@injectable()
@Controller('/scoped')
class Scoped {
  constructor(private readonly unit: Unit) {}

  @WebSocket()
  open() {}

  @Rpc('unit')
  number() {
    return this.unit.number;
  }
}

@Controller('/mixed')
class Mixed {
  @WebSocket('/echo')
  echo(@Body() value: unknown) {
    return { echo: value };
  }

  @WebSocket('/loop')
  async loop(@Socket() socket: Socket) {
    for await (const value of socket) socket.send({ loop: value });
  }

  @Rpc('double')
  double(@Body(z.array(z.number()).length(1)) [n]: [number]) {
    return n * 2;
  }
}

describe('calls', () => {
  const errors: object[] = [];
  const logger = { info() {}, warn() {}, error: (fields: object) => void errors.push(fields) };
  const server = serve({ controllers: [Desk, Scoped, Mixed], logger });

  /** The client of the npm package `json-rpc-2.0` on a socket. */
  async function client(path = '/desk'): Promise<{ socket: TestSocket; rpc: JSONRPCClient }> {
    const socket = await server.socket(path);
    const rpc = new JSONRPCClient((request) => {
      socket.send(request);
    });
    void (async () => {
      for await (const text of socket) rpc.receive(JSON.parse(String(text)) as JSONRPCResponse);
    })();
    return { socket, rpc };
  }

  /** Sends text as it is and gives the next answer. */
  async function ask(text: string, path = '/desk'): Promise<unknown> {
    const socket = await server.socket(path);
    socket.send(text);
    const answer = await socket.json();
    socket.close();
    return answer;
  }

  const call = (fields: object): string => JSON.stringify({ jsonrpc: '2.0', ...fields });

  async function code(text: string): Promise<number | undefined> {
    return ((await ask(text)) as { error?: { code: number } }).error?.code;
  }

  it('are answered to a client that knows nothing of coequal', async () => {
    const { rpc } = await client();
    expect(await rpc.request('sum', { a: 1, b: 2 })).to.equal(3);
    expect(await rpc.request('who', {})).to.deep.equal({ user: { id: 'ada' }, plan: 'gold' });
    const error = await Promise.resolve(rpc.request('conflict', {})).catch(
      (reason: unknown) => reason as Error & { code: number },
    );
    expect(error).to.include({ code: -32000, message: 'It is taken' });
  });

  it('have a second door, by POST', async () => {
    const response = await server.fetch('/desk/sum', { json: { a: 2, b: 3 } });
    expect(await response.json()).to.equal(5);
    expect((await server.fetch('/desk/sum', { json: { a: 'x' } })).status).to.equal(400);
  });

  for (const id of ['text', 7, 0, '', null]) {
    it(`are answered with their id, ${JSON.stringify(id)}`, async () => {
      expect(await ask(call({ id, method: 'sum', params: { a: 1, b: 1 } }))).to.deep.equal({
        jsonrpc: '2.0',
        id,
        result: 2,
      });
    });
  }

  it('without a result are answered by null', async () => {
    const socket = await server.socket('/desk');
    socket.send(call({ id: 1, method: 'tell' }));
    expect(await socket.next()).to.equal('told');
    expect(await socket.json()).to.deep.equal({ jsonrpc: '2.0', id: 1, result: null });
  });

  const refused: [string, string, number][] = [
    ['what is no JSON', '{"jsonrpc":', -32700],
    ['a number', '1', -32600],
    ['null', 'null', -32600],
    ['an object that is no call', '{}', -32600],
    ['another version', '{"jsonrpc":"1.0","id":1,"method":"sum"}', -32600],
    ['a method that is no text', call({ id: 1, method: 1 }), -32600],
    ['params that are no structure', call({ id: 1, method: 'sum', params: 1 }), -32600],
    ['an id that is an object', call({ id: {}, method: 'sum' }), -32600],
    ['an empty batch', '[]', -32600],
    ['a batch of more than a hundred', JSON.stringify(Array.from({ length: 101 }, () => ({}))), -32600],
    ['a method that is not there', call({ id: 1, method: 'nothing' }), -32601],
    ['params that validation refuses', call({ id: 1, method: 'sum', params: { a: 'x' } }), -32602],
    ['what breaks', call({ id: 1, method: 'broken' }), -32603],
    ['a result without JSON', call({ id: 1, method: 'cycle' }), -32603],
    ['an error that the client may see', call({ id: 1, method: 'conflict' }), -32000],
    ...['constructor', 'toString', '__proto__', 'then', 'error', 'hasOwnProperty'].map(
      (method): [string, string, number] => [`the method ${method}`, call({ id: 1, method }), -32601],
    ),
  ];
  for (const [what, text, expected] of refused) {
    it(`answer ${what} with ${expected}`, async () => {
      expect(await code(text)).to.equal(expected);
    });
  }

  it('tell what validation refused, and the problem of an error, as data', async () => {
    const invalid = (await ask(call({ id: 1, method: 'sum', params: { a: 1, b: 'x' } }))) as {
      error: { data: unknown };
    };
    expect(invalid.error.data)
      .to.deep.include({ status: 400 })
      .and.to.have.nested.property('errors[0].path', 'b');
    const conflict = (await ask(call({ id: 1, method: 'conflict' }))) as { error: { data: unknown } };
    expect(conflict.error.data).to.include({ status: 409, detail: 'It is taken', by: 'grace' });
  });

  it('show nothing of an unknown cause, and log it', async () => {
    errors.length = 0;
    const text = JSON.stringify(await ask(call({ id: 1, method: 'broken' })));
    expect(text).to.not.include('hunter2');
    expect(errors).to.have.length(1);
    expect(errors[0]).to.have.nested.property('err.message').that.includes('hunter2');
  });

  it('without an id are not answered, whether they succeed or fail', async () => {
    const socket = await server.socket('/desk');
    for (const method of ['sum', 'nothing', 'conflict']) socket.send(call({ method }));
    socket.send(call({ id: 'last', method: 'sum', params: { a: 1, b: 1 } }));
    expect(await socket.json()).to.include({ id: 'last' });
  });

  it('in a batch are answered together, without those that want no answer', async () => {
    const batch = [
      { jsonrpc: '2.0', id: 1, method: 'sum', params: { a: 1, b: 2 } },
      { jsonrpc: '2.0', method: 'sum', params: { a: 1, b: 2 } },
      4,
      { jsonrpc: '2.0', id: 2, method: 'nothing' },
    ];
    const answers = (await ask(JSON.stringify(batch))) as {
      id: unknown;
      result?: unknown;
      error?: { code: number };
    }[];
    expect(answers.map(({ id, result, error }) => [id, result ?? error?.code])).to.deep.equal([
      [1, 3],
      [null, -32600],
      [2, -32601],
    ]);
  });

  it('in a batch that wants no answers get none', async () => {
    const socket = await server.socket('/desk');
    socket.send([{ jsonrpc: '2.0', method: 'sum', params: { a: 1, b: 2 } }]);
    socket.send(call({ id: 'next', method: 'sum', params: { a: 1, b: 1 } }));
    expect(await socket.json()).to.include({ id: 'next' });
  });

  it('are handled one after the other', async () => {
    const socket = await server.socket('/desk');
    socket.send(call({ id: 1, method: 'wait', params: { name: 'first' } }));
    socket.send(call({ id: 2, method: 'sum', params: { a: 1, b: 1 } }));
    (await gate('first'))();
    expect(
      [await socket.json(), await socket.json()].map((answer) => (answer as { id: number }).id),
    ).to.deep.equal([1, 2]);
  });

  it('overlap where they may, and are told apart by id', async () => {
    const socket = await server.socket('/desk');
    socket.send(call({ id: 1, method: 'overlap', params: { name: 'slow' } }));
    socket.send(call({ id: 2, method: 'overlap', params: { name: 'quick' } }));
    const slow = await gate('slow');
    (await gate('quick'))();
    expect(await socket.json()).to.deep.include({ id: 2, result: 'quick' });
    slow();
    expect(await socket.json()).to.deep.include({ id: 1, result: 'slow' });
  });

  it('are wrapped by the middleware of their method, each, with the user and attributes of the connection', async () => {
    wrapped.length = 0;
    const { rpc } = await client();
    await rpc.request('who', {});
    await rpc.request('sum', { a: 1, b: 1 });
    await rpc.request('who', {});
    expect(wrapped).to.deep.equal(['before ada gold', 'after', 'before ada gold', 'after']);
  });

  it('have scoped services of their own, disposed after the answer', async () => {
    const { rpc } = await client('/scoped');
    const numbers = [await rpc.request('unit', {}), await rpc.request('unit', {})] as number[];
    expect(new Set(numbers).size).to.equal(2);
    await rpc.request('unit', {});
    expect(disposed).to.include.members(numbers);
  });

  it('share a socket with a method that takes its messages', async () => {
    for (const [path, answer] of [
      ['/mixed/echo', { echo: { any: 1 } }],
      ['/mixed/loop', { loop: { any: 1 } }],
    ] as const) {
      const socket = await server.socket(path);
      socket.send({ any: 1 });
      expect(await socket.json()).to.deep.equal(answer);
      socket.send(call({ id: 1, method: 'double', params: [4] }));
      expect(await socket.json(), path).to.deep.equal({ jsonrpc: '2.0', id: 1, result: 8 });
    }
  });
});

/** The way on of a call that waits, once it has begun. */
async function gate(name: string): Promise<() => void> {
  for (;;) {
    const open = gates.get(name);
    if (open !== undefined) {
      gates.delete(name);
      return open;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}

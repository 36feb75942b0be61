import 'reflect-metadata';
import { expect } from 'chai';
import jsonRpc, { type JSONRPCClient, type JSONRPCResponse } from 'json-rpc-2.0';
import { inject, injectable, Lifecycle, scoped } from 'tsyringe';
import {
  Body,
  Connection,
  Controller,
  Ctx,
  HttpError,
  Post,
  Rpc,
  Socket,
  User,
  UseMiddleware,
  WebSocket,
  type Context,
  type Next,
} from 'coequal';
import { serve, type TestSocket } from 'coequal/testing';
import { z } from 'zod';
import { deferred, until, type Deferred } from '../support/deferred.js';
import { recorder } from '../support/recorder.js';

/** An answer as it came: a test looks at the member that it expects. */
interface Answer {
  readonly id: unknown;
  readonly result: unknown;
  readonly error: { readonly code: number; readonly message: string; readonly data: unknown };
}

const Pair = z.object({ a: z.number(), b: z.number() });

const state = { log: [] as string[], gates: new Map<string, Deferred<void>>(), contexts: [] as Context[] };

async function counted(ctx: Context, next: Next): Promise<void> {
  state.contexts.push(ctx);
  state.log.push('before');
  if ((ctx.user as { banned?: boolean } | undefined)?.banned === true)
    throw new HttpError(403, 'you are banned');
  await next();
  state.log.push('after');
}

@Controller('/calls')
class Calls {
  @WebSocket() open(@Ctx() ctx: Context): void {
    ctx.attributes.set('opened', 'yes');
  }

  @Rpc() add(@Body(Pair) { a, b }: z.infer<typeof Pair>) {
    return a + b;
  }
  @Rpc('rooms.list') list(@Body() params: unknown) {
    return params ?? 'nothing';
  }
  @Rpc() nothing(): void {}
  @Rpc() taken() {
    throw new HttpError(409, 'taken', { extensions: { by: 'me' } });
  }
  @Rpc() refused() {
    throw new HttpError(400, 'not like this');
  }
  @Rpc() secret() {
    throw new Error('the password');
  }
  @Rpc() unsendable() {
    return { big: 1n };
  }
  @Rpc() async ordered(@Body() { name }: { name: string }) {
    return wait(name);
  }
  @Rpc('overlapping', { concurrent: true }) async overlapping(@Body() { name }: { name: string }) {
    return wait(name);
  }
  @Rpc() @UseMiddleware(counted) wrapped(@Ctx() ctx: Context, @User() user: { name?: string } | undefined) {
    return { user: user?.name, opened: ctx.attributes.get('opened') };
  }
  @Rpc() tell(@Connection() connection: Connection): void {
    connection.send({ told: true });
  }
  @Rpc('sum') @Post('/sum') @UseMiddleware(counted) sum(@Body(Pair) { a, b }: z.infer<typeof Pair>) {
    return { sum: a + b };
  }
}

async function wait(name: string): Promise<string> {
  state.log.push(`begin ${name}`);
  await state.gates.get(name)?.promise;
  state.log.push(`end ${name}`);
  return name;
}

describe('an @Rpc method', () => {
  const log = recorder();
  const server = serve({ controllers: [Calls], logger: log });

  beforeEach(() => {
    log.lines.length = state.log.length = state.contexts.length = 0;
    state.gates.clear();
  });

  /** A client of another make, over a socket. */
  async function connect(
    by = server,
    path = '/calls',
  ): Promise<{ client: JSONRPCClient; socket: TestSocket }> {
    const socket = await by.socket(path);
    const client = new jsonRpc.JSONRPCClient((payload) => socket.send(payload));
    socket.raw.on('message', (data) => client.receive(JSON.parse(String(data)) as JSONRPCResponse));
    return { client, socket };
  }

  /** Sends text as it is, and gives the next answer. */
  async function exchange(text: unknown, socket?: TestSocket): Promise<Answer> {
    const to = socket ?? (await server.socket('/calls'));
    to.send(text);
    return to.json<Answer>();
  }

  const call = (method: string, params?: unknown, id: unknown = 1): object => ({
    jsonrpc: '2.0',
    method,
    params,
    id,
  });

  it('answers a call by what it returns', async () => {
    const { client } = await connect();

    expect(await client.request('add', { a: 1, b: 2 })).to.equal(3);
    expect(await client.request('rooms.list', ['x'])).to.deep.equal(['x']);
    expect(await client.request('rooms.list', undefined)).to.equal('nothing');
  });

  it('answers null where it returns nothing', async () => {
    expect(await exchange(call('nothing'))).to.deep.equal({ jsonrpc: '2.0', id: 1, result: null });
  });

  for (const id of ['text', 7, 0, 1.5, '', null]) {
    it(`gives the id ${JSON.stringify(id)} back as it came`, async () => {
      expect(await exchange(call('add', { a: 1, b: 1 }, id))).to.deep.equal({
        jsonrpc: '2.0',
        id,
        result: 2,
      });
    });
  }

  it('answers input that is refused by -32602, with the problem for data', async () => {
    const { error } = await exchange(call('add', { a: 'x', b: 2 }));

    expect(error.code).to.equal(-32602);
    expect(error.data).to.include({ status: 400, title: 'Bad Request' });
    expect((error.data as { errors: { path: string }[] }).errors.map(({ path }) => path)).to.deep.equal([
      'a',
    ]);
  });

  it('answers other HttpErrors by -32000, with the problem for data', async () => {
    const { error } = await exchange(call('taken'));

    expect(error).to.deep.include({ code: -32000, message: 'taken' });
    expect(error.data).to.include({ status: 409, detail: 'taken', by: 'me' });
    expect((await exchange(call('refused'))).error.code).to.equal(-32000);
  });

  for (const method of ['secret', 'unsendable']) {
    it(`answers the unexpected by -32603 without its cause, and logs it (${method})`, async () => {
      const { error, id } = await exchange(call(method));

      expect(id).to.equal(1);
      expect(error).to.include({ code: -32603, message: 'Internal error' });
      expect(error.data).to.have.all.keys('title', 'status', 'code', 'requestId');
      expect(log.lines.filter(({ level }) => level === 'error')).to.have.length(1);
    });
  }

  it('that nobody has is answered by -32601, though objects inherit one of its name', async () => {
    const socket = await server.socket('/calls');
    for (const method of [
      'unknown',
      'constructor',
      'toString',
      '__proto__',
      'then',
      'hasOwnProperty',
      'open',
      'error',
      '',
    ]) {
      expect((await exchange(call(method, undefined, method), socket)).error, method).to.include({
        code: -32601,
      });
    }
  });

  const invalid: [name: string, text: string, code: number, id: unknown][] = [
    ['no JSON', '{"jsonrpc":', -32700, null],
    ['nothing', '', -32700, null],
    ['null', 'null', -32600, null],
    ['a number', '1', -32600, null],
    ['text', '"add"', -32600, null],
    ['an object', '{}', -32600, null],
    ['another version', '{"jsonrpc":"1.0","method":"add","id":1}', -32600, 1],
    ['no method', '{"jsonrpc":"2.0","id":"a"}', -32600, 'a'],
    ['a method that is a number', '{"jsonrpc":"2.0","method":1,"id":2}', -32600, 2],
    ['params that are a number', '{"jsonrpc":"2.0","method":"add","params":1,"id":3}', -32600, 3],
    ['an id that is an object', '{"jsonrpc":"2.0","method":"nothing","id":{}}', -32600, null],
    ['an empty batch', '[]', -32600, null],
    [
      'a key that reaches for a prototype',
      '{"jsonrpc":"2.0","method":"nothing","__proto__":{},"id":1}',
      -32700,
      null,
    ],
  ];
  for (const [name, text, code, id] of invalid) {
    it(`is not reached by ${name}, which is answered by ${code}, and the socket stays open`, async () => {
      const socket = await server.socket('/calls');
      const answer = await exchange(text, socket);

      expect([answer.error.code, answer.id]).to.deep.equal([code, id]);
      expect((await exchange(call('add', { a: 1, b: 1 }), socket)).result).to.equal(2);
    });
  }

  it('does not answer a notification, though it fails or is unknown', async () => {
    const socket = await server.socket('/calls');
    for (const method of ['nothing', 'taken', 'secret', 'unknown', 'constructor', 'unsendable'])
      socket.send({ jsonrpc: '2.0', method });
    socket.send({ jsonrpc: '2.0', method: 'add', params: { a: 'x' } });

    expect(await exchange(call('nothing', undefined, 'the first answer'), socket)).to.have.property(
      'id',
      'the first answer',
    );
  });

  it('answers a batch at once, without its notifications', async () => {
    const batch = [
      call('add', { a: 1, b: 1 }, 'a'),
      { jsonrpc: '2.0', method: 'nothing' },
      1,
      call('unknown', undefined, 'b'),
      call('taken', undefined, 'c'),
    ];
    const answers = (await exchange(JSON.stringify(batch))) as unknown as Answer[];

    expect(answers.map(({ id, result, error }) => [id, result ?? error.code])).to.deep.equal([
      ['a', 2],
      [null, -32600],
      ['b', -32601],
      ['c', -32000],
    ]);
  });

  it('answers a batch though one of its results cannot be sent', async () => {
    const batch = [call('add', { a: 1, b: 1 }, 'a'), call('unsendable', undefined, 'b')];
    const answers = (await exchange(JSON.stringify(batch))) as unknown as Answer[];

    expect(answers.map(({ id, result, error }) => [id, result ?? error.code])).to.deep.equal([
      ['a', 2],
      ['b', -32603],
    ]);
  });

  it('does not answer a batch of notifications', async () => {
    const socket = await server.socket('/calls');
    socket.send(
      JSON.stringify([
        { jsonrpc: '2.0', method: 'nothing' },
        { jsonrpc: '2.0', method: 'nothing' },
      ]),
    );

    expect(await exchange(call('nothing', undefined, 'the first answer'), socket)).to.have.property(
      'id',
      'the first answer',
    );
  });

  it('takes a batch of 100 calls, and refuses a larger one as a whole', async () => {
    const batch = (size: number): string =>
      JSON.stringify(Array.from({ length: size }, (_, id) => call('nothing', undefined, id)));

    expect(await exchange(batch(100))).to.have.length(100);
    const refused = await exchange(batch(101));
    expect([refused.error.code, refused.id]).to.deep.equal([-32600, null]);
  });

  it('is called in the order in which the calls come, one at a time', async () => {
    const { client } = await connect();
    for (const name of ['a', 'b']) state.gates.set(name, deferred());
    const answers = ['a', 'b'].map((name) => client.request('ordered', { name }));
    await until(() => state.log.length > 0);

    state.gates.get('b')?.resolve();
    state.gates.get('a')?.resolve();

    expect(await Promise.all(answers)).to.deep.equal(['a', 'b']);
    expect(state.log).to.deep.equal(['begin a', 'end a', 'begin b', 'end b']);
  });

  it('may overlap where it says so, and its answers are told apart by id', async () => {
    const { client } = await connect();
    for (const name of ['a', 'b']) state.gates.set(name, deferred());
    const [a, b] = ['a', 'b'].map((name) => client.request('overlapping', { name }));
    await until(() => state.log.length === 2);

    state.gates.get('b')?.resolve();
    expect(await b).to.equal('b');
    state.gates.get('a')?.resolve();

    expect(await a).to.equal('a');
    expect(state.log).to.deep.equal(['begin a', 'begin b', 'end b', 'end a']);
  });

  it('overlaps with no more than 32 of its kind: the next call waits', async () => {
    const { client } = await connect();
    const names = Array.from({ length: 40 }, (_, index) => String(index));
    for (const name of names) state.gates.set(name, deferred());
    const answers = names.map((name) => client.request('overlapping', { name }));
    await until(() => state.log.length >= 32);
    for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));

    expect(state.log).to.have.length(32);
    for (const gate of state.gates.values()) gate.resolve();
    expect(await Promise.all(answers)).to.deep.equal(names);
  });

  it('has its middleware around each call, with a context of its own that knows whose connection it is', async () => {
    const { client } = await connect(server.as({ name: 'Ada' } as never));

    expect(await client.request('wrapped', undefined)).to.deep.equal({ user: 'Ada', opened: 'yes' });
    expect(await client.request('wrapped', undefined)).to.deep.equal({ user: 'Ada', opened: 'yes' });

    expect(state.log).to.deep.equal(['before', 'after', 'before', 'after']);
    expect(new Set(state.contexts)).to.have.length(2);
    expect(state.contexts[0]?.user).to.equal(state.contexts[1]?.user);
    expect(state.contexts[0]?.attributes.get('opened')).to.equal('yes');
  });

  it('reads what its connection knows, and keeps what its own middleware learns to itself', async () => {
    const gate = deferred<void>();
    const names: unknown[] = [];
    const learn = async (ctx: Context, next: Next): Promise<void> => {
      const { n } = (ctx as unknown as { message: { n: number } }).message;
      ctx.attributes.set('call', n);
      ctx.user = { name: `caller ${n}` } as never;
      if (n === 2) gate.resolve();
      await gate.promise;
      await next();
    };
    @Controller('/learning')
    @UseMiddleware((ctx: Context, next: Next) => {
      ctx.attributes.set('tenant', 'acme');
      return next();
    })
    class Learning {
      @WebSocket() open(): void {}
      @Rpc('learn', { concurrent: true })
      @UseMiddleware(learn)
      learn(@Ctx() ctx: Context, @Body() _params: unknown) {
        return { user: ctx.user, size: ctx.attributes.size, known: [...ctx.attributes] };
      }
      @Rpc() plain(@Ctx() ctx: Context) {
        names.push(ctx.user);
        return [...ctx.attributes.keys()];
      }
    }
    const { client } = await connect(serve({ controllers: [Learning], logger: false }), '/learning');

    const told = [1, 2].map((n) => client.request('learn', { n }));
    expect(await Promise.all(told)).to.deep.equal(
      [1, 2].map((n) => ({
        user: { name: `caller ${n}` },
        size: 2,
        known: [
          ['tenant', 'acme'],
          ['call', n],
        ],
      })),
    );
    expect(await client.request('plain', undefined)).to.deep.equal(['tenant']);
    expect(names).to.deep.equal([undefined]);
  });

  it('is denied by its middleware when the user changes, and the socket stays open', async () => {
    const user = { name: 'Ada', banned: false };
    const { client, socket } = await connect(server.as(user as never));
    expect(await client.request('wrapped', undefined)).to.include({ user: 'Ada' });

    user.banned = true;

    const failure = await Promise.resolve(client.request('wrapped', undefined)).catch(
      (error: unknown) => error,
    );
    expect(failure).to.include({ code: -32000, message: 'you are banned' });
    expect(socket.raw.readyState).to.equal(socket.raw.OPEN);
  });

  it('may send to the connection before its answer', async () => {
    const socket = await server.socket('/calls');
    socket.send(call('tell'));

    expect(await socket.json()).to.deep.equal({ told: true });
    expect(await socket.json()).to.deep.equal({ jsonrpc: '2.0', id: 1, result: null });
  });

  it('with @Post has two doors, with the same middleware and the same refusals', async () => {
    const { client } = await connect();
    const posted = await server.fetch('/calls/sum', { json: { a: 1, b: 2 } });

    expect(await posted.json()).to.deep.equal({ sum: 3 });
    expect(await client.request('sum', { a: 1, b: 2 })).to.deep.equal({ sum: 3 });
    expect(state.log).to.deep.equal(['before', 'after', 'before', 'after']);

    const refused = (await (await server.fetch('/calls/sum', { json: { a: 1 } })).json()) as {
      errors: unknown;
    };
    const failure = (await exchange(call('sum', { a: 1 }))).error.data as { errors: unknown };
    expect(failure.errors).to.deep.equal(refused.errors);
  });
});

describe('an @Rpc method beside other methods of its socket', () => {
  @Controller()
  class Mixed {
    @WebSocket('/messages') message(@Body() text: string) {
      return `heard ${text}`;
    }
    @WebSocket('/loop') async loop(@Socket(String) socket: Socket<string>) {
      for await (const text of socket) socket.send(`looped ${text}`);
    }
    @WebSocket('/stream') async *stream() {
      yield 'streamed';
      await new Promise(() => undefined);
    }
    @WebSocket('/once') once(@Socket() socket: Socket): void {
      socket.send('opened');
    }
    @Rpc() hello() {
      return 'hello';
    }
  }

  const server = serve({ controllers: [Mixed], logger: false });
  const HELLO = { jsonrpc: '2.0', method: 'hello', id: 1 };
  const ANSWER = { jsonrpc: '2.0', id: 1, result: 'hello' };

  it('takes the calls, and the method that takes @Body() the other messages', async () => {
    const socket = await server.socket('/messages');
    socket.send('one');
    socket.send(HELLO);
    socket.send('two');

    expect(await socket.next()).to.equal('heard one');
    expect(await socket.json()).to.deep.equal(ANSWER);
    expect(await socket.next()).to.equal('heard two');
  });

  it('takes the calls, and a loop over the socket the other messages', async () => {
    const socket = await server.socket('/loop');
    socket.send(HELLO);
    expect(await socket.json()).to.deep.equal(ANSWER);

    socket.send('one');
    expect(await socket.next()).to.equal('looped one');
  });

  for (const [path, first] of [
    ['/stream', 'streamed'],
    ['/once', 'opened'],
  ] as const) {
    it(`is answered on a socket whose method does not read it (${path})`, async () => {
      const socket = await server.socket(path);
      expect(await socket.next()).to.equal(first);
      socket.send(HELLO);

      expect(await socket.json()).to.deep.equal(ANSWER);
    });
  }
});

describe('the scope of a call', () => {
  const made: number[] = [];
  const disposed: number[] = [];

  @scoped(Lifecycle.ContainerScoped)
  @injectable()
  class Unit {
    readonly serial = made.push(made.length);
    async dispose(): Promise<void> {
      await Promise.resolve();
      disposed.push(this.serial);
    }
  }

  @Controller()
  @injectable()
  class Units {
    constructor(@inject(Unit) readonly unit: Unit) {}

    @WebSocket('/units') open(): void {}
    @Rpc() serial() {
      return this.unit.serial;
    }
    @Rpc() failing() {
      throw new HttpError(409);
    }
  }

  it('is its own, and is disposed before the next call begins', async () => {
    const socket = await server.socket('/units');
    const before = made.length;
    for (const method of ['serial', 'failing', 'serial']) {
      socket.send({ jsonrpc: '2.0', method, id: method });
      await socket.json();
    }

    expect(made.length - before).to.equal(3);
    await until(() => disposed.length >= 3);
    expect(disposed.slice(-3)).to.deep.equal([before + 1, before + 2, before + 3]);
  });

  const server = serve({ controllers: [Units], logger: false });
});

describe('an answer to a call', () => {
  @Controller()
  class Resumable {
    @WebSocket('/resumable') open(): void {}
    @Rpc() ping() {
      return 'pong';
    }
  }

  const server = serve({ controllers: [Resumable] });

  it('stands for itself on a socket that speaks coequal.events', async () => {
    const socket = await server.socket('/resumable', { protocols: ['coequal.events'] });
    socket.send({ jsonrpc: '2.0', id: 1, method: 'ping' });
    expect(socket.protocol).to.equal('coequal.events');
    expect(await socket.json()).to.deep.equal({ jsonrpc: '2.0', id: 1, result: 'pong' });
  });
});

import { expect } from 'chai';
import {
  Body,
  Channel,
  Channels,
  Connection,
  Connections,
  connect,
  Controller,
  Ctx,
  defineChannel,
  Get,
  HttpError,
  Param,
  Rpc,
  Signal,
  Sse,
  UseMiddleware,
  WebSocket,
  type Context,
  type Next,
} from 'coequal';
import { Refused, type TestServer } from 'coequal/testing';
import { Readable } from 'node:stream';
import { deferred, until } from '../support/deferred.js';
import { doors, Everywhere, servers } from '../support/doors.js';
import { RevokedChannels } from '../../src/live/connections/revocations.js';

const connectionsOf = (server: TestServer): Connections => server.app.container.resolve(Connections);

const refusal = async (opening: Promise<unknown>): Promise<unknown> => {
  const error: unknown = await opening.catch((thrown: unknown) => thrown);
  return error instanceof Refused ? error.status : error;
};

const identify = (ctx: Context, next: Next) => {
  ctx.user = { id: ctx.headers['x-user'] } as never;
  return next();
};

const as = (user: string) => ({ headers: { 'x-user': user } });

describe('a revocation', () => {
  const serve = servers();

  describe('while the guard runs', () => {
    it('refuses what is about to open, and nothing that begins afterwards', async () => {
      let gate = deferred();
      let waiting = 0;
      const guard = async (ctx: Context, next: Next) => {
        waiting++;
        await gate.promise;
        return identify(ctx, next);
      };
      @Controller()
      class Secrets {
        @Sse('/secret') @WebSocket('/secret') @UseMiddleware(guard) secret() {
          return 'for ada alone';
        }
        @Get('/lines') @UseMiddleware(guard) async *lines() {
          yield await Promise.resolve('for ada alone');
        }
      }
      const server = serve({ controllers: [Secrets] });
      await server.url();
      const [socket, other] = [server.socket('/secret', as('ada')), server.socket('/secret', as('bob'))];
      const [stream, lines] = [server.sse('/secret', as('ada')), server.fetch('/lines', as('ada'))];
      await until(() => waiting === 4);
      await connectionsOf(server).revoke({ user: 'ada' }, 'locked');
      gate.resolve();
      expect(await refusal(socket)).to.equal(401);
      expect(await refusal(stream)).to.equal(401);
      expect((await lines).status).to.equal(401);
      expect(await (await other).next(), 'that of somebody else opens').to.equal('for ada alone');
      expect(connectionsOf(server).of('ada')).to.deep.equal([]);

      gate = deferred();
      gate.resolve();
      expect(await (await server.socket('/secret', as('ada'))).next()).to.equal('for ada alone');
    });
  });

  describe('of a streamed response', () => {
    const gate = deferred();
    const left: string[] = [];
    async function* endless(name: string): AsyncGenerator<string> {
      try {
        yield 'first';
        await gate.promise;
        yield 'last';
      } finally {
        left.push(name);
      }
    }
    @Controller()
    @UseMiddleware(identify)
    class Values {
      @Get('/iterable') iterable() {
        return endless('iterable');
      }
      @Get('/readable') readable() {
        return Readable.from(endless('readable'));
      }
      @Get('/response') response() {
        return new Response(Readable.toWeb(Readable.from(endless('response'))) as never);
      }
      @Get('/soon') soon(): AsyncGenerator<string> {
        return endless('soon');
      }
    }

    for (const path of ['/iterable', '/readable', '/response']) {
      it(`cuts ${path}, and leaves that of somebody else`, async () => {
        const server = serve({ controllers: [Values], limits: { connectionsPerUser: 1 } });
        const [ada, bob] = await Promise.all([server.fetch(path, as('ada')), server.fetch(path, as('bob'))]);
        const connections = connectionsOf(server);
        expect(connections.count).to.equal(2);
        expect(connections.of('ada').map(({ kind }) => kind)).to.deep.equal(['http']);
        expect((await server.fetch(path, as('ada'))).status, 'limits count it').to.equal(429);
        await connections.revoke({ user: 'ada' }, 'locked');
        const cut: unknown = await ada.text().catch((error: unknown) => error);
        expect(cut).to.be.an('error');
        expect(connections.of('ada')).to.deep.equal([]);
        expect(connections.of('bob')).to.have.length(1);
        await bob.body?.cancel();
        await until(() => connections.count === 0);
      });
    }

    it('ends at the deadline of ctx.expires(), before and after the head', async () => {
      @Controller()
      class Expiring {
        @Get('/before')
        @UseMiddleware((ctx: Context, next: Next) => {
          ctx.expires(new Date(Date.now() + 20));
          return next();
        })
        before() {
          return endless('before');
        }
      }
      const server = serve({ controllers: [Expiring] });
      const answer = await server.fetch('/before');
      expect(await answer.text().catch((error: unknown) => error)).to.be.an('error');
      expect(connectionsOf(server).count).to.equal(0);
    });
  });

  describe('of one connection', () => {
    const endless = async function* (id: string, signal: AbortSignal) {
      yield { id };
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
    };
    @Controller()
    class Feed {
      @Everywhere('/feed') feed(@Ctx() ctx: Context, @Signal() signal: AbortSignal) {
        return endless((ctx.connection as Connection | undefined)?.id ?? '', signal);
      }
    }

    for (const door of doors) {
      it(`ends it and no other: ${door.kind}`, async () => {
        const server = serve({ controllers: [Feed] });
        const connections = connectionsOf(server);
        const visits = [await door.open(server, '/feed'), await door.open(server, '/feed')];
        for (const visit of visits) await visit.value();
        const [first, second] = [...connections] as [Connection, Connection];
        await connections.revoke({ connection: 'nobody' });
        expect(connections.count).to.equal(2);
        await connections.revoke({ connection: second }, 'left');
        await visits[1]?.ended();
        await until(() => connections.count === 1);
        await connections.revoke({ connection: first.id }, 'left, too');
        await visits[0]?.ended();
        await until(() => connections.count === 0);
        expect(second.closed).to.deep.include({ code: 3000, reason: 'left' });
        expect(first.closed).to.deep.include({ code: 3000, reason: 'left, too' });
      });
    }

    it('refuses a stream that has told its id and is about to open', async () => {
      const gate = deferred();
      const told = deferred<Connection>();
      @Controller()
      class Slow {
        @Sse('/slow') async slow(@Connection() connection: Connection) {
          told.resolve(connection);
          expect(connection.id).to.be.a('string');
          await gate.promise;
          return 'late';
        }
      }
      const server = serve({ controllers: [Slow] });
      const opening = server.sse('/slow');
      await connectionsOf(server).revoke({ connection: (await told.promise).id });
      gate.resolve();
      expect(await refusal(opening)).to.equal(401);
      expect(connectionsOf(server).count).to.equal(0);
    });

    it('takes one thing by its name, and nothing else', async () => {
      const connections = connectionsOf(serve({ controllers: [] }));
      const wrong: unknown[] = [
        {},
        { connection: undefined },
        { connection: null },
        { connection: {} },
        { session: undefined },
        { session: '' },
        { channel: 1 },
        { channel: '' },
        { user: 'ada', session: 'x' },
        { users: 'ada' },
      ];
      for (const target of wrong) {
        const error: unknown = await connections.revoke(target as never).catch((thrown: unknown) => thrown);
        expect(error, JSON.stringify(target)).to.be.instanceOf(TypeError);
      }
    });
  });

  describe('of a channel', () => {
    const Room = defineChannel<string>('rooms/:room', { presence: () => 'somebody' });
    @Controller('/rooms/:room')
    @UseMiddleware(identify)
    class Rooms {
      constructor(private readonly channels: Channels) {}

      @Sse('/returned') @WebSocket('/returned') returned(@Channel(Room) room: Channel<string>) {
        return room;
      }
      @Everywhere('/looped') async *looped(@Channel(Room) room: Channel<string>) {
        yield 'in';
        for await (const value of room) yield value;
      }
      @Sse('/by-hand') @WebSocket('/by-hand') byHand(
        @Param('room') room: string,
        @Connection() connection: Connection,
      ) {
        this.channels.of(Room, { room }).subscribe(connection);
      }
      @Sse('/presence') @WebSocket('/presence') presence(
        @Channel(Room) room: Channel<string>,
        @Connection() connection: Connection,
      ) {
        room.presence.subscribe(connection);
      }
      @Get('/next') async next(@Channel(Room) room: Channel<string>) {
        for await (const value of room) return value;
        return 'nothing';
      }
    }

    for (const [path, kinds] of [
      ['returned', ['sse', 'websocket']],
      ['looped', ['http', 'sse', 'websocket']],
      ['by-hand', ['sse', 'websocket']],
      ['presence', ['sse', 'websocket']],
    ] as const) {
      for (const door of doors.filter(({ kind }) => (kinds as readonly string[]).includes(kind))) {
        it(`ends its readers, and no others: ${path}, ${door.kind}`, async () => {
          const server = serve({ controllers: [Rooms] });
          const connections = connectionsOf(server);
          const headers = { 'x-user': 'ada' };
          const lobby = await door.open(server, `/rooms/lobby/${path}`, headers);
          await door.open(server, `/rooms/hall/${path}`, headers);
          const channels = server.app.container.resolve(Channels);
          const own = channels.of(Room, { room: 'lobby' })[Symbol.asyncIterator]();
          await until(() => channels.of(Room, { room: 'lobby' }).size === (path === 'presence' ? 1 : 2));
          const reader = [...connections].find(({ context }) => context.path.includes('lobby'));
          await connections.revoke({ channel: 'rooms/lobby' }, 'archived');
          await lobby.ended();
          await until(() => connections.count === 1);
          if (door.kind !== 'http') expect(reader?.closed).to.deep.equal({ code: 3000, reason: 'archived' });
          expect([...connections].map(({ context }) => context.path)).to.deep.equal([`/rooms/hall/${path}`]);

          channels.of(Room, { room: 'lobby' }).publish('still read by the server');
          expect(await own.next()).to.deep.equal({ done: false, value: 'still read by the server' });
          await door.open(server, `/rooms/lobby/${path}`, headers);
          await until(() => connections.count === 2);
        });
      }
    }

    it('fails a request that waits for the next value', async () => {
      const server = serve({ controllers: [Rooms] });
      const waiting = server.fetch('/rooms/lobby/next', { headers: { 'x-user': 'ada' } });
      const room = server.app.container.resolve(Channels).of(Room, { room: 'lobby' });
      await server.url();
      await until(() => room.size === 1);
      await connectionsOf(server).revoke({ channel: room });
      expect((await waiting).status).to.equal(401);
      expect(room.size).to.equal(0);
    });

    for (const door of doors) {
      it(`refuses whom authorize admits at the same time: ${door.kind}`, async () => {
        const gate = deferred();
        let asked = 0;
        const Board = defineChannel<string>('boards/:board', {
          history: 1,
          authorize: async () => {
            asked++;
            await gate.promise;
            return true;
          },
        });
        @Controller('/boards/:board')
        class Boards {
          @Everywhere() read(@Channel(Board) board: Channel<string>) {
            return board;
          }
        }
        const server = serve({ controllers: [Boards] });
        server.app.container.resolve(Channels).of(Board, { board: 'a' }).publish('secret');
        const opening = door.open(server, '/boards/a');
        await until(() => asked === 1);
        await connectionsOf(server).revoke({ channel: 'boards/a' });
        gate.resolve();
        const visit = await opening;
        // The socket has opened before its method subscribes it: it ends there.
        if (door.kind === 'websocket') expect(await visit.ended()).to.include({ code: 3000 });
        else expect(visit.status).to.equal(401);
        await until(() => connectionsOf(server).count === 0);

        const again = await door.open(server, '/boards/a');
        expect(again.status, 'whoever asks afterwards is decided anew').to.equal(door.opened);
        again.leave();
      });
    }

    it('refuses a call that was admitted before it, and to subscribe later by what was given before', async () => {
      const gate = deferred();
      const asked: string[] = [];
      const Board = defineChannel<string>('boards/:board', {
        authorize: async ({ kind }) => {
          asked.push(kind);
          if (asked.length > 1) await gate.promise;
          return true;
        },
      });
      @Controller('/boards/:board')
      class Boards {
        @WebSocket() message(
          @Channel(Board) board: Channel<string>,
          @Connection() connection: Connection,
          @Body() _text: string,
        ) {
          board.subscribe(connection);
          return 'subscribed';
        }
        @Rpc('join') join(@Channel(Board) board: Channel<string>, @Connection() connection: Connection) {
          board.subscribe(connection);
        }
      }
      const server = serve({ controllers: [Boards] });
      const socket = await server.socket('/boards/a');
      socket.send({ jsonrpc: '2.0', id: 1, method: 'join' });
      await until(() => asked.length === 2);
      await connectionsOf(server).revoke({ channel: 'boards/a' });
      gate.resolve();
      expect(await socket.json()).to.have.nested.property('error.data.status', 401);
      socket.send('subscribe me');
      expect(await socket.json()).to.have.nested.property('error.status', 401);
    });

    it('leaves the handles of other channels alone, however many are revoked', () => {
      const revoked = new RevokedChannels();
      const [a, b] = [revoked.markOf('a'), revoked.markOf('b')];
      for (let i = 0; i < 2_000; i++) revoked.add(`room ${i}`);
      revoked.add('a');
      expect([a.revoked, b.revoked]).to.deep.equal([true, false]);
      expect(revoked.markOf('a').revoked, 'given out afterwards').to.equal(false);
    });
  });

  describe('while credentials are renewed', () => {
    it('refuses them, and nothing stays open', async () => {
      const gate = deferred();
      let runs = 0;
      const guard = async (ctx: Context, next: Next) => {
        ctx.user = { id: 'ada' } as never;
        if (++runs > 1) await gate.promise;
        await next();
      };
      const opened = deferred<Connection>();
      @Controller()
      class Feed {
        @WebSocket('/feed') @UseMiddleware(guard) feed(@Connection() connection: Connection) {
          opened.resolve(connection);
        }
      }
      const server = serve({ controllers: [Feed] });
      const socket = await server.socket('/feed');
      const renewing = (await opened.promise).renew({}).catch((error: unknown) => error);
      await until(() => runs === 2);
      await connectionsOf(server).revoke({ user: 'ada' }, 'locked');
      gate.resolve();
      expect(await renewing)
        .to.be.instanceOf(HttpError)
        .with.property('status', 401);
      expect(await socket.closed()).to.deep.equal({ code: 3000, reason: 'locked' });
      await until(() => connectionsOf(server).count === 0);
    });
  });
});

describe('renew()', () => {
  const serve = servers();

  it('decides by the new credentials alone, whatever Express middleware found before', async () => {
    const authenticate = connect((request: any, _response: unknown, next: () => void) => {
      if (request.headers.authorization === 'good') request.user = { id: 'ada' };
      next();
    });
    const signedIn = (ctx: Context, next: Next) => {
      if (ctx.user === undefined) throw new HttpError(401);
      return next();
    };
    const opened: Connection[] = [];
    @Controller()
    class Feed {
      @Sse('/feed')
      @WebSocket('/feed')
      @UseMiddleware(authenticate, signedIn)
      feed(@Connection() connection: Connection) {
        opened.push(connection);
      }
    }
    const server = serve({ controllers: [Feed] });
    const good = { headers: { authorization: 'good' } };
    const [stream, socket] = [await server.sse('/feed', good), await server.socket('/feed', good)];
    await until(() => opened.length === 2);
    for (const connection of opened) {
      await connection.renew({ authorization: 'good' });
      const refused: unknown = await connection
        .renew({ authorization: 'bad' })
        .catch((error: unknown) => error);
      expect(refused).to.be.instanceOf(HttpError).with.property('status', 401);
    }
    expect(await stream.next()).to.include({ event: 'end' });
    expect(await socket.closed()).to.include({ code: 3000 });
  });
});

describe('what middleware put on the request', () => {
  const serve = servers();
  /** Puts what a token proves on the request and on the response, as Express middleware does. */
  const byToken = connect(
    (request: Record<string, any>, response: { locals: Record<string, unknown> }, next: () => void) => {
      const [name, ...roles] = String(request.headers.authorization).split(' ');
      request.user = { id: name };
      request.auth = { roles };
      if (roles.includes('admin')) request.isAdmin = true;
      if (roles.length > 0) response.locals.role = roles[0];
      next();
    },
  );
  const byExpress = connect((request: Record<string, any>, _response, next) => {
    request.auth = { roles: [] };
    next();
  });
  const byHand = (ctx: Context, next: Next) => {
    const { headers, request } = ctx as { headers: Context['headers']; request: object };
    ctx.user = { id: 'ada' } as never;
    if (headers.authorization === 'express') return byExpress(ctx, next);
    if (headers.authorization === 'ada admin')
      Object.assign(request, { isAdmin: true, user: { name: 'root' } });
    return next();
  };
  const factsOf = ({ request, response }: Context) => {
    const { auth, isAdmin, originalUrl } = request as {
      auth?: unknown;
      isAdmin?: boolean;
      originalUrl?: string;
    };
    const { locals } = response as { locals?: { role?: string } };
    return { auth, isAdmin, role: locals?.role, originalUrl };
  };
  const opened: Connection[] = [];
  @Controller()
  class Desk {
    @Sse('/express') @WebSocket('/express') @UseMiddleware(byToken) express(
      @Connection() connection: Connection,
    ) {
      opened.push(connection);
    }
    @Sse('/plain') @WebSocket('/plain') @UseMiddleware(byHand) plain(@Connection() connection: Connection) {
      opened.push(connection);
    }
  }
  @Controller()
  class Calls {
    @WebSocket('/both') @UseMiddleware(byToken) message(@Ctx() ctx: Context, @Body() _ask: string) {
      return factsOf(ctx);
    }
    @Rpc('facts') @UseMiddleware(connect((_request, _response, next) => next())) facts(@Ctx() ctx: Context) {
      return factsOf(ctx);
    }
    @Rpc('renew') async renew(@Connection() connection: Connection, @Body() { token }: { token: string }) {
      await connection.renew({ authorization: token });
    }
  }

  for (const door of doors.filter(({ kind }) => kind !== 'http')) {
    it(`is gone after renew() where the new credentials do not prove it: ${door.kind}`, async () => {
      opened.length = 0;
      const server = serve({ controllers: [Desk] });
      for (const path of ['/express', '/plain']) {
        await door.open(server, path, { authorization: 'ada admin' });
      }
      await until(() => opened.length === 2);
      const [express, plain] = opened as [Connection, Connection];
      const originalUrl = '/express';
      expect(factsOf(express.context)).to.deep.equal({
        auth: { roles: ['admin'] },
        isAdmin: true,
        role: 'admin',
        originalUrl,
      });
      expect(factsOf(plain.context).isAdmin).to.equal(true);

      await express.renew({ authorization: 'ada guest' });
      expect(factsOf(express.context)).to.deep.equal({
        auth: { roles: ['guest'] },
        isAdmin: undefined,
        role: 'guest',
        originalUrl,
      });
      await express.renew({ authorization: 'ada' });
      expect(factsOf(express.context)).to.deep.include({ auth: { roles: [] }, role: undefined });
      await express.renew({ authorization: 'ada admin' });
      expect(factsOf(express.context)).to.deep.include({ isAdmin: true, role: 'admin' });
      await plain.renew({ authorization: 'ada guest' });
      expect(factsOf(plain.context).isAdmin).to.equal(undefined);
      expect((plain.context.request as { user?: unknown }).user).to.equal(undefined);
      await plain.renew({ authorization: 'express' });
      expect(factsOf(plain.context).auth).to.deep.equal({ roles: [] });
      expect((plain.context.request as { user?: unknown }).user).to.equal(undefined);
    });
  }

  it('is what the new credentials prove for messages and calls, and for no other socket', async () => {
    const server = serve({ controllers: [Calls] });
    const open = (authorization: string) => server.socket('/both', { headers: { authorization } });
    const [socket, other] = [await open('ada'), await open('ada')];
    const call = async (on: typeof socket, method: string, params = {}) => {
      on.send({ jsonrpc: '2.0', id: 1, method, params });
      return (await on.json()) as { result: unknown };
    };
    const originalUrl = '/both';
    for (const [token, facts] of [
      ['ada admin', { auth: { roles: ['admin'] }, isAdmin: true, role: 'admin', originalUrl }],
      ['ada', { auth: { roles: [] }, originalUrl }],
      ['ada guest', { auth: { roles: ['guest'] }, role: 'guest', originalUrl }],
    ] as const) {
      await call(socket, 'renew', { token });
      socket.send('"ask"');
      expect(await socket.json()).to.deep.equal(facts);
      expect((await call(socket, 'facts')).result).to.deep.equal(facts);
      expect((await call(other, 'facts')).result).to.deep.equal({ auth: { roles: [] }, originalUrl });
    }
  });
});

describe('a deadline that is not a date', () => {
  const serve = servers();

  it('is a TypeError, and nothing opens', async () => {
    const wrong = [new Date(Number.NaN), undefined, Date.now(), '2100-01-01'];
    const told: unknown[] = [];
    @Controller()
    class Feed {
      @Sse('/feed/:which')
      @WebSocket('/feed/:which')
      @UseMiddleware((ctx: Context, next: Next) => {
        ctx.expires(wrong[Number(ctx.params['which'])] as Date);
        return next();
      })
      feed() {}
      @WebSocket('/open') open(@Connection() connection: Connection) {
        for (const date of wrong) {
          try {
            connection.expires(date as Date);
          } catch (error) {
            told.push((error as Error).name);
          }
        }
        return told.join();
      }
    }
    const server = serve({ controllers: [Feed] });
    for (let which = 0; which < wrong.length; which++) {
      expect(await refusal(server.sse(`/feed/${which}`))).to.equal(500);
      expect(await refusal(server.socket(`/feed/${which}`))).to.equal(500);
    }
    expect(await (await server.socket('/open')).next()).to.equal('TypeError,TypeError,TypeError,TypeError');
  });
});

import { expect } from 'chai';
import {
  Channel,
  Channels,
  Connection,
  Controller,
  defineChannel,
  Get,
  HttpError,
  Rpc,
  Sse,
  WebSocket,
  type ChannelDefinition,
  type Context,
} from 'coequal';
import { injectable, Lifecycle, scoped } from 'tsyringe';
import { doors, servers } from '../support/doors.js';
import { refusal } from '../support/refusal.js';

/** A controller that gives a channel in all three kinds. */
function reading(Room: ChannelDefinition<never>) {
  @Controller('/rooms/:room')
  class RoomController {
    @Get()
    @Sse()
    @WebSocket()
    messages(@Channel(Room) room: Channel<never>) {
      return room;
    }
  }
  return RoomController;
}

describe('authorize of a channel', () => {
  const serve = servers();

  for (const door of doors) {
    describe(`asked by ${door.kind}`, () => {
      for (const [what, given] of [
        ['undefined', undefined],
        ['null', null],
        ['0', 0],
        ["''", ''],
        ['1', 1],
        ["'true'", 'true'],
        ['an object', {}],
        ['false', false],
        ['a promise of undefined', Promise.resolve()],
        ['a promise of 1', Promise.resolve(1)],
        ['a thenable of false', { then: (done: (value: unknown) => void) => done(false) }],
      ] as const) {
        it(`refuses a reader for whom it gives ${what}`, async () => {
          const Room = defineChannel<never>('rooms/:room', { history: 1, authorize: () => given });
          const visit = await door.open(serve({ controllers: [reading(Room)] }), '/rooms/lobby');
          expect(visit.status).to.equal(403);
          expect(visit.problem.detail).to.equal('The channel may not be read');
        });
      }

      for (const [what, given] of [
        ['true', true],
        ['a promise of true', Promise.resolve(true)],
        ['a thenable of true', { then: (done: (value: unknown) => void) => done(true) }],
      ] as const) {
        it(`admits a reader for whom it gives ${what}`, async () => {
          const Room = defineChannel<never>('rooms/:room', { history: 1, authorize: () => given });
          const visit = await door.open(serve({ controllers: [reading(Room)] }), '/rooms/lobby');
          expect(visit.status).to.equal(door.opened);
          visit.leave();
        });
      }

      it('responds with the HttpError that it throws, and denies by 403 for anything else, which is logged', async () => {
        const failures: (() => unknown)[] = [
          () => {
            throw new Error('the policy failed');
          },
          () => Promise.reject(),
          async () => {
            throw new Error('the policy failed later');
          },
          () => ({
            get then() {
              throw new Error('it cannot be awaited');
            },
          }),
        ];
        const logged: unknown[] = [];
        const logger = {
          error: (fields: object) => void logged.push((fields as { channel: string }).channel),
        };
        const Room = defineChannel<never>('rooms/:room', {
          history: 1,
          authorize: (_ctx, { room }) => {
            if (room === 'gone') throw new HttpError(410);
            if (room === 'foreign') throw Object.assign(new Error('not signed in'), { status: 401 });
            return failures[Number(room)]?.();
          },
        });
        const server = serve({
          controllers: [reading(Room)],
          logger: { ...logger, warn: () => undefined, info: () => undefined },
        });
        expect((await door.open(server, '/rooms/gone')).status).to.equal(410);
        expect((await door.open(server, '/rooms/foreign')).status).to.equal(401);
        expect(logged).to.deep.equal([]);
        for (const room of failures.keys()) {
          const visit = await door.open(server, `/rooms/${room}`);
          expect([visit.status, visit.problem.detail]).to.deep.equal([403, 'The channel may not be read']);
        }
        expect(logged).to.deep.equal(failures.map(() => 'rooms/:room'));
      });

      it('takes an injectable class with services of the application and of a scope', async () => {
        let disposed = 0;
        @injectable()
        class Members {
          readonly rooms = new Set(['lobby']);
        }
        @scoped(Lifecycle.ContainerScoped)
        class Transaction {
          dispose() {
            disposed++;
          }
        }
        @injectable()
        class RoomPolicy {
          constructor(
            private readonly members: Members,
            readonly transaction: Transaction,
          ) {}
          authorize(_ctx: Context, { room }: Readonly<Record<string, string>>) {
            return this.members.rooms.has(room ?? '');
          }
        }
        const Room = defineChannel<never>('rooms/:room', { authorize: RoomPolicy });
        const server = serve({ controllers: [reading(Room)] });
        const visit = await door.open(server, '/rooms/lobby');
        expect(visit.status).to.equal(door.opened);
        visit.leave();
        expect((await door.open(server, '/rooms/board')).status).to.equal(403);
        expect(disposed).to.equal(2);
      });
    });
  }

  it('is asked although a service has used the channel before the routes were compiled', async () => {
    @injectable()
    class RoomPolicy {
      authorize(_ctx: Context, { room }: Readonly<Record<string, string>>) {
        return room === 'lobby';
      }
    }
    const Room = defineChannel<string>('rooms/:room', { history: 1, authorize: RoomPolicy });
    @Controller('/rooms/:room')
    class RoomController {
      constructor(channels: Channels) {
        channels.of(Room, { room: 'lobby' }).publish('welcome');
      }
      @Get()
      messages(@Channel(Room) room: Channel<string>) {
        return room;
      }
    }
    const server = serve({ controllers: [RoomController] });
    expect(await (await server.fetch('/rooms/lobby')).json()).to.deep.equal(['welcome']);
    expect((await server.fetch('/rooms/board')).status).to.equal(403);
  });

  for (const [what, given, mistake] of [
    ['undefined', undefined, 'authorize is undefined, most often because of a circular import'],
    ['null', null, 'authorize is null'],
    ['true', true, 'authorize is a boolean'],
    ['an instance', { authorize: () => true }, 'authorize is an object'],
    [
      'a class without the method',
      class Policy {},
      'authorize is the class Policy, which has no method authorize',
    ],
  ] as const) {
    it(`is a function or a class, never ${what}`, () => {
      expect(() => defineChannel('rooms/:room', { authorize: given as never }))
        .to.throw(`defineChannel('rooms/:room'): ${mistake}`)
        .with.property('name', 'ConfigurationError');
    });
  }

  it('is not lost by a misspelling: unknown options are refused', () => {
    expect(() => defineChannel('rooms/:room', { authorise: () => false } as object)).to.throw(
      "defineChannel('rooms/:room'): there is no option `authorise`",
    );
  });

  it('is asked by what defineChannel gave alone: a copy without it is refused at start-up', () => {
    const Room = defineChannel<never>('rooms/:room', { authorize: () => false });
    expect(refusal([reading({ ...Room, options: {} })])).to.contain(
      "RoomController.messages takes a copy of defineChannel('rooms/:room'): give what defineChannel() returned itself",
    );
    expect(refusal([reading(undefined as never)])).to.contain('circular import');
  });

  it('is asked for a call', async () => {
    const Room = defineChannel<string>('rooms/:room', { authorize: () => undefined });
    @Controller('/rooms/:room')
    class RoomController {
      @WebSocket()
      open() {}
      @Rpc('join')
      join(@Channel(Room) room: Channel<string>, @Connection() connection: Connection) {
        room.subscribe(connection);
      }
    }
    const socket = await serve({ controllers: [RoomController] }).socket('/rooms/lobby');
    socket.send('{"jsonrpc":"2.0","id":1,"method":"join"}');
    const { error } = JSON.parse(String(await socket.next())) as {
      error: { code: number; data: { status: number } };
    };
    expect([error.code, error.data.status]).to.deep.equal([-32000, 403]);
  });

  it('is asked again when a connection renews its credentials', async () => {
    const Room = defineChannel<string>('rooms/:room', {
      authorize: (ctx) => ctx.headers.authorization === 'good',
    });
    let opened: Connection | undefined;
    @Controller('/rooms/:room')
    class RoomController {
      @WebSocket()
      open(@Channel(Room) room: Channel<string>, @Connection() connection: Connection) {
        opened = connection;
        room.subscribe(connection);
      }
    }
    const socket = await serve({ controllers: [RoomController] }).socket('/rooms/lobby', {
      headers: { authorization: 'good' },
    });
    const error: unknown = await opened?.renew({ authorization: 'bad' }).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).to.be.instanceOf(HttpError).with.property('status', 403);
    expect((await socket.closed()).code).to.equal(3003);
  });

  for (const [what, left, status] of [
    ['what calls have subscribed the connection to', false, 403],
    ['no channel that the connection has left', true, undefined],
  ] as const) {
    it(`asks again at renew() for ${what}`, async () => {
      const Room = defineChannel<string>('rooms/:room', {
        authorize: (ctx) => ctx.headers.authorization === 'good',
      });
      const opened: Connection[] = [];
      const ends: (() => void)[] = [];
      @Controller('/rooms/:room')
      class RoomController {
        @WebSocket()
        open(@Connection() connection: Connection) {
          opened.push(connection);
        }
        @Rpc('join')
        join(@Channel(Room) room: Channel<string>, @Connection() connection: Connection) {
          ends.push(room.subscribe(connection));
          return true;
        }
      }
      const server = serve({ controllers: [RoomController] });
      const socket = await server.socket('/rooms/lobby', { headers: { authorization: 'good' } });
      socket.send('{"jsonrpc":"2.0","id":1,"method":"join"}');
      expect(await socket.next()).to.contain('"result":true');
      if (left) for (const end of ends) end();
      const refused: unknown = await opened[0]?.renew({ authorization: 'bad' }).then(
        () => undefined,
        (error: HttpError) => error.status,
      );
      expect(refused).to.equal(status);
      if (status !== undefined) expect((await socket.closed()).code).to.equal(3003);
    });
  }

  it('is asked again at renew() for the presence that a call has subscribed the connection to', async () => {
    const Room = defineChannel<string>('rooms/:room', {
      authorize: (ctx) => ctx.headers.authorization === 'good',
      presence: () => ({}),
    });
    const opened: Connection[] = [];
    @Controller('/rooms/:room')
    class RoomController {
      @WebSocket()
      open(@Connection() connection: Connection) {
        opened.push(connection);
      }
      @Rpc('watch')
      watch(@Channel(Room) room: Channel<string>, @Connection() connection: Connection) {
        room.presence.subscribe(connection);
      }
    }
    const server = serve({ controllers: [RoomController] });
    const socket = await server.socket('/rooms/lobby', { headers: { authorization: 'good' } });
    socket.send({ jsonrpc: '2.0', id: 1, method: 'watch' });
    await socket.next();
    const refused: unknown = await opened[0]?.renew({ authorization: 'bad' }).then(
      () => undefined,
      (error: HttpError) => error.status,
    );
    expect(refused).to.equal(403);
  });

  it('is asked once at renew(), however often calls have subscribed the connection', async () => {
    let asked = 0;
    const Room = defineChannel<string>('rooms/:room', { authorize: () => ++asked > 0 });
    const opened: Connection[] = [];
    @Controller('/rooms/:room')
    class RoomController {
      @WebSocket()
      open(@Connection() connection: Connection) {
        opened.push(connection);
      }
      @Rpc('join')
      join(@Channel(Room) room: Channel<string>) {
        return room;
      }
    }
    const socket = await serve({ controllers: [RoomController] }).socket('/rooms/lobby');
    for (let id = 0; id < 3; id++) {
      socket.send({ jsonrpc: '2.0', id, method: 'join' });
      await socket.next();
    }
    asked = 0;
    await opened[0]?.renew({});
    expect(asked).to.equal(1);
  });
});

describe('two definitions of channels', () => {
  const serve = servers();

  it('are refused at start-up where they can have a channel of one name, naming both', () => {
    const Room = defineChannel<string>('rooms/:room');
    const Board = defineChannel<string>('rooms/board', { authorize: () => false });
    @Controller('/rooms')
    class RoomController {
      @Get('/board')
      board(@Channel(Board) board: Channel<string>) {
        return board;
      }
      @Get('/:room')
      show(@Channel(Room) room: Channel<string>) {
        return room;
      }
    }
    expect(refusal([RoomController])).to.equal(
      "defineChannel('rooms/:room') and defineChannel('rooms/board') can have a channel of the same name, with two " +
        'policies: define the channel once and import it, or give one of them another template',
    );
  });

  it('are refused where code in the server asks for the second', () => {
    const channels = serve({
      controllers: [reading(defineChannel<never>('rooms/:room'))],
    }).app.container.resolve(Channels);
    expect(() => channels.of(defineChannel('rooms/:name'), { name: 'lobby' })).to.throw(
      "defineChannel('rooms/:name') and defineChannel('rooms/:room') can have a channel of the same name",
    );
  });

  it('are remembered where routes read them, and up to a thousand others', () => {
    const Room = defineChannel<never>('rooms/:room');
    const channels = serve({ controllers: [reading(Room)] }).app.container.resolve(Channels);
    const first = defineChannel('news/0');
    for (let i = 0; i <= 1_000; i++) channels.of(i === 0 ? first : defineChannel(`news/${i}`));
    expect(() => channels.of(defineChannel('news/1000'))).to.throw('can have a channel of the same name');
    expect(() => channels.of(defineChannel('rooms/lobby'))).to.throw('can have a channel of the same name');
    expect(channels.of(first).name).to.equal('news/0');
    expect(channels.of(defineChannel('news/0')).name).to.equal('news/0');
  });

  for (const template of [
    'rooms//board',
    'rooms/',
    'rooms/:',
    'rooms/:room?',
    'rooms/:room.json',
    'rooms#presence',
    '/rooms',
    '',
  ]) {
    it(`have templates of plain segments and parameters, not '${template}'`, () => {
      expect(() => defineChannel(template))
        .to.throw(`defineChannel('${template}')`)
        .with.property('name', 'ConfigurationError');
    });
  }

  for (const door of doors) {
    it(`answer 404 where the path of a request leaves a parameter empty, by ${door.kind}`, async () => {
      const Room = defineChannel<never>('rooms/:room', { history: 1 });
      @Controller()
      class RoomController {
        @Get('/rooms/:room?')
        @Sse('/rooms/:room?')
        @WebSocket('/rooms/:room?')
        messages(@Channel(Room) room: Channel<never>) {
          return room;
        }
      }
      const server = serve({ controllers: [RoomController] });
      expect((await door.open(server, '/rooms')).status).to.equal(404);
      const visit = await door.open(server, '/rooms/lobby');
      expect(visit.status).to.equal(door.opened);
      visit.leave();
    });
  }

  it('have names that no parameter can forge, and none that is empty', () => {
    const channels = serve({ controllers: [] }).app.container.resolve(Channels);
    const Room = defineChannel('rooms/:room/:door');
    expect(channels.of(Room, { room: 'a/b', door: 0 }).name).to.equal('rooms/a%2Fb/0');
    expect(() => channels.of(Room, { room: [], door: 'c' })).to.throw(TypeError, 'needs the parameter :room');
    expect(channels.of(Room, { room: 'a/b', door: '#presence' }).name).to.equal('rooms/a%2Fb/%23presence');
    expect(() => channels.of(Room, { room: '', door: 'c' })).to.throw(TypeError, 'needs the parameter :room');
    expect(() => defineChannel('rooms#presence')).to.throw("defineChannel('rooms#presence')");
  });
});

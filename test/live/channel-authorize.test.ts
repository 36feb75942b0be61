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

      it('responds with the HttpError that it throws, and with 500 to anything else', async () => {
        const authorize = (_ctx: Context, { room }: Readonly<Record<string, string>>) => {
          throw room === 'old' ? new HttpError(410) : new Error('the policy failed');
        };
        const server = serve({
          controllers: [reading(defineChannel<never>('rooms/:room', { authorize }))],
          logger: false,
        });
        expect((await door.open(server, '/rooms/old')).status).to.equal(410);
        expect((await door.open(server, '/rooms/new')).status).to.equal(500);
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

  it('have names that no parameter can forge, and none that is empty', () => {
    const channels = serve({ controllers: [] }).app.container.resolve(Channels);
    const Room = defineChannel('rooms/:room/:door');
    expect(channels.of(Room, { room: 'a/b', door: '#presence' }).name).to.equal('rooms/a%2Fb/%23presence');
    expect(() => channels.of(Room, { room: '', door: 'c' })).to.throw(TypeError, 'needs the parameter :room');
    expect(() => defineChannel('rooms#presence')).to.throw("defineChannel('rooms#presence')");
  });
});

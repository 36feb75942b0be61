import { expect } from 'chai';
import {
  Context,
  Controller,
  createApp,
  Get,
  Post,
  Rpc,
  Sse,
  Unguarded,
  UseMiddleware,
  WebSocket,
  type Next,
} from 'coequal';
import { injectable, Lifecycle, scoped } from 'tsyringe';
import { refusal } from '../support/refusal.js';

const requestId = (_ctx: Context, next: Next): unknown => next();
const SignedIn = (_ctx: Context, next: Next): unknown => next();
const Limited = (_ctx: Context, next: Next): unknown => next();

@scoped(Lifecycle.ContainerScoped)
class Unit {}

@injectable()
class Audited {
  constructor(readonly unit: Unit) {}
  use(_ctx: Context, next: Next) {
    return next();
  }
}

@scoped(Lifecycle.ContainerScoped)
class Rooms {
  constructor(readonly ctx: Context) {}
}

describe('explain()', () => {
  it('lists every route: kind, path, method, middleware in order, scoped services, calls', () => {
    @Controller('/rooms/:room')
    @UseMiddleware(SignedIn)
    class RoomController {
      constructor(readonly rooms: Rooms) {}
      @Get()
      show() {}
      @UseMiddleware(Limited, Audited)
      @Post('/messages')
      say() {}
      @Unguarded('shows no names')
      @Sse('/count')
      count() {}
      @WebSocket()
      open() {}
      @Rpc()
      move() {}
      @Rpc('leave')
      go() {}
    }
    @Controller('health', { host: 'a.example' })
    class Health {
      @Get()
      check() {}
    }
    const app = createApp({ controllers: [RoomController, Health], middleware: [requestId] });
    expect(app.explain()).to.equal(
      [
        'kind       path                   method                middleware                                 scoped                                           calls',
        'GET        /rooms/:room           RoomController.show   requestId > SignedIn                       Rooms, Context                                   -',
        'POST       /rooms/:room/messages  RoomController.say    requestId > SignedIn > Limited > Audited   Unit, Rooms, Context                             -',
        'SSE        /rooms/:room/count     RoomController.count  requestId > SignedIn                       Rooms, Context (unguarded: shows no names)       -',
        'WebSocket  /rooms/:room           RoomController.open   requestId > SignedIn                       Rooms, Context                                   move, leave',
        'GET        a.example/health       Health.check          requestId                                  -                                                -',
      ]
        .map((line) => line.split(/ {2,}/))
        .map((cells, _, rows) =>
          cells
            .map((cell, i) => cell.padEnd(Math.max(...rows.map((r) => r[i]?.length ?? 0))))
            .join('  ')
            .trimEnd(),
        )
        .join('\n'),
    );
  });

  it('calls a function without a name what it is', () => {
    const app = createApp({ controllers: [], middleware: [(_ctx, next) => next()] });
    expect(app.explain()).to.equal('kind  path  method  middleware  scoped  calls');
    @Controller()
    class Rest {
      @Get()
      show() {}
    }
    expect(createApp({ controllers: [Rest], middleware: [(_ctx, next) => next()] }).explain()).to.contain(
      'GET   /     Rest.show  anonymous middleware',
    );
  });
});

describe('the guard audit', () => {
  it('refuses a socket without the guard that the request of its path has, naming both and the remedy', () => {
    @Controller('/rooms')
    class RoomController {
      @UseMiddleware(SignedIn, Limited)
      @Get('/:room')
      show() {}
      @UseMiddleware(Limited)
      @WebSocket('/:id')
      open() {}
    }
    expect(refusal([RoomController])).to.equal(
      'RoomController.open (WebSocket /rooms/:id) is without SignedIn, which RoomController.show (GET /rooms/:room) on the same path has: ' +
        "add @UseMiddleware(SignedIn) to RoomController.open, or say why not by @Unguarded('…')",
    );
  });

  it('refuses a request without the guard of its stream, across classes', () => {
    @Controller('/rooms')
    @UseMiddleware(SignedIn)
    class Streams {
      @Sse()
      watch() {}
    }
    @Controller('/rooms')
    class Requests {
      @Get()
      list() {}
    }
    const told =
      'Requests.list (GET /rooms) is without SignedIn, which Streams.watch (SSE /rooms) on the same path has';
    expect(refusal([Streams, Requests])).to.contain(told);
    expect(refusal([Requests, Streams])).to.contain(told);
  });

  it('refuses the other of two where each has what the other lacks', () => {
    @Controller('/rooms')
    class RoomController {
      @UseMiddleware(SignedIn)
      @Get()
      show() {}
      @UseMiddleware(Limited)
      @Sse()
      watch() {}
    }
    expect(refusal([RoomController])).to.contain('RoomController.watch (SSE /rooms) is without SignedIn');
  });

  for (const [what, guarded, bare] of [
    ['request', WebSocket(), Get()],
    ['stream', Get(), Sse()],
    ['socket', Get(), WebSocket()],
  ] as const) {
    it(`lets a ${what} be that says why it is unguarded`, () => {
      @Controller('/rooms')
      class RoomController {
        @UseMiddleware(SignedIn)
        @guarded
        one() {}
        @Unguarded('tells nothing that is secret')
        @bare
        two() {}
      }
      const app = createApp({ controllers: [RoomController] });
      expect(app.explain()).to.contain('(unguarded: tells nothing that is secret)');
    });
  }

  it('lets the same middleware be in another order, and on class and method', () => {
    @Controller('/rooms')
    @UseMiddleware(SignedIn, Limited)
    class One {
      @Get()
      show() {}
    }
    @Controller('/rooms')
    @UseMiddleware(Limited)
    class Two {
      @UseMiddleware(SignedIn)
      @WebSocket()
      open() {}
    }
    expect(createApp({ controllers: [One, Two] }).explain()).to.contain('Limited > SignedIn');
  });

  it('leaves verbs of one path, other paths and other hosts to themselves', () => {
    @Controller('/rooms')
    class RoomController {
      @Get()
      list() {}
      @UseMiddleware(SignedIn)
      @Post()
      add() {}
      @UseMiddleware(SignedIn)
      @WebSocket('/all')
      open() {}
    }
    @Controller('/rooms', { host: 'admin.example' })
    @UseMiddleware(SignedIn)
    class Admin {
      @Sse()
      watch() {}
    }
    expect(
      createApp({ controllers: [RoomController, Admin] })
        .explain()
        .split('\n'),
    ).to.have.lengthOf(5);
  });
});

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
      'RoomController.open (WebSocket /rooms/:id) lacks SignedIn, which RoomController.show (GET /rooms/:room) on the same path has: ' +
        "add @UseMiddleware(SignedIn) to RoomController.open, or say why not with @Unguarded('…')",
    );
  });

  it('tells how a fallback for all paths need not be guarded', () => {
    @Controller()
    class Pages {
      @Get('/*')
      page() {}
    }
    @Controller('/rooms')
    @UseMiddleware(SignedIn)
    class Rooms {
      @WebSocket('/:room')
      open() {}
    }
    expect(refusal([Pages, Rooms])).to.equal(
      'Pages.page (GET /*) lacks SignedIn, which Rooms.open (WebSocket /rooms/:room) on an overlapping path has: ' +
        "add @UseMiddleware(SignedIn) to Pages.page, or add a method @Get('/rooms/:room') that has it, so that Pages.page " +
        "is not reached there, or say why not with @Unguarded('…')",
    );
    @Controller('/rooms')
    @UseMiddleware(SignedIn)
    class Answered {
      @Get('/:room')
      show() {}
      @WebSocket('/:room')
      open() {}
    }
    createApp({ controllers: [Pages, Answered], logger: false });
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
      'Requests.list (GET /rooms) lacks SignedIn, which Streams.watch (SSE /rooms) on the same path has';
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
    expect(refusal([RoomController])).to.contain('RoomController.watch (SSE /rooms) lacks SignedIn');
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

  for (const [what, request, socket] of [
    ['a literal under a parameter', '/lobby', '/:hall'],
    ['a parameter with an expression', '/:room(^[a-z]+$)', '/:room'],
    ['a parameter within a segment', '/:name.json', '/:name'],
    ['an optional parameter', '/:room?', ''],
    ['a wildcard', '/lobby/doors', '/*'],
    ['a wildcard within a segment', '/lobby/doors', '/lob*'],
    ['an expression with a slash in it', '/:room([^/]+)', '/:room'],
    ['an expression with an asterisk in it', '/lobby/:door(^[a-z]*$)', '/:room/:door'],
    ['two parameters in one segment', '/:from-:to', '/a-b'],
    ['parameters in different places', '/:room/doors', '/lobby/:what'],
  ] as const) {
    it(`compares templates by whether they overlap: ${what}`, () => {
      @Controller('/halls')
      class HallController {
        @UseMiddleware(SignedIn)
        @Get(request)
        page() {}
        @WebSocket(socket)
        talk() {}
      }
      expect(refusal([HallController])).to.match(
        /^HallController\.talk \(WebSocket .*\) lacks SignedIn, which HallController\.page \(GET .*\) on (?:the same|an overlapping) path has/,
      );
    });
  }

  it('finds a bare literal although the guarded template has a sibling of the same kind', () => {
    @Controller('/halls')
    class HallController {
      @UseMiddleware(SignedIn)
      @Get('/:hall')
      page() {}
      @UseMiddleware(SignedIn)
      @WebSocket('/:hall')
      talk() {}
      @WebSocket('/lobby')
      enter() {}
    }
    expect(refusal([HallController])).to.contain(
      'HallController.enter (WebSocket /halls/lobby) lacks SignedIn, which HallController.page (GET /halls/:hall) on an overlapping path has',
    );
  });

  for (const [what, guarded] of [
    ['an expression of its own', '/:hall(^(?:north)$)'],
    ['another literal', '/north'],
  ] as const) {
    it(`finds a bare template although ${what} of its kind is guarded`, () => {
      @Controller('/halls')
      class HallController {
        @UseMiddleware(SignedIn)
        @Get('/:hall(^(?:south)$)')
        page() {}
        @UseMiddleware(SignedIn)
        @WebSocket(guarded)
        talk() {}
        @WebSocket('/:hall')
        enter() {}
      }
      expect(refusal([HallController])).to.contain(
        'HallController.enter (WebSocket /halls/:hall) lacks SignedIn',
      );
    });
  }

  it('finds a bare template whose guarded sibling answers another host', () => {
    @Controller('/halls')
    class Halls {
      @UseMiddleware(SignedIn)
      @Get('/lobby')
      page() {}
      @WebSocket('/:hall')
      enter() {}
    }
    @Controller('/halls', { host: 'admin.example' })
    @UseMiddleware(SignedIn)
    class Admin {
      @WebSocket('/lobby')
      talk() {}
    }
    expect(refusal([Halls, Admin])).to.contain('Halls.enter (WebSocket /halls/:hall) lacks SignedIn');
  });

  it('leaves a template alone where a nearer route of its kind takes the path', () => {
    @Controller('/halls')
    class HallController {
      @UseMiddleware(SignedIn)
      @Get('/:hall')
      page() {}
      @UseMiddleware(SignedIn)
      @WebSocket('/:hall')
      talk() {}
      @Get('/lobby')
      lobby() {}
      @WebSocket('/lobby')
      enter() {}
    }
    expect(createApp({ controllers: [HallController] }).explain()).to.contain('HallController.enter');
  });

  it('refuses a call that a less guarded socket of its class answers, too', () => {
    @Controller('/desk')
    class DeskController {
      @WebSocket('/ticker')
      ticker() {}
      @WebSocket('/operator')
      @UseMiddleware(SignedIn)
      operator() {}
      @Rpc('shutdown')
      shutdown() {}
    }
    expect(refusal([DeskController])).to.equal(
      'DeskController.shutdown can be called on DeskController.ticker (WebSocket /desk/ticker), which lacks SignedIn: ' +
        'DeskController.operator (WebSocket /desk/operator) has it. Calls are answered on every socket of their class: ' +
        "add @UseMiddleware(SignedIn) to DeskController.shutdown, or say why not with @Unguarded('…')",
    );
  });

  it('takes a call that has the guard itself, or says why it has not', () => {
    @Controller('/desk')
    class DeskController {
      @WebSocket('/ticker')
      ticker() {}
      @WebSocket('/operator')
      @UseMiddleware(SignedIn)
      operator() {}
      @UseMiddleware(SignedIn)
      @Rpc('shutdown')
      shutdown() {}
      @Unguarded('tells the time to everyone')
      @Rpc('time')
      time() {}
    }
    expect(createApp({ controllers: [DeskController] }).explain()).to.contain('shutdown, time');
  });

  it('says of middleware that a factory makes anew to call the factory once', () => {
    const role = () =>
      function requireRole(_ctx: Context, next: Next) {
        return next();
      };
    @Controller('/cats')
    class CatController {
      @UseMiddleware(role())
      @Get()
      list() {}
      @UseMiddleware(role())
      @Sse()
      live() {}
    }
    expect(refusal([CatController])).to.equal(
      'CatController.live (SSE /cats) lacks requireRole, which CatController.list (GET /cats) on the same path has: ' +
        'another function of the same name (requireRole) is there, since a factory makes a new one with each call: ' +
        'call the factory once, keep the result in a constant, and use that constant in both places, or say ' +
        "why not with @Unguarded('…')",
    );
  });

  it('asks for a constant where the middleware has no name', () => {
    const role = () => (_ctx: Context, next: Next) => next();
    @Controller('/cats')
    class CatController {
      @UseMiddleware(role())
      @Get()
      list() {}
      @Sse()
      live() {}
    }
    expect(refusal([CatController])).to.contain(
      'lacks anonymous middleware, which CatController.list (GET /cats) on the same path has: add @UseMiddleware(…) to ' +
        'CatController.live with the same function: call the factory once, keep the result in a constant',
    );
  });

  it('asks for a constant where the sockets of a class are guarded by one factory', () => {
    const role = () =>
      function requireRole(_ctx: Context, next: Next) {
        return next();
      };
    @Controller('/desk')
    class DeskController {
      @UseMiddleware(role())
      @WebSocket('/one')
      one() {}
      @UseMiddleware(role())
      @WebSocket('/two')
      two() {}
      @Rpc('sell')
      sell() {}
    }
    expect(refusal([DeskController])).to.match(
      /requireRole.*another function of the same name.*in a constant/,
    );
  });

  it('compares the routes of one host with those of all hosts', () => {
    @Controller('/rooms')
    class Everywhere {
      @Get()
      list() {}
    }
    @Controller('/rooms', { host: 'admin.example' })
    @UseMiddleware(SignedIn)
    class Admin {
      @Sse()
      watch() {}
    }
    expect(refusal([Everywhere, Admin])).to.contain('Everywhere.list (GET /rooms) lacks SignedIn');
  });

  it('leaves verbs of one path, other paths and other hosts to themselves', () => {
    @Controller('/rooms', { host: 'www.example' })
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
    expect(createApp({ controllers: [RoomController, Admin] }).explain()).to.contain('Admin.watch');
  });
});

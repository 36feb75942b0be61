import { expect } from 'chai';
import {
  Body,
  Channel,
  Connection,
  Controller,
  createApp,
  defineChannel,
  Get,
  Param,
  Post,
  Query,
  Rpc,
  Signal,
  Socket,
  Sse,
  WebSocket,
} from 'coequal';
import { refusal } from '../support/refusal.js';

describe('an application refuses to start for parameters', () => {
  const meaningless: [string, MethodDecorator, ParameterDecorator, string][] = [
    [
      '@Socket() in @Get',
      Get(),
      Socket(),
      'is @Socket(), which has no meaning in an HTTP method: it works in a @WebSocket method',
    ],
    [
      '@Socket() in @Sse',
      Sse(),
      Socket(),
      'is @Socket(), which has no meaning in an @Sse method: it works in a @WebSocket method',
    ],
    [
      '@Body() in @Sse',
      Sse(),
      Body(),
      "is @Body(), which has no meaning in an @Sse method: it works in an HTTP method and a @WebSocket method, and with @Sse(path, { method: 'POST' })",
    ],
    [
      '@Connection() in @Post',
      Post(),
      Connection(),
      'is @Connection(), which has no meaning in an HTTP method: it works in an @Sse method and a @WebSocket method',
    ],
  ];
  for (const [name, route, parameter, told] of meaningless) {
    it(`without a meaning in the kind: ${name}`, () => {
      @Controller()
      class Lost {
        @route
        first(@Signal() _signal: AbortSignal, @parameter _x: object) {}
      }
      expect(refusal([Lost])).to.equal(`Lost.first, parameter 1, ${told}`);
    });
  }

  it('that have a meaning in one kind of their method and none in another', () => {
    @Controller()
    class Both {
      @WebSocket()
      @Get()
      one(@Socket() _socket: Socket) {}
    }
    expect(refusal([Both])).to.contain(
      'Both.one, parameter 0, is @Socket(), which has no meaning in an HTTP method',
    );
  });

  it('that take the socket in a call', () => {
    @Controller()
    class Calls {
      @WebSocket()
      open() {}
      @Rpc()
      say(@Socket() _socket: Socket) {}
    }
    expect(refusal([Calls])).to.equal(
      'Calls.say, parameter 0, is @Socket(), which has no meaning in a call: take @Connection() to send to its socket',
    );
  });

  it('without a decorator', () => {
    @Controller()
    class Bare {
      @Get('/:a')
      show(@Param('a') _a: string, _b: string) {}
    }
    expect(refusal([Bare])).to.equal(
      'Bare.show, parameter 1, has no decorator: add one that gives its value, such as @Ctx() or @Param(…)',
    );
  });

  it('before a decorated one', () => {
    @Controller()
    class Bare {
      @Get()
      show(_a = 'a', @Query('b') _b?: string) {}
    }
    expect(refusal([Bare])).to.contain('Bare.show, parameter 0, has no decorator');
  });

  it('that the path does not have', () => {
    @Controller('/rooms/:room')
    class Rooms {
      @Get('/seats/:seat')
      show(@Param('romo') _room: string) {}
      @Get('/plain')
      plain() {}
    }
    expect(refusal([Rooms])).to.equal(
      "Rooms.show, parameter 0, is @Param('romo'), but the path /rooms/:room/seats/:seat has no parameter :romo; it has :room, :seat",
    );
  });

  it('that a path without any cannot have', () => {
    @Controller()
    class Plain {
      @WebSocket('/plain')
      open(@Param('id') _id: string) {}
    }
    expect(refusal([Plain])).to.equal(
      "Plain.open, parameter 0, is @Param('id'), but the path /plain has no parameter :id",
    );
  });

  it('whose channel needs what the path lacks', () => {
    const Seat = defineChannel('rooms/:room/seats/:seat');
    @Controller('/rooms/:room')
    class Rooms {
      @Sse()
      watch(@Channel(Seat) _seat: Channel) {}
    }
    expect(refusal([Rooms])).to.equal(
      'Rooms.watch, parameter 0, is @Channel(rooms/:room/seats/:seat), but the channel rooms/:room/seats/:seat needs :seat, which the path /rooms/:room does not have',
    );
  });

  it('of a call that no path of its sockets has, and takes those that all have', () => {
    @Controller('/rooms')
    class Rooms {
      @WebSocket('/:room')
      open() {}
      @Rpc()
      say(@Param('room') _room: string) {}
    }
    @Controller('/halls')
    class Halls extends Rooms {
      @WebSocket('/all')
      every() {}
    }
    expect(createApp({ controllers: [Rooms] }).explain()).to.contain('say');
    expect(refusal([Halls])).to.contain("Halls.say, parameter 0, is @Param('room'), but the path /halls/all");
  });
});

import { expect } from 'chai';
import {
  Body,
  Controller,
  createApp,
  Get,
  HttpCode,
  Param,
  Post,
  Query,
  Rpc,
  Sse,
  UseMiddleware,
  WebSocket,
  type Context,
  type Next,
} from 'coequal';
import { serve } from 'coequal/testing';
import { singleton } from 'tsyringe';

/** Middleware that leaves its name in a header field, so that the order can be seen. */
function trace(name: string) {
  const middleware = (ctx: Context, next: Next): unknown => {
    ctx.appendHeader('x-trace', name);
    return next();
  };
  return Object.defineProperty(middleware, 'name', { value: name });
}

@singleton()
class Rooms {
  readonly hall = 'hall';
}

@UseMiddleware(trace('base'))
class Base {
  constructor(readonly rooms: Rooms) {}
  @UseMiddleware(trace('method'))
  @Get('/:id')
  show(@Param('id') id: number, @Query('q') q: string) {
    return { by: 'base', id, q, hall: this.rooms.hall };
  }
  @Get('/kept/:id')
  kept(@Param('id') id: number) {
    return { by: 'base', id };
  }
  @UseMiddleware(trace('guard'))
  @HttpCode(201)
  @Post('/made')
  made() {
    return 'base';
  }
  @WebSocket('/sockets/each')
  each(@Body() body: number) {
    return body + 1;
  }
  @Rpc()
  twice(@Body() body: { n: number }) {
    return body.n * 2;
  }
}

@Controller('/plain')
class Plain extends Base {}

@UseMiddleware(trace('derived'))
@Controller('/changed/:place')
class Changed extends Base {
  override show(id: number, q: string) {
    return { ...super.show(id, q), by: 'derived' };
  }
  @Get('/renamed/:id')
  override kept(@Param('id') id: number, @Param('place') place: string = '') {
    return { by: `derived in ${place}`, id };
  }
  @UseMiddleware(trace('own'))
  override made() {
    return 'derived';
  }
}

describe('a controller that extends another class', () => {
  const server = serve({ controllers: [Plain, Changed], logger: false });
  const answer = async (path: string, init?: RequestInit): Promise<[unknown, number, string | null]> => {
    const response = await server.fetch(path, init);
    return [JSON.parse(await response.text()), response.status, response.headers.get('x-trace')];
  };

  it('has the routes, parameters, middleware and services of its base', async () => {
    expect(await answer('/plain/7?q=a')).to.deep.equal([
      { by: 'base', id: 7, q: 'a', hall: 'hall' },
      200,
      'base, method',
    ]);
    expect((await server.fetch('/plain/seven')).status).to.equal(400);
    const socket = await server.socket('/plain/sockets/each');
    socket.send(1);
    expect(await socket.json()).to.equal(2);
    socket.send({ jsonrpc: '2.0', id: 1, method: 'twice', params: { n: 4 } });
    expect(await socket.json()).to.have.property('result', 8);
  });

  it('overrides a method without decorators, and keeps its route, parameters and middleware', async () => {
    expect(await answer('/changed/x/7?q=a')).to.deep.equal([
      { by: 'derived', id: 7, q: 'a', hall: 'hall' },
      200,
      'base, derived, method',
    ]);
  });

  it('overrides a route by decorators of its own, and the old one is gone', async () => {
    expect(await answer('/changed/x/renamed/7')).to.deep.equal([
      { by: 'derived in x', id: 7 },
      200,
      'base, derived',
    ]);
    expect((await server.fetch('/changed/x/kept/7')).status).to.equal(404);
    expect((await answer('/plain/kept/7'))[0]).to.deep.equal({ by: 'base', id: 7 });
  });

  it('adds middleware to a method, and keeps that of the base, its status and route', async () => {
    const response = await server.fetch('/changed/x/made', { method: 'POST' });
    expect([response.status, await response.text(), response.headers.get('x-trace')]).to.deep.equal([
      201,
      'derived',
      'base, derived, guard, own',
    ]);
    const base = await server.fetch('/plain/made', { method: 'POST' });
    expect([base.status, await base.text(), base.headers.get('x-trace')]).to.deep.equal([
      201,
      'base',
      'base, guard',
    ]);
  });

  it('leaves its base as it was', () => {
    @Controller('/again')
    class Again extends Base {}
    expect(createApp({ controllers: [Again] }).explain()).to.contain('/again/kept/:id');
  });
});

describe('one method', () => {
  @Controller('/of/:class')
  class Many {
    @WebSocket('/a/:method')
    @Sse('/a/:method')
    @Get('/a/:method')
    @Get('b/:method/')
    @Post('/c/:method')
    all(@Param('class') a: string, @Param('method') b: string) {
      return `${a} ${b}`;
    }
  }
  const server = serve({ controllers: [Many], logger: false });

  it('may answer several kinds, verbs and paths, with the parameters of the path of its class', async () => {
    for (const [path, method] of [
      ['/of/x/a/y', 'GET'],
      ['/of/x/b/y', 'GET'],
      ['/of/x/c/y', 'POST'],
    ] as const) {
      expect(await (await server.fetch(path, { method })).text()).to.equal('x y');
    }
    expect((await (await server.sse('/of/x/a/y')).next()).data).to.equal('x y');
    expect(await (await server.socket('/of/x/a/y')).next()).to.equal('x y');
    expect((await server.fetch('/of/x/b/y', { method: 'POST' })).status).to.equal(405);
  });
});

import { expect } from 'chai';
import {
  Body,
  Channel,
  Controller,
  createApp,
  defineChannel,
  Get,
  Post,
  Query,
  Rpc,
  sessions,
  Socket,
  WebSocket,
} from 'coequal';
import { serve } from 'coequal/testing';
import { z } from 'zod';
import { refusal } from '../support/refusal.js';

class Dto {
  age = 1;
}

describe('an input whose type says nothing', () => {
  it('is refused at start-up with a remedy', () => {
    const cases: [ParameterDecorator, unknown, RegExp][] = [
      [Query('n'), Object, /@Query\('n'\), but the compiler emits Object .*@Query\('n', Number\)/],
      [Query('n'), Array, /elements of an array: give @Query\('n', \[Number\]\)/],
      [Query('n'), BigInt, /bigint is not converted: give a schema/],
      [Query('n'), Set, /nothing validates or converts to Set/],
      [Query('n'), URL, /nothing validates or converts to URL/],
      [Query(), Dto, /nothing converts a whole record to Dto/],
      [Query(String), String, /nothing converts a whole record to String/],
      [Body(), Dto, /nothing validates or converts to Dto: give a schema/],
      [Body(), Array, /elements of an array: give @Body\(\[Number\]\)/],
      [Body(undefined), Object, /its argument is undefined, most often because of a circular import/],
      [Body({ type: 'object' } as never), Object, /neither a type nor a Standard Schema/],
      [Body(Dto as never), Dto, /nothing validates or converts to Dto/],
    ];
    for (const [parameter, type, told] of cases) {
      class Rest {
        show(value: unknown) {
          return value;
        }
      }
      parameter(Rest.prototype, 'show', 0);
      Reflect.defineMetadata('design:paramtypes', [type], Rest.prototype, 'show');
      Post()(Rest.prototype, 'show', {});
      Controller()(Rest);
      expect(refusal([Rest])).to.match(/^Rest\.show, parameter 0, is @/);
      expect(refusal([Rest])).to.match(told);
    }
  });

  it('is taken as it came where Object says so, without emitted metadata too', () => {
    class Rest {
      show(value: unknown) {
        return value;
      }
    }
    Body(Object)(Rest.prototype, 'show', 0);
    Post()(Rest.prototype, 'show', {});
    Controller()(Rest);
    expect(createApp({ controllers: [Rest] }).explain()).to.contain('Rest.show');
  });
});

describe('a list', () => {
  @Controller('/lists')
  class Lists {
    @Get('/typed')
    typed(@Query('ids', [Number]) ids: number[]) {
      return ids;
    }
    @Get('/schema')
    schema(@Query('ids', z.array(z.coerce.number())) ids: number[]) {
      return ids;
    }
    @Post()
    body(@Body([Number]) ids: number[]) {
      return ids;
    }
  }
  const server = serve({ controllers: [Lists], logger: false });

  for (const path of ['/lists/typed', '/lists/schema']) {
    it(`has its elements converted, and one value is a list of one: ${path}`, async () => {
      expect(await (await server.fetch(`${path}?ids=1&ids=2`)).json()).to.deep.equal([1, 2]);
      expect(await (await server.fetch(`${path}?ids=7`)).json()).to.deep.equal([7]);
      const refused = await server.fetch(`${path}?ids=1&ids=x`);
      expect(refused.status).to.equal(400);
      expect(((await refused.json()) as { errors: { path: string }[] }).errors[0]?.path).to.equal('ids.1');
    });
  }

  it('is a list in a body, too', async () => {
    expect(await (await server.fetch('/lists', { json: [1, 2] })).json()).to.deep.equal([1, 2]);
    for (const json of [7, ['x']]) expect((await server.fetch('/lists', { json })).status).to.equal(400);
  });
});

describe('a schema of a list, where no type is emitted', () => {
  class Bare {
    show(ids: unknown) {
      return ids;
    }
  }
  Query('ids', z.array(z.coerce.number()))(Bare.prototype, 'show', 0);
  Get('/bare')(Bare.prototype, 'show', {});
  Controller()(Bare);
  const server = serve({ controllers: [Bare], logger: false });

  it('takes one value as a list of one', async () => {
    expect(await (await server.fetch('/bare?ids=7')).json()).to.deep.equal([7]);
    expect(await (await server.fetch('/bare?ids=7&ids=8')).json()).to.deep.equal([7, 8]);
    for (const query of ['', '?ids=x']) expect((await server.fetch(`/bare${query}`)).status).to.equal(400);
  });
});

describe('a schema of a socket', () => {
  @Controller()
  class Loop {
    @WebSocket('/loop')
    async *run(@Socket(z.object({ n: z.number() })) socket: Socket<{ n: number }>) {
      for await (const { n } of socket) yield { twice: n * 2 };
    }
    @Rpc()
    sum(@Body(z.array(z.number())) numbers: number[]) {
      return numbers.length;
    }
  }
  const server = serve({ controllers: [Loop], logger: false });

  it('validates each message of the loop, which goes on after one that is refused', async () => {
    const socket = await server.socket('/loop');
    const next = async (): Promise<unknown> => JSON.parse(String(await socket.next()));
    socket.send({ n: 'x' });
    expect(await next()).to.nested.include({ 'error.status': 400, 'error.errors[0].path': 'n' });
    socket.send({ n: 2 });
    expect(await next()).to.deep.equal({ twice: 4 });
  });

  it('of a call has at most 50 of its errors listed, and their number', async () => {
    const socket = await server.socket('/loop');
    socket.send({ jsonrpc: '2.0', id: 1, method: 'sum', params: Array.from({ length: 80 }, () => 'x') });
    const { error } = JSON.parse(String(await socket.next())) as {
      error: { code: number; data: { errors: unknown[]; errorCount: number } };
    };
    expect([error.code, error.data.errors.length, error.data.errorCount]).to.deep.equal([-32602, 50, 80]);
  });
});

describe('an option that does not exist', () => {
  it('is refused where it is given, with those that exist', () => {
    const unknown = { orgins: [] } as object;
    class Rest {
      show() {}
    }
    expect(() => WebSocket('/x', unknown)(Rest.prototype, 'show', {})).to.throw(
      /^Rest\.show: @WebSocket\('\/x'\): there is no option `orgins`; .*origins/,
    );
    expect(() => Controller('/x', unknown)(Rest)).to.throw(
      /^Rest: @Controller\('\/x'\): .*`orgins`; there are host/,
    );
    expect(() => Rpc('x', unknown)(Rest.prototype, 'show', {})).to.throw(
      /^Rest\.show: @Rpc\('x'\): .*`orgins`; there are concurrent/,
    );
    expect(() => defineChannel('x', unknown)).to.throw(
      /^defineChannel\('x'\): .*`orgins`; there are history/,
    );
    expect(() => sessions(unknown)).to.throw(/^sessions: .*`orgins`; there are store/);
  });

  it('is as wrong as a channel that is undefined', () => {
    @Controller()
    class Rest {
      @Get('/x')
      show(@Channel(undefined as never) _channel: Channel) {}
    }
    expect(refusal([Rest])).to.match(
      /^Rest\.show, parameter 0, is @Channel\(undefined\), but .* circular import/,
    );
  });
});

import { expect } from 'chai';
import { Body, Controller, createApp, Get, Param, Post, Query, Rpc, Sse, UseMiddleware } from 'coequal';
import { serve } from 'coequal/testing';
import { z } from 'zod';
import { refusal } from '../support/refusal.js';

const pass = (_ctx: unknown, next: () => unknown): unknown => next();

describe('a start-up error', () => {
  it('names experimentalDecorators where a decorator runs as a standard one', () => {
    const method = { kind: 'method', name: 'show' };
    for (const [name, decorator] of Object.entries({
      Get: Get(),
      Sse: Sse(),
      Rpc: Rpc(),
      UseMiddleware: UseMiddleware(pass as never),
    })) {
      const decorate = decorator as unknown as (value: unknown, context: object) => void;
      expect(() => decorate(() => undefined, method)).to.throw(
        `@${name} on the method show runs as a standard decorator, which cannot work: set "experimentalDecorators": true`,
      );
    }
    const decorate = Controller() as unknown as (value: unknown, context: object) => void;
    expect(() => decorate(class {}, { kind: 'class', name: 'Cats' })).to.throw(
      '@Controller on the class Cats',
    );
  });

  it('names parameters of a method without a verb', () => {
    @Controller()
    class Cats {
      show(@Param('id') _id: string) {}
    }
    expect(refusal([Cats])).to.equal(
      'Cats.show has decorated parameters but no route: add @Get(), @Sse(), @WebSocket() or @Rpc()',
    );
  });

  it('names a parameter of a constructor', () => {
    expect(() => Query('q')(class Cats {}, undefined, 0)).to.throw(
      'Cats: @Query is on a parameter of the constructor',
    );
  });

  it('names the positions of two bodies', () => {
    @Controller()
    class Cats {
      @Post('/:id')
      add(@Body(String) _a: string, @Param('id') _id: string, @Body() _b: object) {}
    }
    expect(refusal([Cats])).to.match(/^Cats\.add, parameters 0 and 2, are all @Body\(\)/);
  });

  for (const [path, written] of [
    ['/{id}', '/:id'],
    ['/{id:[0-9]+}', '/:id'],
    ['/<id>', '/:id'],
    ['/<int:id>', '/:id'],
    ['/[id]', '/:id'],
    ['/[...rest]', '/*'],
    ['/*rest', '/*'],
    ['/**', '/*'],
    ['/:rest*', '/*'],
  ] as const) {
    it(`shows how ${path} is written here`, () => {
      @Controller('/cats')
      class Cats {
        @Get(path)
        show() {}
      }
      expect(refusal([Cats])).to.match(/^Cats\.show: the path \/cats/);
      expect(refusal([Cats])).to.contain(`so write /cats${written}`);
    });
  }

  it('leaves expressions and optional parameters alone', () => {
    @Controller('/cats')
    class Cats {
      @Get('/:id(^[0-9]{2}$)')
      show() {}
      @Get('/all/*')
      rest() {}
    }
    expect(createApp({ controllers: [Cats] }).explain()).to.contain('Cats.show');
  });

  it('names the place of a controller that is undefined, or in the list twice', () => {
    @Controller()
    class Cats {}
    expect(refusal([Cats, undefined as never])).to.match(
      /^createApp: controllers\[1\] is undefined, .*circular/,
    );
    expect(refusal([Cats, Cats])).to.equal(
      'createApp: controllers[1] is Cats, which is controllers[0] already: remove one of them',
    );
  });

  for (const [options, told] of [
    [{ trustProxy: true }, /trustProxy takes .*'loopback'.*, not true/],
    [{ trustProxy: 1 }, /trustProxy takes .*, not 1/],
    [{ middleware: pass }, /middleware takes a list of middleware, not the function pass/],
    [{ onError: {} }, /onError takes a function/],
    [{ health: '/livez' }, /health takes true or false, not '\/livez'/],
    [{ logger: true }, /logger has no method info/],
    [{ logger: { log() {}, info() {}, warn() {}, error() {}, transports: [] } }, /logger looks like winston/],
  ] as const) {
    it(`names an option of another type: ${JSON.stringify(options)}`, () => {
      expect(refusal({ controllers: [], ...options } as never)).to.match(told);
    });
  }

  it('names unknown and mistaken options of listen()', async () => {
    for (const [options, told] of [
      [{ prot: 1 }, 'listen: there is no option `prot`'],
      [{ port: '3000' }, 'listen: port takes a whole number from 0 to 65535'],
      [3000, 'listen takes its options: listen({ port: 3000 }), not 3000'],
    ] as const) {
      const error = await createApp({ controllers: [] })
        .listen(options as never)
        .catch((failed: unknown) => failed as Error);
      expect((error as Error).message).to.contain(told);
    }
  });
});

describe('middleware that neither calls next() nor answers', () => {
  it('is a 500, and the log names it', async () => {
    const errors: string[] = [];
    const error = ({ err }: { err?: Error }): void => void errors.push(err?.message ?? '');
    const logger = { info() {}, warn() {}, error };
    function forgetful(): void {}
    @Controller('/cats')
    @UseMiddleware(pass as never)
    class Cats {
      @Get()
      @UseMiddleware(forgetful)
      list() {}
    }
    const server = serve({ controllers: [Cats], logger: logger as never });
    expect((await server.fetch('/cats')).status).to.equal(500);
    expect(errors.join()).to.match(/^forgetful neither called next\(\) nor answered GET \/cats/);
  });
});

describe('a validation error', () => {
  @Controller('/ids')
  class Ids {
    @Post()
    put(@Body(z.object({ ids: z.array(z.number()) }).strict()) { ids }: { ids: number[] }) {
      return ids.length;
    }
    @Get()
    read(@Query('id') id: number) {
      return id;
    }
  }
  const server = serve({ controllers: [Ids], logger: false });

  it('lists the first 50 violations, and says how many there are', async () => {
    const answer = await server.fetch('/ids', { json: { ids: Array.from({ length: 321 }, () => '') } });
    const { errors, errorCount } = (await answer.json()) as { errors: unknown[]; errorCount: number };
    expect([answer.status, errors.length, errorCount]).to.deep.equal([400, 50, 321]);
  });

  it('is small whatever the input repeats in it', async () => {
    const wrong = Object.fromEntries(Array.from({ length: 40_000 }, (_, index) => [`\u0001key${index}`, 1]));
    const answer = await server.fetch('/ids', { json: { ids: [], ...wrong } });
    expect(answer.status).to.equal(400);
    expect((await answer.text()).length).to.be.lessThan(65_536);
  });

  it('meets whole numbers that would be rounded', async () => {
    const read = async (id: string): Promise<number> => (await server.fetch(`/ids?id=${id}`)).status;
    expect(await read('9007199254740991')).to.equal(200);
    for (const id of ['9007199254740993', '-9007199254740993', '1e300']) expect(await read(id)).to.equal(400);
  });
});

import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { Controller, createApp, Ctx, Get, Param, UseMiddleware, type Context, type Next } from 'coequal';
import { serve } from 'coequal/testing';
import { container as globalContainer, injectable, Lifecycle, scoped } from 'tsyringe';

describe('a scope', () => {
  it('is not made where nothing needs one', async () => {
    let made = 0;
    @injectable()
    class Plain {
      constructor() {
        made++;
      }
      use(_ctx: Context, next: Next) {
        return next();
      }
    }
    @Controller()
    @UseMiddleware(Plain)
    class Rest {
      constructor(readonly plain: Plain) {
        made++;
      }
      @Get('/plain')
      show(@Ctx() ctx: Context) {
        return { scope: ctx.scope === undefined };
      }
    }
    const server = serve({ controllers: [Rest], logger: false });
    for (let i = 0; i < 3; i++) {
      expect(await (await server.fetch('/plain')).json()).to.deep.equal({ scope: true });
    }
    // One for the middleware, one for the controller, and the controller itself.
    expect(made).to.equal(3);
    expect(server.app.explain().split('\n')[1]).to.match(/Rest\.show +\S+ > Plain +- +-$/);
  });

  it('keeps apart a class that was decorated after the container had been made', async () => {
    const container = globalContainer.createChildContainer();
    @scoped(Lifecycle.ContainerScoped)
    class Late {
      readonly id = randomUUID();
    }
    @Controller('/:n')
    class Rest {
      constructor(readonly late: Late) {}
      @Get('/late')
      show(@Param('n') _n: number) {
        return this.late.id;
      }
    }
    createApp({ controllers: [Rest], container, logger: false });
    const server = serve({ controllers: [Rest], container, logger: false });
    const ids = await Promise.all([1, 2, 3].map(async (n) => (await server.fetch(`/${n}/late`)).text()));
    expect(new Set(ids).size).to.equal(3);
  });
});

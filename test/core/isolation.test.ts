import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import {
  Body,
  Context,
  Controller,
  createApp,
  Ctx,
  Get,
  Param,
  Post,
  Rpc,
  UseMiddleware,
  WebSocket,
  type Next,
} from 'coequal';
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

describe('10,000 mixed requests and messages', () => {
  it('see no instance of one another, and leave none alive', async function () {
    this.timeout(20_000);
    let alive = 0;
    const seen = new Map<string, number>();
    @scoped(Lifecycle.ContainerScoped)
    class Own {
      readonly users = new Set<string>();
      constructor() {
        alive++;
      }
      use(name: string) {
        this.users.add(name);
        if (this.users.size > 1) throw new TypeError(`shared by ${[...this.users].join(' and ')}`);
        seen.set(name, (seen.get(name) ?? 0) + 1);
        return name;
      }
      dispose() {
        alive--;
      }
    }
    @Controller('/own')
    class Rest {
      constructor(private readonly own: Own) {}
      @Post('/:n')
      async request(@Param('n') n: string) {
        this.own.use(n);
        await new Promise(setImmediate);
        return this.own.use(n);
      }
      @WebSocket()
      async message(@Body() n: string) {
        this.own.use(n);
        await new Promise(setImmediate);
        return this.own.use(n);
      }
      @Rpc('call', { concurrent: true })
      async call(@Body() { n }: { n: string }) {
        this.own.use(n);
        await new Promise(setImmediate);
        return this.own.use(n);
      }
    }
    const server = serve({ controllers: [Rest], logger: false });
    const each = Array.from({ length: 50 });
    await Promise.all(
      each.map(async (_, one) => {
        const socket = await server.socket('/own');
        for (let i = 0; i < 80; i++) {
          socket.send(`m${one}-${i}`);
          socket.send({ jsonrpc: '2.0', id: i, method: 'call', params: { n: `c${one}-${i}` } });
        }
        for (let i = 0; i < 160; i++) expect(await socket.next()).not.to.contain('error');
        const closed = socket.closed();
        socket.close();
        await closed;
      }),
    );
    await Promise.all(
      each.map(async (_, one) => {
        for (let i = 0; i < 40; i++) {
          const response = await server.fetch(`/own/r${one}-${i}`, { method: 'POST' });
          expect(await response.text()).to.equal(`r${one}-${i}`);
        }
      }),
    );
    await server.close();
    expect(seen.size).to.equal(10_000);
    expect([...new Set(seen.values())]).to.deep.equal([2]);
    expect(alive).to.equal(0);
  });
});

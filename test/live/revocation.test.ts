import { expect } from 'chai';
import {
  Connection,
  Connections,
  connect,
  Controller,
  Get,
  HttpError,
  Sse,
  UseMiddleware,
  WebSocket,
  type Context,
  type Next,
} from 'coequal';
import { Refused, type TestServer } from 'coequal/testing';
import { Readable } from 'node:stream';
import { deferred, until } from '../support/deferred.js';
import { servers } from '../support/doors.js';

const connectionsOf = (server: TestServer): Connections => server.app.container.resolve(Connections);

const refusal = async (opening: Promise<unknown>): Promise<unknown> => {
  const error: unknown = await opening.catch((thrown: unknown) => thrown);
  return error instanceof Refused ? error.status : error;
};

const identify = (ctx: Context, next: Next) => {
  ctx.user = { id: ctx.headers['x-user'] } as never;
  return next();
};

const as = (user: string) => ({ headers: { 'x-user': user } });

describe('a revocation', () => {
  const serve = servers();

  describe('while the guard runs', () => {
    it('refuses what is about to open, and nothing that begins afterwards', async () => {
      let gate = deferred();
      let waiting = 0;
      const guard = async (ctx: Context, next: Next) => {
        waiting++;
        await gate.promise;
        return identify(ctx, next);
      };
      @Controller()
      class Secrets {
        @Sse('/secret') @WebSocket('/secret') @UseMiddleware(guard) secret() {
          return 'for ada alone';
        }
        @Get('/lines') @UseMiddleware(guard) async *lines() {
          yield await Promise.resolve('for ada alone');
        }
      }
      const server = serve({ controllers: [Secrets] });
      await server.url();
      const [socket, other] = [server.socket('/secret', as('ada')), server.socket('/secret', as('bob'))];
      const [stream, lines] = [server.sse('/secret', as('ada')), server.fetch('/lines', as('ada'))];
      await until(() => waiting === 4);
      await connectionsOf(server).revoke({ user: 'ada' }, 'locked');
      gate.resolve();
      expect(await refusal(socket)).to.equal(401);
      expect(await refusal(stream)).to.equal(401);
      expect((await lines).status).to.equal(401);
      expect(await (await other).next(), 'that of somebody else opens').to.equal('for ada alone');
      expect(connectionsOf(server).of('ada')).to.deep.equal([]);

      gate = deferred();
      gate.resolve();
      expect(await (await server.socket('/secret', as('ada'))).next()).to.equal('for ada alone');
    });
  });

  describe('of a streamed response', () => {
    const gate = deferred();
    const left: string[] = [];
    async function* endless(name: string): AsyncGenerator<string> {
      try {
        yield 'first';
        await gate.promise;
        yield 'last';
      } finally {
        left.push(name);
      }
    }
    @Controller()
    @UseMiddleware(identify)
    class Values {
      @Get('/iterable') iterable() {
        return endless('iterable');
      }
      @Get('/readable') readable() {
        return Readable.from(endless('readable'));
      }
      @Get('/response') response() {
        return new Response(Readable.toWeb(Readable.from(endless('response'))) as never);
      }
      @Get('/soon') soon(): AsyncGenerator<string> {
        return endless('soon');
      }
    }

    for (const path of ['/iterable', '/readable', '/response']) {
      it(`cuts ${path}, and leaves that of somebody else`, async () => {
        const server = serve({ controllers: [Values], limits: { connectionsPerUser: 1 } });
        const [ada, bob] = await Promise.all([server.fetch(path, as('ada')), server.fetch(path, as('bob'))]);
        const connections = connectionsOf(server);
        expect(connections.count).to.equal(2);
        expect(connections.of('ada').map(({ kind }) => kind)).to.deep.equal(['http']);
        expect((await server.fetch(path, as('ada'))).status, 'limits count it').to.equal(429);
        await connections.revoke({ user: 'ada' }, 'locked');
        const cut: unknown = await ada.text().catch((error: unknown) => error);
        expect(cut).to.be.an('error');
        expect(connections.of('ada')).to.deep.equal([]);
        expect(connections.of('bob')).to.have.length(1);
        await bob.body?.cancel();
        await until(() => connections.count === 0);
      });
    }

    it('ends at the deadline of ctx.expires(), before and after the head', async () => {
      @Controller()
      class Expiring {
        @Get('/before')
        @UseMiddleware((ctx: Context, next: Next) => {
          ctx.expires(new Date(Date.now() + 20));
          return next();
        })
        before() {
          return endless('before');
        }
      }
      const server = serve({ controllers: [Expiring] });
      const answer = await server.fetch('/before');
      expect(await answer.text().catch((error: unknown) => error)).to.be.an('error');
      expect(connectionsOf(server).count).to.equal(0);
    });
  });

  describe('while credentials are renewed', () => {
    it('refuses them, and nothing stays open', async () => {
      const gate = deferred();
      let runs = 0;
      const guard = async (ctx: Context, next: Next) => {
        ctx.user = { id: 'ada' } as never;
        if (++runs > 1) await gate.promise;
        await next();
      };
      const opened = deferred<Connection>();
      @Controller()
      class Feed {
        @WebSocket('/feed') @UseMiddleware(guard) feed(@Connection() connection: Connection) {
          opened.resolve(connection);
        }
      }
      const server = serve({ controllers: [Feed] });
      const socket = await server.socket('/feed');
      const renewing = (await opened.promise).renew({}).catch((error: unknown) => error);
      await until(() => runs === 2);
      await connectionsOf(server).revoke({ user: 'ada' }, 'locked');
      gate.resolve();
      expect(await renewing)
        .to.be.instanceOf(HttpError)
        .with.property('status', 401);
      expect(await socket.closed()).to.deep.equal({ code: 3000, reason: 'locked' });
      await until(() => connectionsOf(server).count === 0);
    });
  });
});

describe('renew()', () => {
  const serve = servers();

  it('decides by the new credentials alone, whatever Express middleware found before', async () => {
    const authenticate = connect((request: any, _response: unknown, next: () => void) => {
      if (request.headers.authorization === 'good') request.user = { id: 'ada' };
      next();
    });
    const signedIn = (ctx: Context, next: Next) => {
      if (ctx.user === undefined) throw new HttpError(401);
      return next();
    };
    const opened: Connection[] = [];
    @Controller()
    class Feed {
      @Sse('/feed')
      @WebSocket('/feed')
      @UseMiddleware(authenticate, signedIn)
      feed(@Connection() connection: Connection) {
        opened.push(connection);
      }
    }
    const server = serve({ controllers: [Feed] });
    const good = { headers: { authorization: 'good' } };
    const [stream, socket] = [await server.sse('/feed', good), await server.socket('/feed', good)];
    await until(() => opened.length === 2);
    for (const connection of opened) {
      await connection.renew({ authorization: 'good' });
      const refused: unknown = await connection
        .renew({ authorization: 'bad' })
        .catch((error: unknown) => error);
      expect(refused).to.be.instanceOf(HttpError).with.property('status', 401);
    }
    expect(await stream.next()).to.include({ event: 'end' });
    expect(await socket.closed()).to.include({ code: 3000 });
  });
});

describe('a deadline that is not a date', () => {
  const serve = servers();

  it('is a TypeError, and nothing opens', async () => {
    const wrong = [new Date(Number.NaN), undefined, Date.now(), '2100-01-01'];
    const told: unknown[] = [];
    @Controller()
    class Feed {
      @Sse('/feed/:which')
      @WebSocket('/feed/:which')
      @UseMiddleware((ctx: Context, next: Next) => {
        ctx.expires(wrong[Number(ctx.params['which'])] as Date);
        return next();
      })
      feed() {}
      @WebSocket('/open') open(@Connection() connection: Connection) {
        for (const date of wrong) {
          try {
            connection.expires(date as Date);
          } catch (error) {
            told.push((error as Error).name);
          }
        }
        return told.join();
      }
    }
    const server = serve({ controllers: [Feed] });
    for (let which = 0; which < wrong.length; which++) {
      expect(await refusal(server.sse(`/feed/${which}`))).to.equal(500);
      expect(await refusal(server.socket(`/feed/${which}`))).to.equal(500);
    }
    expect(await (await server.socket('/open')).next()).to.equal('TypeError,TypeError,TypeError,TypeError');
  });
});

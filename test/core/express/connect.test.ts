import { createRequire } from 'node:module';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { expect } from 'chai';
import {
  connect,
  Controller,
  Ctx,
  Get,
  HttpError,
  Post,
  Rpc,
  UseMiddleware,
  WebSocket,
  type Context,
  type Middleware,
} from 'coequal';
import type { Refused, ServeOptions } from 'coequal/testing';
import cors from 'cors';
import type * as Express from 'express';
import { rateLimit } from 'express-rate-limit';
import session from 'express-session';
import helmet from 'helmet';
import passport from 'passport';
import { Strategy } from 'passport-local';
import { deferred, turns, until } from '../../support/deferred.js';
import { doors, Everywhere, knock, servers, type Door, type Visit } from '../../support/doors.js';
import { Recorder } from '../../support/journal.js';

/** What express-session keeps of a visitor. */
const heldOf = (ctx: Context): { name?: string; visits?: number } => ctx.session as object;

/** The cookie that an answer has set, as a client gives it back. */
function cookieOf({ headers }: { headers: Headers }): string {
  const [cookie] = headers.getSetCookie();
  return cookie?.split(';')[0] ?? expect.fail('the answer sets no cookie');
}

for (const door of doors) {
  describe(`Express middleware: ${door.kind}`, () => {
    const serve = servers();
    const sessions = (): Middleware =>
      connect(
        session({
          secret: 'a secret',
          resave: false,
          saveUninitialized: false,
          store: new session.MemoryStore(),
        }),
      );

    @Controller()
    class Account {
      @Post('/sign-in')
      signIn(@Ctx() ctx: Context) {
        heldOf(ctx).name = 'ada';
        return { signedIn: true };
      }

      @Get('/visits')
      visits(@Ctx() ctx: Context) {
        return { visits: heldOf(ctx).visits ?? 0 };
      }

      @Everywhere('/name')
      name(@Ctx() ctx: Context) {
        return { name: heldOf(ctx).name ?? null };
      }

      @Everywhere('/count')
      @UseMiddleware((ctx, next) => {
        const held = heldOf(ctx);
        held.visits = (held.visits ?? 0) + 1;
        return next();
      })
      async *count() {
        yield {};
      }
    }

    describe('express-session', () => {
      it('knows whom a request has signed in', async () => {
        const server = serve({ controllers: [Account], middleware: [sessions()] });
        const stranger = await door.open(server, '/name');
        expect(await stranger.value()).to.deep.equal({ name: null });
        expect(stranger.headers.getSetCookie()).to.deep.equal([]);
        const cookie = cookieOf(await server.fetch('/sign-in', { method: 'POST' }));
        expect(await (await door.open(server, '/name', { cookie })).value()).to.deep.equal({ name: 'ada' });
      });

      it('saves what middleware writes, and its cookie goes out with the head', async () => {
        const server = serve({ controllers: [Account], middleware: [sessions()] });
        const visit = await door.open(server, '/count');
        expect(visit.status).to.equal(door.opened);
        expect(visit.headers.getSetCookie()).to.have.length(1);
        const cookie = cookieOf(visit);
        await visit.ended();
        const visits = async (): Promise<unknown> =>
          (await server.fetch('/visits', { headers: { cookie } })).json();
        expect(await visits()).to.deep.equal({ visits: 1 });
        await (await door.open(server, '/count', { cookie })).ended();
        expect(await visits()).to.deep.equal({ visits: 2 });
      });
    });

    describe('a guard by the path of Express', () => {
      const paths: [name: string, read: (req: Express.Request) => string][] = [
        ['req.url', (req) => req.url],
        ['req.originalUrl', (req) => req.originalUrl],
        ['req.path', (req) => req.path],
      ];
      for (const [name, read] of paths) {
        it(`cannot be passed by another spelling where it reads ${name}`, async () => {
          const guard = connect((req: Express.Request, res: ServerResponse, next: () => void) => {
            if (/^\/(?:admin|caf%C3%A9)(?:$|\?)/.test(read(req))) res.writeHead(401).end();
            else next();
          });
          let opened = 0;
          @Controller()
          class Admin {
            @Everywhere('/admin')
            @Everywhere('/café')
            show() {
              opened++;
            }
          }
          const server = serve({ controllers: [Admin], middleware: [guard] });
          const { host } = new URL(await server.url());
          const spellings = [
            '/admin',
            '/admin/',
            '//admin',
            '/./admin',
            '/x/../admin',
            '/%61dmin',
            '/x/%2e%2e/admin?x=1',
            `http://${host}/admin`,
            '/caf%c3%a9',
            '/caf\u00c3\u00a9',
            '/caf\u00e9',
          ];
          for (const target of spellings) {
            const client = await knock(server, door, target);
            const [head] = (await once(client, 'data')) as [Buffer];
            expect(head.toString('latin1').slice(9, 12), target).to.match(/^40[014]$/);
            client.destroy();
          }
          expect(opened).to.equal(0);
        });
      }

      it('sees the canonical path and the query as it came', async () => {
        const seen: unknown[] = [];
        const middleware = [
          connect((req: Express.Request, _: unknown, next: () => void) => {
            seen.push(req.url, req.originalUrl, req.path, req.baseUrl);
            next();
          }),
        ];
        const server = serve({ controllers: [Account], middleware: [...middleware, sessions()] });
        (await door.open(server, '//x/..//%6eame/?a=%61/../b')).leave();
        expect(seen).to.deep.equal(['/name?a=%61/../b', '/name?a=%61/../b', '/name', '']);
      });
    });

    describe('next', () => {
      for (const word of ['route', 'router']) {
        it(`is answered with 404 where it is given '${word}'`, async () => {
          let reached = false;
          @Controller()
          class Secret {
            @Everywhere('/secret')
            @UseMiddleware(connect((_: unknown, __: unknown, next: (word: string) => void) => next(word)))
            show() {
              reached = true;
            }
          }
          const visit = await door.open(serve({ controllers: [Secret] }), '/secret');
          expect([visit.status, reached]).to.deep.equal([404, false]);
        });
      }
    });

    describe('the user', () => {
      const passes = connect((_: unknown, __: unknown, next: () => void) => next());

      function whoAmI(...middleware: Middleware[]) {
        @Controller()
        class Me {
          @Everywhere('/me')
          me(@Ctx() ctx: Context) {
            return { user: ctx.user ?? null };
          }
        }
        return door.open(serve({ controllers: [Me], middleware }), '/me');
      }
      const signs = connect((req: { user?: unknown }, _: unknown, next: () => void) => {
        req.user = { id: 'mallory' };
        next();
      });

      it('stays cleared, by whom it was cleared', async () => {
        const clears: Middleware = (ctx, next) => {
          ctx.user = undefined;
          return next();
        };
        const logsOut = connect((req: { user?: unknown }, _: unknown, next: () => void) => {
          req.user = null;
          next();
        });
        expect(await (await whoAmI(signs, clears, passes)).value()).to.deep.equal({ user: null });
        expect(await (await whoAmI(signs, logsOut, passes)).value()).to.deep.equal({ user: null });
      });

      it('that other middleware has set is visible to Express', async () => {
        const sets: Middleware = (ctx, next) => {
          ctx.user = { id: 'ada' };
          return next();
        };
        const renames = connect((req: { user?: { id: string } }, _: unknown, next: () => void) => {
          req.user = { id: `${req.user?.id} of Express` };
          next();
        });
        const visit = await whoAmI(sets, renames);
        expect(await visit.value()).to.deep.equal({ user: { id: 'ada of Express' } });
      });
    });

    describe('what middleware puts on req and res.locals', () => {
      it('is there in the method', async () => {
        const middleware = connect((req: Express.Request, res: Express.Response, next: () => void) => {
          Object.assign(req, { auth: { sub: 'ada' } });
          Object.defineProperty(req, 'query', { value: { limit: 10 } });
          res.locals.plan = 'paid';
          next();
        });
        @Controller()
        class Me {
          @Everywhere('/me')
          me(@Ctx() ctx: Context) {
            const { auth, query } = ctx.request as unknown as Record<string, unknown>;
            return { auth, query, plan: (ctx.response as Express.Response).locals.plan as unknown };
          }
        }
        const visit = await door.open(serve({ controllers: [Me], middleware: [middleware] }), '/me');
        expect(await visit.value()).to.deep.equal({
          auth: { sub: 'ada' },
          query: { limit: 10 },
          plan: 'paid',
        });
      });
    });

    describe('a session that is destroyed', () => {
      it('is gone, and sets no cookie', async () => {
        const destroy = connect(
          (req: Express.Request, _res: Express.Response, next: (error?: unknown) => void) =>
            req.session.destroy(next),
        );
        @Controller()
        class Me {
          @Everywhere('/me')
          me(@Ctx() ctx: Context) {
            return { sessions: [ctx.session ?? null, (ctx.request as Express.Request).session ?? null] };
          }
        }
        const server = serve({ controllers: [Me], middleware: [sessions(), destroy] });
        const visit = await door.open(server, '/me');
        expect(await visit.value()).to.deep.equal({ sessions: [null, null] });
        expect(visit.headers.getSetCookie()).to.deep.equal([]);
      });

      it('is followed by another one that middleware makes', async () => {
        const regenerate = connect(
          (req: Express.Request, _res: Express.Response, next: (error?: unknown) => void) =>
            req.session.regenerate((error: unknown) => {
              Object.assign(req.session, { name: 'ada' });
              next(error);
            }),
        );
        @Controller()
        class Me {
          @Everywhere('/me')
          me(@Ctx() ctx: Context) {
            return { name: heldOf(ctx).name };
          }
        }
        const server = serve({ controllers: [Me], middleware: [sessions(), regenerate] });
        const visit = await door.open(server, '/me');
        expect(await visit.value()).to.deep.equal({ name: 'ada' });
        expect(cookieOf(visit)).to.match(/^connect\.sid=/);
      });
    });

    describe('an error without a status', () => {
      it('has the one that the response was given', async () => {
        const fails = connect(
          (_req: Express.Request, res: Express.Response, next: (error: Error) => void) => {
            res.status(404);
            next(new Error('kept back'));
          },
        );
        @Controller()
        class Me {
          @Everywhere('/me')
          me() {}
        }
        const visit = await door.open(serve({ controllers: [Me], middleware: [fails] }), '/me');
        expect(visit.status).to.equal(404);
      });
    });

    describe('an error after next()', () => {
      it('is logged', async () => {
        const logger = new Recorder();
        const late = connect(async (_req: unknown, _res: unknown, next: () => void) => {
          next();
          await turns(1);
          throw new Error('too late');
        });
        @Controller()
        class Me {
          @Everywhere('/me')
          me() {
            return 'me';
          }
        }
        const visit = await door.open(serve({ controllers: [Me], middleware: [late], logger }), '/me');
        expect(visit.status).to.be.oneOf([200, 101]);
        await until(() => logger.at('error').length > 0);
        expect(logger.at('error').map(({ fields }) => String(fields.err))).to.deep.equal(['Error: too late']);
      });
    });

    describe('what proxies say', () => {
      it('is nothing where it is empty', async () => {
        let host: string | undefined;
        const reads = connect((req: Express.Request, _res: unknown, next: () => void) => {
          host = req.hostname;
          next();
        });
        @Controller()
        class Me {
          @Everywhere('/me')
          me() {
            return 'me';
          }
        }
        const server = serve({ controllers: [Me], middleware: [reads], trustProxy: 'loopback' });
        await door.open(server, '/me', { 'x-forwarded-host': '' });
        expect(host).to.match(/^(?:localhost|127\.0\.0\.1)$/);
      });
    });

    describe('passport', () => {
      /** An application that signs in by name and password, and keeps who it is in the session. */
      function club() {
        const authenticator = new passport.Passport();
        authenticator.use(
          new Strategy((name, password, done) => done(null, password === 'secret' ? { name } : false)),
        );
        authenticator.serializeUser((user, done) => done(null, (user as { name: string }).name));
        authenticator.deserializeUser((name, done) => done(null, { name: `${String(name)} of the session` }));

        @Controller()
        class Club {
          @Post('/login')
          @UseMiddleware(connect(authenticator.authenticate('local')))
          login(@Ctx() ctx: Context) {
            return ctx.user;
          }

          @Everywhere('/members')
          @UseMiddleware((ctx, next) => {
            if (ctx.user === undefined) throw new HttpError(401, 'Members only');
            return next();
          })
          members(@Ctx() ctx: Context) {
            return ctx.user;
          }

          @Everywhere('/once')
          @UseMiddleware(connect(authenticator.authenticate('local', { session: false })))
          once(@Ctx() ctx: Context) {
            return ctx.user;
          }
        }
        const middleware = [
          sessions(),
          connect(authenticator.initialize()),
          connect(authenticator.session()),
        ];
        return serve({ controllers: [Club], middleware });
      }

      it('tells who has signed in', async () => {
        const server = club();
        const login = await server.fetch('/login?username=ada&password=secret', { method: 'POST' });
        expect(await login.json()).to.deep.equal({ name: 'ada' });
        const visit = await door.open(server, '/members', { cookie: cookieOf(login) });
        expect(await visit.value()).to.deep.equal({ name: 'ada of the session' });
      });

      it('leaves who has not signed in to the guard', async () => {
        const visit = await door.open(club(), '/members');
        expect(visit.status).to.equal(401);
        expect(visit.problem.detail).to.equal('Members only');
      });

      it('guards by a strategy of its own: its answer is the answer', async () => {
        const server = club();
        const visit = await door.open(server, '/once?username=ada&password=secret');
        expect(await visit.value()).to.deep.equal({ name: 'ada' });
        const refused = await door.open(server, '/once?username=ada&password=wrong');
        expect([refused.status, await refused.value()]).to.deep.equal([401, 'Unauthorized']);
      });
    });

    describe('helmet', () => {
      it('adds its fields to the head', async () => {
        const server = serve({ controllers: [Account], middleware: [connect(helmet()), sessions()] });
        const { status, headers } = await door.open(server, '/name');
        expect(status).to.equal(door.opened);
        expect(headers.get('x-content-type-options')).to.equal('nosniff');
        expect(headers.get('content-security-policy')).to.include("default-src 'self'");
      });
    });

    describe('cors', () => {
      const origin = 'https://other.test';
      const options: ServeOptions = {
        controllers: [Account],
        middleware: [connect(cors({ origin, credentials: true })), sessions()],
        origins: [origin],
      };

      it('adds its fields to the head', async () => {
        const { status, headers } = await door.open(serve(options), '/name', { origin });
        expect(status).to.equal(door.opened);
        expect(headers.get('access-control-allow-origin')).to.equal(origin);
        expect(headers.get('access-control-allow-credentials')).to.equal('true');
      });

      it('answers the preflight of a path', async () => {
        const headers = {
          origin,
          'access-control-request-method': 'GET',
          'access-control-request-headers': 'x-ticket',
        };
        const answer = await serve(options).fetch('/name', { method: 'OPTIONS', headers });
        expect(answer.status).to.equal(204);
        expect(answer.headers.get('access-control-allow-methods')).to.include('GET');
        expect(answer.headers.get('access-control-allow-headers')).to.equal('x-ticket');
      });
    });

    describe('middleware by on-headers 1.0', () => {
      const require = createRequire(import.meta.url);
      const old = (name: string, options?: object): Middleware =>
        connect((require(name) as (options?: object) => never)(options));

      it('leaves the fields of the head as they are', async () => {
        const middleware = [
          old('express-session-on-headers-1.0', { secret: 's', resave: false, saveUninitialized: true }),
          old('compression-on-headers-1.0'),
        ];
        const visit = await door.open(serve({ controllers: [Account], middleware }), '/name');
        expect(visit.headers.getSetCookie()[0]).to.match(/^connect\.sid=/);
        expect([...visit.headers.keys()].filter((name) => name.length < 4)).to.deep.equal([]);
        if (door.kind !== 'websocket') {
          expect(visit.headers.get('content-type')).to.match(/^(?:application\/json|text\/event-stream)/);
        }
        expect(await visit.value()).to.deep.equal({ name: null });
      });
    });

    describe('express-rate-limit', () => {
      it('sends the fields of draft 8', async () => {
        const limit = rateLimit({
          windowMs: 60_000,
          limit: 1,
          standardHeaders: 'draft-8',
          legacyHeaders: false,
        });
        const server = serve({ controllers: [Account], middleware: [connect(limit), sessions()] });
        const visits = [await door.open(server, '/name'), await door.open(server, '/name')];
        expect(visits.map(({ status }) => status)).to.deep.equal([door.opened, 429]);
        expect(visits[0]?.headers.get('ratelimit-policy')).to.be.a('string');
      });

      it('counts, tells so in the head, and refuses with 429 before anything opens', async () => {
        const limit = connect(
          rateLimit({ windowMs: 60_000, limit: 2, standardHeaders: 'draft-6', legacyHeaders: false }),
        );
        const logger = new Recorder();
        const server = serve({ controllers: [Account], middleware: [limit, sessions()], logger });
        const open = (): Promise<Visit> => door.open(server, '/name');
        const visits = [await open(), await open(), await open()];
        expect(visits.map(({ status }) => status)).to.deep.equal([door.opened, door.opened, 429]);
        expect(visits.map(({ headers }) => headers.get('ratelimit-remaining'))).to.deep.equal([
          '1',
          '0',
          '0',
        ]);
        expect(Number(visits[2]?.headers.get('retry-after'))).to.be.within(1, 60);
        expect(await visits[2]?.value()).to.equal('Too many requests, please try again later.');
        expect(logger.lines).to.deep.equal([]);
      });
    });
  });
}

describe('express-session on an upgrade', () => {
  const serve = servers();
  type Saves = (save: () => void, done: (error?: unknown) => void) => void;
  function upgrading(set: Saves, options: Partial<ServeOptions> = {}) {
    class Store extends session.MemoryStore {
      override set(id: string, data: session.SessionData, done: (error?: unknown) => void = () => {}) {
        set(() => super.set(id, data, done), done);
      }
    }
    const store = new Store();
    const opened: unknown[] = [];
    const counts: Middleware = (ctx, next) => {
      heldOf(ctx).visits = 1;
      return next();
    };
    @Controller()
    class Page {
      @WebSocket('/page') open(@Ctx() ctx: Context) {
        opened.push(heldOf(ctx).visits);
        return 'open';
      }
    }
    const middleware = [
      connect(helmet()),
      connect(session({ secret: 'a secret', resave: false, saveUninitialized: false, store })),
      counts,
    ];
    return { opened, server: serve({ controllers: [Page], middleware, ...options }) };
  }

  it('opens after the store has saved, with the cookie in the 101', async () => {
    const saving = deferred<() => void>();
    const { opened, server } = upgrading((save) => saving.resolve(save));
    const opening = server.socket('/page');
    const save = await saving.promise;
    expect(opened).to.deep.equal([]);
    save();
    const socket = await opening;
    expect(await socket.next()).to.equal('open');
    expect(opened).to.deep.equal([1]);
  });

  it('refuses where the store fails to save, with the fields of the response', async () => {
    const { opened, server } = upgrading((_, done) => done(new Error('the store is down')));
    const refused = (await server.socket('/page').catch((error: unknown) => error)) as Refused;
    expect(refused.status).to.equal(500);
    expect(refused.headers.get('x-content-type-options')).to.equal('nosniff');
    expect(opened).to.deep.equal([]);
  });

  it('refuses with 503 where the store never answers', async () => {
    const { opened, server } = upgrading(() => {}, { timeouts: { handshake: 50 } });
    const refused = (await server.socket('/page').catch((error: unknown) => error)) as Refused;
    expect(refused.status).to.equal(503);
    expect(opened).to.deep.equal([]);
  });

  it('does not open for a client that leaves while the store saves', async () => {
    const saving = deferred<() => void>();
    const { opened, server } = upgrading((save) => saving.resolve(save));
    const client = await knock(server, doors[2] as Door, '/page');
    const save = await saving.promise;
    client.destroy();
    await until(() => server.app.stats().inFlight.handshakes === 0);
    save();
    await turns();
    expect(opened).to.deep.equal([]);
  });
});

describe('Express middleware of calls', () => {
  const serve = servers();
  type Handler = (req: Express.Request, res: Express.Response, next: () => void) => unknown;
  const runs = (handler: Handler): Middleware => connect(handler);

  @Controller('/calls')
  @UseMiddleware(
    runs((req, res, next) => {
      Object.assign(req, { tenant: 'acme' });
      res.locals.plan = 'paid';
      next();
    }),
  )
  class Calls {
    @WebSocket()
    open() {}

    @Rpc('who', { concurrent: true })
    @UseMiddleware(
      runs((req, res, next) => {
        res.locals.count = ((res.locals.count as number) ?? 0) + 1;
        Object.assign(req, { count: ((req as { count?: number }).count ?? 0) + 1 });
        setImmediate(next);
      }),
    )
    who(@Ctx() ctx: Context) {
      const { count, tenant } = ctx.request as unknown as { count: number; tenant: string };
      return { count, tenant, ...(ctx.response as Express.Response).locals };
    }

    @Rpc('json')
    @UseMiddleware(runs((_, res) => res.status(403).json({ reason: 'a plan is needed' })))
    json() {}

    @Rpc('text')
    @UseMiddleware(runs((_, res) => res.sendStatus(401)))
    text() {}

    @Rpc('cached')
    @UseMiddleware(runs((_, res) => res.json({ cached: true })))
    cached() {}
  }

  async function call(method: string, times = 1): Promise<unknown[]> {
    const socket = await serve({ controllers: [Calls] }).socket('/calls');
    for (let id = 0; id < times; id++) socket.raw.send(JSON.stringify({ jsonrpc: '2.0', id, method }));
    const answers: unknown[] = [];
    while (answers.length < times) answers.push(await socket.json());
    return answers;
  }

  it('have a request and a response of their own', async () => {
    const answers = (await call('who', 3)) as { result: unknown }[];
    const one = { count: 1, tenant: 'acme', plan: 'paid' };
    expect(answers.map(({ result }) => result)).to.deep.equal([one, one, one]);
  });

  it('refuses a call by what it sends', async () => {
    const [json] = (await call('json')) as [{ error: { code: number; data: object } }];
    expect(json.error.code).to.equal(-32000);
    expect(json.error.data).to.include({ status: 403, reason: 'a plan is needed' });
    const [text] = (await call('text')) as [{ error: { data: object } }];
    expect(text.error.data).to.include({ status: 401, detail: 'Unauthorized' });
  });

  it('answers a call by what it sends', async () => {
    expect(await call('cached')).to.deep.equal([{ jsonrpc: '2.0', id: 0, result: { cached: true } }]);
  });
});

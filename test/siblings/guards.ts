import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import {
  Attr,
  attribute,
  Controller,
  Ctx,
  HttpError,
  User,
  UseMiddleware,
  type Context,
  type Middleware,
} from 'coequal';
import type { TestServer } from 'coequal/testing';
import { Everywhere, servers, type Door } from '../support/doors.js';

export function guards(door: Door): void {
  const serve = servers();

  /** A room behind a guard, and whether its method has run. */
  function room(guard: Middleware): { server: TestServer; ran: () => boolean } {
    let ran = false;
    @Controller('/room')
    @UseMiddleware(guard)
    class Room {
      @Everywhere()
      enter() {
        ran = true;
        return { entered: true };
      }
    }
    return { server: serve({ controllers: [Room] }), ran: () => ran };
  }

  it('refuse with status, headers and problem document, and the method never runs', async () => {
    const { server, ran } = room(() => {
      throw new HttpError(401, 'Sign in first', {
        headers: { 'www-authenticate': 'Bearer' },
        extensions: { login: '/login' },
      });
    });
    const visit = await door.open(server, '/room');
    expect(visit.status).to.equal(401);
    expect(visit.headers.get('www-authenticate')).to.equal('Bearer');
    expect(visit.problem).to.include({
      title: 'Unauthorized',
      status: 401,
      code: 'UNAUTHORIZED',
      detail: 'Sign in first',
      login: '/login',
    });
    expect(visit.problem.requestId).to.be.a('string');
    await server.close();
    expect(ran()).to.equal(false);
  });

  it('refuse after having waited', async () => {
    const { server, ran } = room(async (ctx) => {
      ctx.setCookie('attempts', '1');
      await turn();
      throw new HttpError(403, 'Members only');
    });
    const visit = await door.open(server, '/room');
    expect(visit.status).to.equal(403);
    expect(visit.problem).to.include({ title: 'Forbidden', detail: 'Members only' });
    expect(visit.headers.getSetCookie()).to.deep.equal(['attempts=1; Path=/; HttpOnly; SameSite=Lax']);
    await server.close();
    expect(ran()).to.equal(false);
  });

  it('refuse by a status alone', async () => {
    const { server, ran } = room((ctx) => {
      ctx.status = 404;
    });
    const visit = await door.open(server, '/room');
    expect(visit.status).to.equal(404);
    expect(visit.problem.title).to.equal('Not Found');
    expect(ran()).to.equal(false);
  });

  it('answer in the place of the method by what they send', async () => {
    const { server, ran } = room(async (ctx) => {
      await turn();
      ctx.status = 451;
      ctx.send({ because: 'the law' });
    });
    const visit = await door.open(server, '/room');
    expect(visit.status).to.equal(451);
    expect(await visit.value()).to.equal('{"because":"the law"}');
    expect(ran()).to.equal(false);
  });

  it('that neither go on nor answer are a 500', async () => {
    const { server, ran } = room(() => undefined);
    const visit = await door.open(server, '/room');
    expect(visit.status).to.equal(500);
    expect(visit.problem).to.not.have.property('detail');
    expect(ran()).to.equal(false);
  });

  it('refuse on the class, on the method and in the application alike', async () => {
    const refuse: Middleware = (ctx) => {
      throw new HttpError(403, `not by ${ctx.path}`);
    };
    @Controller()
    class Bare {
      @Everywhere('/open')
      open() {
        return {};
      }

      @Everywhere('/method')
      @UseMiddleware(refuse)
      guarded() {
        return {};
      }
    }
    const server = serve({ controllers: [Bare] });
    const opened = await door.open(server, '/open');
    expect([opened.status, (await door.open(server, '/method')).status]).to.deep.equal([door.opened, 403]);
    const closed = serve({ controllers: [Bare], middleware: [refuse] });
    expect((await door.open(closed, '/open')).status).to.equal(403);
  });

  it('pass, and what they know of the user and by attribute reaches the method', async () => {
    const plan = attribute<string>('plan');
    const authenticate = async (ctx: Context, next: () => Promise<void>): Promise<void> => {
      await turn();
      ctx.user = { name: String(ctx.headers.authorization) };
      ctx.attributes.set(plan, 'gold').set('room', 7);
      await next();
    };
    @Controller('/room')
    @UseMiddleware(authenticate)
    class Room {
      @Everywhere()
      enter(
        @User() user: unknown,
        @Attr(plan) held: string,
        @Attr('room') room: number,
        @Ctx() ctx: Context,
      ) {
        return { user, held, room, typed: ctx.attributes.get(plan), missing: ctx.attributes.has('plan') };
      }
    }
    const server = serve({ controllers: [Room] });
    const [ada, bob] = await Promise.all(
      ['ada', 'bob'].map((authorization) => door.open(server, '/room', { authorization })),
    );
    const known = { held: 'gold', room: 7, typed: 'gold', missing: false };
    expect(await ada?.value()).to.deep.equal({ user: { name: 'ada' }, ...known });
    expect(await bob?.value()).to.deep.equal({ user: { name: 'bob' }, ...known });
  });

  it('meet the user that a test signs in', async () => {
    const { server } = room((ctx, next) => {
      if (ctx.user === undefined) throw new HttpError(401);
      return next();
    });
    expect((await door.open(server, '/room')).status).to.equal(401);
    expect((await door.open(server.as({ name: 'ada' }), '/room')).status).to.equal(door.opened);
  });
}

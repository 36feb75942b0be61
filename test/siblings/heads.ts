import { expect } from 'chai';
import { Controller, param, UseMiddleware, type Middleware } from 'coequal';
import type { TestServer } from 'coequal/testing';
import { Everywhere, servers, type Door } from '../support/doors.js';

const Etag = param('Etag', (ctx) => {
  ctx.setHeader('x-from-reader', 'yes');
  return 'read';
});

export function heads(door: Door): void {
  const serve = servers();

  function room(...middleware: Middleware[]): TestServer {
    @Controller('/room')
    @UseMiddleware(...middleware)
    class Room {
      @Everywhere()
      enter(@Etag() etag: string) {
        return { etag };
      }
    }
    return serve({ controllers: [Room] });
  }

  it('carries header fields that middleware sets, before and after next()', async () => {
    const server = room(async (ctx, next) => {
      ctx.setHeader('x-before', 'b').appendHeader('x-list', 'origin');
      await next();
      ctx.setHeader('x-after', 7).appendHeader('x-list', ['cookie', 'accept']);
    });
    const { status, headers } = await door.open(server, '/room');
    expect(status).to.equal(door.opened);
    expect(headers.get('x-before')).to.equal('b');
    expect(headers.get('x-after')).to.equal('7');
    expect(headers.get('x-from-reader')).to.equal('yes');
    expect(headers.get('x-list')).to.equal('origin, cookie, accept');
  });

  it('carries each cookie that middleware sets', async () => {
    const server = room(async (ctx, next) => {
      ctx.setCookie('a', '1');
      await next();
      ctx.setCookie('b', '2 3', { maxAge: 60, sameSite: 'strict', httpOnly: false });
    });
    const { status, headers } = await door.open(server, '/room');
    expect(status).to.equal(door.opened);
    expect(headers.getSetCookie()).to.deep.equal([
      'a=1; Path=/; HttpOnly; SameSite=Lax',
      'b=2%203; Max-Age=60; Path=/; SameSite=Strict',
    ]);
  });

  it('carries to each client what was set for it alone', async () => {
    const server = room((ctx, next) => {
      ctx.setHeader('x-for', String(ctx.query['who']));
      return next();
    });
    const visits = await Promise.all(['ada', 'bob'].map((who) => door.open(server, `/room?who=${who}`)));
    expect(visits.map(({ headers }) => headers.get('x-for'))).to.deep.equal(['ada', 'bob']);
  });

  it('refuses a field that would forge another: the answer is a 500 without it', async () => {
    const server = room((ctx, next) => {
      ctx.setHeader('x-name', 'ada\r\nx-forged: 1');
      return next();
    });
    const { status, headers } = await door.open(server, '/room');
    expect(status).to.equal(500);
    expect([headers.has('x-name'), headers.has('x-forged')]).to.deep.equal([false, false]);
  });
}

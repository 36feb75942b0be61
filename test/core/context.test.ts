import { expect } from 'chai';
import { Controller, Cookies, Ctx, Get, Headers, Param, Query, type Context, type SetCookie } from 'coequal';
import type { ServeOptions } from 'coequal/testing';
import { servers } from '../support/doors.js';
import { Recorder } from '../support/journal.js';
import { RawClient } from '../support/raw-client.js';

describe('Context', () => {
  const serve = servers();

  /** Serves what `answer` makes of the context. */
  function answering(answer: (ctx: Context) => unknown, options: Partial<ServeOptions> = {}) {
    @Controller()
    class Any {
      @Get('/*')
      answer(@Ctx() ctx: Context) {
        return answer(ctx);
      }
    }
    return serve({ controllers: [Any], ...options });
  }

  /** What `use` throws within an exchange. */
  async function thrownBy(use: (ctx: Context) => unknown): Promise<unknown> {
    let thrown: unknown;
    const server = answering((ctx) => {
      try {
        use(ctx);
      } catch (error) {
        thrown = error;
      }
    });
    expect((await server.fetch('/')).status).to.equal(204);
    return thrown;
  }

  describe('status', () => {
    it('is 200 until one is set', async () => {
      expect(await (await answering((ctx) => ({ status: ctx.status })).fetch('/')).json()).to.deep.equal({
        status: 200,
      });
      const created = answering((ctx) => {
        ctx.status = 201;
        return { status: ctx.status };
      });
      const answer = await created.fetch('/');
      expect([answer.status, await answer.json()]).to.deep.equal([201, { status: 201 }]);
    });

    for (const status of [0, 99, 101, 199, 600, 200.5, NaN, '200' as unknown as number]) {
      it(`refuses ${JSON.stringify(status)}`, async () => {
        const thrown = await thrownBy((ctx) => {
          ctx.status = status;
        });
        expect(thrown).to.be.instanceOf(TypeError);
        expect((thrown as Error).message).to.include(String(status));
      });
    }
  });

  describe('setCookie', () => {
    async function fieldsOf(
      name: string,
      value: string,
      options?: SetCookie,
      behind: Partial<ServeOptions> = {},
    ) {
      const server = answering((ctx) => void ctx.setCookie(name, value, options), behind);
      const { headers } = await server.fetch('/', { headers: { 'x-forwarded-proto': 'https' } });
      return headers.getSetCookie();
    }

    it('is careful by default', async () => {
      expect(await fieldsOf('id', 'a b')).to.deep.equal(['id=a%20b; Path=/; HttpOnly; SameSite=Lax']);
    });

    it('takes attributes in the place of the defaults', async () => {
      const options: SetCookie = { path: '/x', httpOnly: false, sameSite: 'none', secure: true, maxAge: 0 };
      expect(await fieldsOf('id', '', options)).to.deep.equal([
        'id=; Max-Age=0; Path=/x; Secure; SameSite=None',
      ]);
    });

    it('is Secure where a trusted proxy says that the client’s side is encrypted', async () => {
      expect(await fieldsOf('id', '1', {}, { trustProxy: 'loopback' })).to.deep.equal([
        'id=1; Path=/; HttpOnly; Secure; SameSite=Lax',
      ]);
    });

    const bad: [what: string, name: string, value: string, options?: SetCookie][] = [
      ['a name with CR and LF', 'id\r\nx: 1', '1'],
      ['a name with a separator', 'a=b', '1'],
      ['no name', '', '1'],
      ['a path with CR and LF', 'id', '1', { path: '/\r\nx: 1' }],
      ['a domain with CR and LF', 'id', '1', { domain: 'a.test\r\nx: 1' }],
      ['a value with CR and LF that is not encoded', 'id', 'a\r\nx: 1', { encode: String }],
      ['more than 4,096 bytes', 'id', 'a'.repeat(4_096)],
      ['more than 4,096 bytes, once it is encoded', 'id', 'é'.repeat(700)],
    ];
    for (const [what, name, value, options] of bad) {
      it(`refuses ${what}, and sets nothing`, async () => {
        const thrown = await thrownBy((ctx) => {
          try {
            ctx.setCookie(name, value, options);
          } finally {
            expect(ctx.response.getHeader('set-cookie')).to.equal(undefined);
          }
        });
        expect(thrown).to.be.instanceOf(TypeError);
      });
    }

    it('encodes CR and LF of a value', async () => {
      expect(await fieldsOf('id', 'a\r\nb')).to.deep.equal(['id=a%0D%0Ab; Path=/; HttpOnly; SameSite=Lax']);
    });

    it('sets a cookie of 4,096 bytes', async () => {
      const rest = 'id=; Path=/; HttpOnly; SameSite=Lax'.length;
      const [field] = await fieldsOf('id', 'a'.repeat(4_096 - rest));
      expect(field).to.have.length(4_096);
    });
  });

  describe('send', () => {
    it('sends what a returned value would', async () => {
      const answer = await answering((ctx) => void ctx.send({ by: 'hand' })).fetch('/');
      expect(answer.headers.get('content-type')).to.equal('application/json; charset=utf-8');
      expect(await answer.json()).to.deep.equal({ by: 'hand' });
    });

    it('throws the second time, and the first answer stands', async () => {
      const thrown = await thrownBy((ctx) => {
        ctx.send(undefined);
        ctx.send('again');
      });
      expect((thrown as Error).message).to.equal('GET / has been answered already: send() takes one body');
    });

    it('and a returned value are two answers: a 500, logged once', async () => {
      const logger = new Recorder();
      const twice = answering(
        (ctx) => {
          ctx.send('one');
          return 'two';
        },
        { logger },
      );
      expect((await twice.fetch('/')).status).to.equal(500);
      expect(logger.lines.map(({ level }) => level)).to.deep.equal(['error']);
    });
  });

  describe('query', () => {
    const size = answering.bind(undefined, (ctx: Context) => ({ size: Object.keys(ctx.query).length }));
    const many = (count: number) => `/?${Array.from({ length: count }, (_, i) => `k${i}=1`).join('&')}`;

    it('with a fragment is a 400: others would cut it off', async () => {
      const server = size();
      const client = await RawClient.connect(await server.url());
      client.head('GET /?a=1#b=2 HTTP/1.1', 'Host: localhost', 'Connection: close');

      expect((await client.answer()).status).to.equal(400);
    });

    it('has at most 1,000 parameters: more are a 400', async () => {
      const server = size();
      expect(await (await server.fetch(many(1_000))).json()).to.deep.equal({ size: 1_000 });
      const answer = await server.fetch(many(1_001));
      expect([answer.status, (await answer.json()) as object]).to.deep.include(400);
    });

    it('has as many as the limit says', async () => {
      const server = size({ limits: { query: 2 } });
      expect((await server.fetch(many(2))).status).to.equal(200);
      expect((await server.fetch(many(3))).status).to.equal(400);
      expect((await server.fetch('/?&&&&')).status).to.equal(400);
    });

    it('takes malformed escapes as they are', async () => {
      const server = answering((ctx) => ctx.query);
      expect(await (await server.fetch('/?a=%&b=%zz&c&=d')).json()).to.deep.equal({
        a: '%',
        b: '%zz',
        c: '',
        '': 'd',
      });
    });
  });

  describe('records of the request', () => {
    it('inherit nothing: nothing is found that was not sent', async () => {
      const facts = answering(({ query, cookies, params }) =>
        [query, cookies, params].map((record) =>
          ['constructor', 'toString', '__proto__', 'hasOwnProperty'].filter((name) => name in record),
        ),
      );
      for (const path of ['/', '/x?y=1']) {
        const answer = await facts.fetch(path, { headers: { cookie: 'a=1' } });
        expect(await answer.json()).to.deep.equal([[], [], []]);
      }
    });

    it('take __proto__ for a name like others, or do not take it, and no prototype is touched', async () => {
      const before = Object.getOwnPropertyNames(Object.prototype);
      @Controller()
      class Any {
        @Get('/:__proto__/:name')
        answer(
          @Query('__proto__') query: string,
          @Cookies('__proto__') cookie: string,
          @Headers('__proto__') header: string,
          @Param('name') name: string,
          @Query('constructor', Object) constructor: unknown,
          @Headers('toString', Object) text: unknown,
          @Query() whole: object,
        ) {
          return {
            query,
            cookie,
            header: header ?? 'ignored by Node',
            name,
            none: [constructor, text].every((one) => one === undefined),
            keys: Object.keys(whole),
          };
        }
      }
      const server = serve({ controllers: [Any] });
      const headers = { cookie: '__proto__=c', ['__proto__']: 'h' };
      const answer = await server.fetch('/polluted/__proto__?__proto__=q&polluted=1', { headers });
      expect(await answer.json()).to.deep.equal({
        query: 'q',
        cookie: 'c',
        header: 'ignored by Node',
        name: '__proto__',
        none: true,
        keys: ['__proto__', 'polluted'],
      });
      expect(Object.getOwnPropertyNames(Object.prototype)).to.deep.equal(before);
      expect(({} as Record<string, unknown>)['polluted']).to.equal(undefined);
    });
  });

  it('has an id that stays the same, and is another in each exchange', async () => {
    const server = answering((ctx) => ({ id: ctx.id, same: ctx.id === ctx.id }));
    const ids = new Set<string>();
    for (let i = 0; i < 3; i++) {
      const { id, same } = (await (await server.fetch('/')).json()) as { id: string; same: boolean };
      expect(same).to.equal(true);
      ids.add(id);
    }
    expect(ids.size).to.equal(3);
  });

  it('shows the canonical path, in the URL too, and the query as it came', async () => {
    const server = answering(({ kind, method, url, path }) => ({ kind, method, url, path }));
    expect(await (await server.fetch('/%61//b/?q=%61')).json()).to.deep.equal({
      kind: 'http',
      method: 'GET',
      url: '/a/b?q=%61',
      path: '/a/b',
    });
  });

  describe('ip', () => {
    const forwarded = { 'x-forwarded-for': '203.0.113.9, 198.51.100.7' };
    const ipWith = async (options: Partial<ServeOptions>) =>
      (await answering((ctx) => ctx.ip, options).fetch('/', { headers: forwarded })).text();

    it('is the peer’s, whatever a client makes up', async () => {
      expect(await ipWith({})).to.equal('127.0.0.1');
      expect(await ipWith({ trustProxy: '192.0.2.1' })).to.equal('127.0.0.1');
    });

    it('is that of a trusted proxy’s client', async () => {
      expect(await ipWith({ trustProxy: 'loopback' })).to.equal('198.51.100.7');
      expect(await ipWith({ trustProxy: ['loopback', '198.51.100.0/24'] })).to.equal('203.0.113.9');
    });
  });
});

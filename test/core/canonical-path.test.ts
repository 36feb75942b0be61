import { once } from 'node:events';
import { connect } from 'node:net';
import { expect } from 'chai';
import { Controller, Ctx, HttpError, Param, UseMiddleware, type Context } from 'coequal';
import fc from 'fast-check';
import { canonicalPath } from '../../src/core/routing/canonical-path.js';
import { asks, Everywhere, servers } from '../support/doors.js';

describe('canonicalPath', () => {
  const spellings: [path: string, canonical: string][] = [
    ['/', '/'],
    ['//', '/'],
    ['/.', '/'],
    ['/..', '/'],
    ['/../../x', '/x'],
    ['/admin', '/admin'],
    ['//admin', '/admin'],
    ['/admin/', '/admin'],
    ['/admin//', '/admin'],
    ['/a//b', '/a/b'],
    ['/%61dmin', '/admin'],
    ['/%61%64min', '/admin'],
    ['/%2e%2e/x', '/x'],
    ['/a/%2E%2e/x', '/x'],
    ['/a/%2e/x', '/a/x'],
    ['/a/./x', '/a/x'],
    ['/a/../x', '/x'],
    ['/a/...', '/a/...'],
    ['/.well-known/x', '/.well-known/x'],
    ['/a.b', '/a.b'],
    ['/ADMIN', '/ADMIN'],
    ['/caf%C3%A9', '/café'],
    ['/caf%c3%a9', '/café'],
    ['/a%20b', '/a b'],
    ['/a%2Fb', '/a%2Fb'],
    ['/a%2fb', '/a%2Fb'],
    ['/a%252Fb', '/a%252Fb'],
    ['/a%2525', '/a%2525'],
    ['/a%3Fb%23c', '/a%3Fb%23c'],
    ['/a;b=1,2', '/a;b=1,2'],
    ['/a%2F..b%2F...', '/a%2F..b%2F...'],
    ['/%252e%252e%252fx', '/%252e%252e%252fx'],
    ['/__proto__', '/__proto__'],
  ];
  for (const [path, canonical] of spellings) {
    it(`spells ${path} as ${canonical}`, () => {
      expect(canonicalPath(path)).to.equal(canonical);
    });
  }

  const malformed = [
    '',
    'x',
    '*',
    '/%',
    '/%4',
    '/%zz',
    '/%c0%ae',
    '/%e0%80%ae',
    '/%ff',
    '/%00',
    '/%0d%0a',
    '/%7f',
    '/\\evil',
    '/a%5cb',
    '/\u0001',
    '/a#',
    '/a#b',
    '/#/a',
    '/a#%41',
    '/%2e%2e%2fx',
    '/..%2Fx',
    '/x%2F..',
    '/x%2f%2e%2fy',
    '/x%2f..%2f..%2fy',
  ];
  for (const path of malformed) {
    it(`refuses ${JSON.stringify(path)} with 400`, () => {
      expect(() => canonicalPath(path))
        .to.throw(HttpError)
        .with.property('status', 400);
    });
  }

  /** Text of what paths are made of, the awkward parts often. */
  const paths = fc
    .array(
      fc.oneof(
        fc.constantFrom(
          '/',
          '//',
          '.',
          '..',
          '%',
          '%2e',
          '%2F',
          '%25',
          '%5c',
          '%00',
          '%c3%a9',
          '%e9',
          '\\',
          '#',
          'a',
          ';',
        ),
        fc.string({ unit: 'binary', maxLength: 3 }),
      ),
      { maxLength: 12 },
    )
    .map((parts) => `/${parts.join('')}`);

  const canonicalOrRefused = (path: string): string | undefined => {
    try {
      return canonicalPath(path);
    } catch (error) {
      expect(error).to.be.instanceOf(HttpError);
      expect(error).to.have.property('status', 400);
      return undefined;
    }
  };

  it('is the spelling of itself, and throws nothing but a 400', () => {
    fc.assert(
      fc.property(paths, (path) => {
        const canonical = canonicalOrRefused(path);
        fc.pre(canonical !== undefined);
        expect(canonicalPath(canonical)).to.equal(canonical);
      }),
      { numRuns: 500 },
    );
  });

  it('leaves no empty segment, no dots, no backslash, no fragment and no control character', () => {
    fc.assert(
      fc.property(paths, (path) => {
        const canonical = canonicalOrRefused(path);
        fc.pre(canonical !== undefined);
        const [first, ...segments] = canonical.split('/');
        expect(first).to.equal('');
        if (canonical !== '/') expect(segments.some((one) => ['', '.', '..'].includes(one))).to.equal(false);
        expect(
          Array.from(canonical).some((one) => one < ' ' || ['\u007f', '\\', '#'].includes(one)),
        ).to.equal(false);
      }),
      { numRuns: 500 },
    );
  });

  it('gives all escapings of one text one spelling', () => {
    const texts = fc.string({ unit: fc.constantFrom('a', 'Z', '0', '-', 'é', '~', '@', ' '), minLength: 1 });
    fc.assert(
      fc.property(texts, (text) => {
        const escaped = [...Buffer.from(text)]
          .map((byte) => `%${byte.toString(16).padStart(2, '0')}`)
          .join('');
        expect(canonicalPath(`/${escaped}`)).to.equal(`/${text}`);
        expect(canonicalPath(`/${encodeURIComponent(text)}`)).to.equal(`/${text}`);
      }),
    );
  });
});

describe('guard and router', () => {
  const serve = servers();
  const guarded: string[] = [];

  @Controller('/admin')
  class Admin {
    @Everywhere()
    @UseMiddleware((ctx) => {
      guarded.push(ctx.path);
      throw new HttpError(403);
    })
    enter() {
      return { entered: true };
    }
  }

  @Controller()
  class Open {
    @Everywhere('/file/:name')
    read(@Param('name') name: string, @Ctx() ctx: Context) {
      return { name, path: ctx.path };
    }
  }

  const seen: string[] = [];
  const application = () =>
    serve({
      controllers: [Admin, Open],
      middleware: [
        (ctx, next) => {
          seen.push(ctx.path);
          return next();
        },
      ],
    });

  /** The status that a target gets as it is: clients of this machine would tidy it up. */
  async function statusOf(url: string, target: string, fields: readonly string[] = []): Promise<number> {
    const { hostname, port, host } = new URL(url);
    const client = connect(Number(port), hostname);
    client.write(
      [
        `GET ${target} HTTP/1.1`,
        `Host: ${host}`,
        ...(fields.length > 0 ? fields : ['Connection: close']),
        '',
        '',
      ].join('\r\n'),
    );
    const [chunk] = (await once(client, 'data')) as [Buffer];
    client.destroy();
    return Number(/^HTTP\/1\.1 (\d+)/.exec(chunk.toString())?.[1]);
  }

  const waysIn = [
    '/admin',
    '//admin',
    '/admin/',
    '/%61dmin',
    '/./admin',
    '/x/../admin',
    '/%2e%2e/admin',
    '/x/%2e%2e/admin',
    '/admin?x=/../y',
  ];
  const refused = ['/%', '/%c0%ae', '/%00', '/\\evil', '/admin\\', '/%5cadmin', '/admin#', '/admin#/x'];

  for (const [kind, fields] of Object.entries(asks)) {
    for (const target of waysIn) {
      it(`see one path in ${target} (${kind})`, async () => {
        guarded.length = seen.length = 0;
        const url = await application().url();
        expect(await statusOf(url, target, fields)).to.equal(403);
        expect([seen, guarded]).to.deep.equal([['/admin'], ['/admin']]);
      });
    }

    for (const target of refused) {
      it(`never see ${target}, which is a 400 (${kind})`, async () => {
        guarded.length = seen.length = 0;
        const url = await application().url();
        expect(await statusOf(url, target, fields)).to.equal(400);
        expect([...seen, ...guarded]).to.deep.equal([]);
      });
    }

    it(`keep letters in their case (${kind})`, async () => {
      const url = await application().url();
      expect(await statusOf(url, '/ADMIN', fields)).to.equal(404);
    });

    it(`see the path of a target that names its authority, if that is ours (${kind})`, async () => {
      guarded.length = seen.length = 0;
      const url = await application().url();
      expect(await statusOf(url, `${url}//%61dmin`, fields)).to.equal(403);
      expect(await statusOf(url, 'http://other.test/admin', fields)).to.equal(400);
      expect([seen, guarded]).to.deep.equal([['/admin'], ['/admin']]);
    });
  }

  it('leave an escaped slash within its parameter', async () => {
    const server = application();
    expect(await (await server.fetch('/file/a%2Fb%2525?q')).json()).to.deep.equal({
      name: 'a/b%25',
      path: '/file/a%2Fb%2525',
    });
    expect((await server.fetch('/file/%2e%2e%2fadmin')).status).to.equal(400);
  });
});

import { expect } from 'chai';
import { Controller, Ctx, Get, HttpError, Param, UseMiddleware, type Context } from 'coequal';
import { mistreated } from '../../support/canary.js';
import { converse, type WireAnswer } from '../../support/raw-answers.js';

const reached: string[] = [];
const seen: string[] = [];

@Controller('/admin')
@UseMiddleware(() => {
  throw new HttpError(403);
})
class Admin {
  @Get() enter() {
    reached.push('admin');
  }
}

@Controller()
class Open {
  @Get('/') root() {
    return 'root';
  }
  @Get('/x') x() {
    return 'x';
  }
  @Get('/evil/x') evil() {
    return 'evil';
  }
  @Get('/image/:name.png') image(@Param('name') name: string) {
    return name;
  }
  @Get('/range/:from-:to') range(@Param('from') from: string, @Param('to') to: string) {
    return `${from} to ${to}`;
  }
  @Get('/tree/x*') tree(@Param('*') rest: string) {
    return rest;
  }
  @Get('/file/:name') file(@Param('name') name: string, @Ctx() ctx: Context) {
    return { name, path: ctx.path };
  }
}

describe('HTTP', () => {
  describe('targets', () => {
    const { server, holds } = mistreated({
      controllers: [Admin, Open],
      middleware: [
        (ctx, next) => {
          seen.push(ctx.path);
          return next();
        },
      ],
    });
    beforeEach(() => {
      seen.length = 0;
      reached.length = 0;
    });

    async function ask(target: string, method = 'GET'): Promise<WireAnswer | undefined> {
      const head = `${method} ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`;
      const answers = await converse(server, head);
      expect(answers).to.have.lengthOf(1);
      return answers[0];
    }

    const refused = [
      '/%',
      '/%4',
      '/%zz',
      '/%u0041',
      '/x%',
      '/%c0%ae',
      '/%c0%ae%c0%ae/admin',
      '/%e0%80%ae',
      '/%ff',
      '/%f8%80%80%80%af',
      '/%ed%a0%80',
      '/%00',
      '/x%00',
      '/admin%00',
      '/%0d%0aSet-Cookie:%20a=1',
      '/%7f',
      '/\\evil',
      '/\\admin',
      '/x\\..\\admin',
      '/%5cadmin',
      '/..%5cadmin',
      '/x%2f..%2fadmin',
      '/file/..%2f..%2fadmin',
      '/file/a%2F%2e',
      '/image/...png',
      '/range/1-..',
      '/tree/x../secret',
      '*',
      'http://evil.example/x',
      'http://user@localhost/x',
      'http://localhost:81/x',
      'http://localhost\\@evil.example/x',
      'ftp://localhost/x',
      'http:///x',
    ];
    for (const target of refused) {
      holds(`are refused with 400 before any middleware (${target})`, async () => {
        const answer = await ask(target);

        expect([answer?.status, seen, reached]).to.deep.equal([400, [], []]);
      });
    }

    const canonical: [target: string, path: string, status: number][] = [
      ['/admin', '/admin', 403],
      ['/admin/', '/admin', 403],
      ['//admin', '/admin', 403],
      ['/admin//', '/admin', 403],
      ['/./admin', '/admin', 403],
      ['/x/../admin', '/admin', 403],
      ['/%61dmin', '/admin', 403],
      ['/%61%64%6D%69%6e', '/admin', 403],
      ['/%2e/admin', '/admin', 403],
      ['/x/%2E%2e/admin', '/admin', 403],
      ['/../../admin', '/admin', 403],
      ['/admin?x=/../y', '/admin', 403],
      ['http://localhost/admin', '/admin', 403],
      ['http://localhost//x/../%61dmin', '/admin', 403],
      ['/ADMIN', '/ADMIN', 404],
      ['/admin;x', '/admin;x', 404],
      ['/admin.', '/admin.', 404],
      ['/admin%20', '/admin ', 404],
      ['/admin%2f', '/admin%2F', 404],
      ['/admin%252f', '/admin%252f', 404],
      ['/%2561dmin', '/%2561dmin', 404],
      ['//evil/x', '/evil/x', 200],
      ['/%2e%2e/x', '/x', 200],
    ];
    for (const [target, path, status] of canonical) {
      holds(`are one path for guard and router (${target})`, async () => {
        const answer = await ask(target);

        expect([answer?.status, seen, reached]).to.deep.equal([status, [path], []]);
      });
    }

    holds('never lead a client elsewhere', async () => {
      for (const target of ['//evil.example/', '//evil.example/..', '/%2f%2fevil.example/', '/x/']) {
        const answer = await ask(target);

        expect(answer?.fields.filter(([name]) => name === 'location')).to.deep.equal([]);
      }
    });

    holds('leave an escaped slash and dots that name no folder within their parameter', async () => {
      expect(JSON.parse((await ask('/file/a%2f..b%2f...'))?.body ?? '')).to.deep.equal({
        name: 'a/..b/...',
        path: '/file/a%2F..b%2F...',
      });
      expect((await ask('/image/v1.2.png'))?.body).to.equal('v1.2');
      expect((await ask('/range/..5-6..'))?.body).to.equal('..5 to 6..');
      expect((await ask('/tree/x/y..z'))?.body).to.equal('/y..z');
      expect((await ask('/file/%252e%252e%252f'))?.body).to.contain('"name":"%2e%2e%2f"');
    });

    holds('of OPTIONS may be an asterisk', async () => {
      expect((await ask('*', 'OPTIONS'))?.status).to.equal(204);
    });

    for (const method of ['TRACE', 'PROPFIND', 'QUERY', 'M-SEARCH', 'PURGE']) {
      holds(`are refused for methods that nobody offers (${method})`, async () => {
        expect((await ask('/x', method))?.status).to.be.oneOf([400, 405]);
      });
    }
  });
});

import { expect } from 'chai';
import {
  All,
  Controller,
  Ctx,
  Get,
  Head,
  HttpError,
  Options,
  Param,
  Post,
  Put,
  Sse,
  UseMiddleware,
  WebSocket,
  type Context,
} from 'coequal';
import { serve } from 'coequal/testing';
import { HANDSHAKE, RawClient } from '../support/raw-client.js';

const seen: string[] = [];
const iterated: string[] = [];

function guard(ctx: Context, next: () => Promise<void>): unknown {
  seen.push(`${ctx.method} ${ctx.kind}`);
  if (ctx.headers['x-stranger'] !== undefined)
    throw new HttpError(401, 'who are you?', { headers: { 'www-authenticate': 'Bearer' } });
  ctx.setHeader('x-guard', 'passed');
  return next();
}

@Controller('/things')
@UseMiddleware(guard)
class Things {
  @Get() list() {
    return ['a', 'b'];
  }
  @Post() add(): void {}
  @Get('/stream') async *stream() {
    iterated.push('started');
    yield await Promise.resolve('never sent for HEAD');
  }
  @Get('/nothing') nothing(): void {}
  @Get('/fails') fails() {
    throw new HttpError(418, 'no coffee');
  }
  @Get('/own-head') get() {
    return 'body';
  }
  @Head('/own-head') head(@Ctx() ctx: Context): void {
    ctx.setHeader('x-by', 'head');
  }
  @Options('/own-options') options() {
    return 'mine';
  }
  @All('/any') any(@Ctx() ctx: Context) {
    return ctx.method;
  }
  @WebSocket('/socket') socket(): void {}
  @Sse('/events') async *events() {
    yield await Promise.resolve('an event');
  }
  @Get('/both') page() {
    return { form: 'document' };
  }
  @Sse('/both') async *live() {
    yield await Promise.resolve('stream');
  }
  @WebSocket('/both') talk() {
    return 'socket';
  }
}

@Controller('/only', { host: 'admin.example' })
class ForAdmin {
  @Get() where() {
    return 'admin';
  }
}

@Controller('/only')
class ForAll {
  @Get() where() {
    return 'all';
  }
}

@Controller('/hidden', { host: 'Admin.Example:8080' })
class Hidden {
  @Get() where() {
    return 'hidden';
  }
}

@Controller('/paths')
class Paths {
  @Get('/files/*') file(@Param('*') path: string) {
    return path;
  }
  @Get('/years/:year(^\\d{4}$)') year(@Param('year') year: number) {
    return year;
  }
  @Get('/users/:id') user(@Param('id') id: string) {
    return id;
  }
  @Get('/users/me') me() {
    return 'it is me';
  }
  @Put('/pairs/:a/to/:b') pair(@Param() all: Record<string, string>) {
    return { ...all, inherits: 'constructor' in all || '__proto__' in all };
  }
}

/** Fields that say how the bytes travel: fetch asks for a connection of its own for HEAD. */
const TRANSPORT = new Set(['date', 'connection', 'keep-alive']);

describe('HTTP routing', () => {
  const server = serve({ controllers: [Things, ForAdmin, ForAll, Hidden, Paths], logger: false });

  beforeEach(() => {
    seen.length = 0;
    iterated.length = 0;
  });

  async function raw(
    ...lines: string[]
  ): Promise<{ status: number; headers: Readonly<Record<string, string>>; body: string }> {
    const client = await RawClient.connect(await server.url());
    return client.head(...lines).answer();
  }

  describe('HEAD', () => {
    it('has the status and the fields of GET, through the same guard, and no body', async () => {
      const got = await server.fetch('/things');
      const head = await server.fetch('/things', { method: 'HEAD' });

      const fields = (response: Response): [string, string][] =>
        [...response.headers].filter(([name]) => !TRANSPORT.has(name));
      expect(fields(head)).to.deep.equal(fields(got));
      expect(head.headers.get('content-length')).to.equal('9');
      expect(await head.text()).to.equal('');
      expect(seen).to.deep.equal(['GET http', 'HEAD http']);
    });

    it('is refused by the guard that refuses GET', async () => {
      const response = await server.fetch('/things', { method: 'HEAD', headers: { 'x-stranger': '1' } });

      expect([response.status, response.headers.get('www-authenticate')]).to.deep.equal([401, 'Bearer']);
    });

    it('does not consume what GET would stream', async () => {
      const response = await server.fetch('/things/stream', { method: 'HEAD' });

      expect([response.status, await response.text()]).to.deep.equal([200, '']);
      expect(iterated).to.deep.equal([]);
    });

    it('goes to its own method where there is one', async () => {
      const response = await server.fetch('/things/own-head', { method: 'HEAD' });

      expect(response.headers.get('x-by')).to.equal('head');
    });

    it('has the status of GET where that has no body or fails', async () => {
      expect((await server.fetch('/things/nothing', { method: 'HEAD' })).status).to.equal(204);
      expect((await server.fetch('/things/fails', { method: 'HEAD' })).status).to.equal(418);
    });
  });

  describe('a method that the path does not answer', () => {
    const table: [path: string, allow: string][] = [
      ['/things', 'GET, POST, HEAD, OPTIONS'],
      ['/things/events', 'GET, OPTIONS'],
      ['/things/socket', 'GET, OPTIONS'],
      ['/paths/pairs/1/to/2', 'PUT, OPTIONS'],
    ];
    for (const [path, allow] of table) {
      it(`is a 405 with Allow: ${allow} for ${path}`, async () => {
        const response = await server.fetch(path, { method: 'DELETE' });

        expect([response.status, response.headers.get('allow')]).to.deep.equal([405, allow]);
        expect(await response.json()).to.include({ status: 405, title: 'Method Not Allowed' });
      });

      it(`is told by OPTIONS of ${path}`, async () => {
        const response = await server.fetch(path, { method: 'OPTIONS' });

        expect([response.status, response.headers.get('allow')]).to.deep.equal([204, allow]);
      });
    }

    it('is a 405 though it is none that anybody knows', async () => {
      const response = await server.fetch('/things', { method: 'PROPFIND' });

      expect([response.status, response.headers.get('allow')]).to.deep.equal([
        405,
        'GET, POST, HEAD, OPTIONS',
      ]);
    });
  });

  it('lets a method of its own answer OPTIONS', async () => {
    const response = await server.fetch('/things/own-options', { method: 'OPTIONS' });

    expect(await response.text()).to.equal('mine');
  });

  it('answers a path that nobody has by a 404 with a problem document, whatever the method', async () => {
    for (const method of ['GET', 'POST', 'OPTIONS', 'DELETE']) {
      const response = await server.fetch('/nowhere', { method });

      expect([response.status, response.headers.get('content-type')]).to.deep.equal([
        404,
        'application/problem+json',
      ]);
      expect(await response.json()).to.include({ status: 404, title: 'Not Found' });
    }
  });

  it('answers each method by @All', async () => {
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
      expect(await (await server.fetch('/things/any', { method })).text()).to.equal(method);
    }
    expect((await server.fetch('/things/any', { method: 'HEAD' })).headers.get('content-length')).to.equal(
      '4',
    );
  });

  describe("a plain request of a socket's path", () => {
    it('is a 426 that names the protocol, once the guard has passed', async () => {
      const response = await server.fetch('/things/socket');

      expect(response.status).to.equal(426);
      expect([response.headers.get('upgrade'), response.headers.get('x-guard')]).to.deep.equal([
        'websocket',
        'passed',
      ]);
      expect(seen).to.deep.equal(['GET http']);
    });

    it('is refused by the guard first, so that it tells a stranger nothing', async () => {
      const response = await server.fetch('/things/socket', { headers: { 'x-stranger': '1' } });

      expect([response.status, response.headers.get('upgrade')]).to.deep.equal([401, null]);
    });
  });

  describe('a path with a method of each kind', () => {
    const table: [accept: string, type: string][] = [
      ['text/event-stream', 'text/event-stream'],
      ['text/event-stream, application/json;q=0.5', 'text/event-stream'],
      ['application/json, text/event-stream;q=0.1', 'application/json'],
      ['application/json', 'application/json'],
      ['text/html', 'application/json'],
      ['*/*', 'application/json'],
      ['text/event-stream;q=0', 'application/json'],
      ['TEXT/EVENT-STREAM', 'text/event-stream'],
    ];
    for (const [accept, type] of table) {
      it(`answers Accept: ${accept} by ${type}`, async () => {
        const response = await server.fetch('/things/both', { headers: { accept } });
        await response.text();

        expect(response.headers.get('content-type')).to.match(new RegExp(`^${type}`));
      });
    }

    it('tells caches that the answer varies by Accept', async () => {
      for (const accept of ['application/json', 'text/event-stream']) {
        const response = await server.fetch('/things/both', { headers: { accept } });
        await response.text();
        expect(response.headers.get('vary')?.toLowerCase()).to.equal('accept');
      }
    });

    it('opens its socket for an upgrade', async () => {
      const socket = await server.socket('/things/both');

      expect(await socket.next()).to.equal('socket');
    });
  });

  it('gives an event stream to a client that does not ask for one, where there is nothing else', async () => {
    const response = await server.fetch('/things/events', { headers: { accept: '*/*' } });

    expect(response.headers.get('content-type')).to.equal('text/event-stream');
    await response.body?.cancel();
  });

  it('tells controllers of one path apart by their hosts', async () => {
    const at = async (host: string): Promise<string> =>
      (await raw('GET /only HTTP/1.1', `Host: ${host}`, 'Connection: close')).body;

    expect(await at('admin.example')).to.equal('admin');
    for (const host of ['Admin.EXAMPLE', 'admin.example:8080', 'admin.example.', 'admin.example.:80']) {
      expect(await at(host), host).to.equal('admin');
    }
    for (const host of ['other.example', 'x.admin.example', 'admin.example.evil', 'admin.example..']) {
      expect(await at(host), host).to.equal('all');
    }
  });

  it("hides a host's controller from other hosts", async () => {
    expect((await raw('GET /hidden HTTP/1.1', 'Host: other.example', 'Connection: close')).status).to.equal(
      404,
    );
    expect((await raw('GET /hidden HTTP/1.1', 'Host: admin.example', 'Connection: close')).body).to.equal(
      'hidden',
    );
  });

  it('gives the rest of the path to a wildcard', async () => {
    expect(await (await server.fetch('/paths/files/a/b%20c.txt')).text()).to.equal('a/b c.txt');
    expect(await (await server.fetch('/paths/files/a/../b')).text()).to.equal('b');
    expect((await server.fetch('/paths/files/%2e%2e/secret')).status).to.equal(404);
  });

  it('matches a parameter by its pattern', async () => {
    expect(await (await server.fetch('/paths/years/1999')).json()).to.equal(1999);
    expect((await server.fetch('/paths/years/99')).status).to.equal(404);
  });

  it('prefers a fixed segment to a parameter, and takes long, escaped and odd values', async () => {
    const long = 'x'.repeat(2_000);

    expect(await (await server.fetch('/paths/users/me')).text()).to.equal('it is me');
    expect(await (await server.fetch(`/paths/users/${long}`)).text()).to.equal(long);
    expect(await (await server.fetch('/paths/users/a%2Fb%3Fc')).text()).to.equal('a/b?c');
    expect((await server.fetch('/paths/users/')).status).to.equal(404);
  });

  it('gives all parameters as a record that inherits nothing', async () => {
    const response = await server.fetch('/paths/pairs/1/to/2', { method: 'PUT' });

    expect(await response.json()).to.deep.equal({ a: '1', b: '2', inherits: false });
  });

  describe('an Upgrade that the path does not offer', () => {
    @Controller('/echo')
    class Echo {
      @Get() get(@Ctx() ctx: Context) {
        return `${ctx.kind} ${ctx.method}`;
      }
      @Post() async post(@Ctx() ctx: Context) {
        let text = '';
        for await (const chunk of ctx.request) text += String(chunk);
        return text;
      }
    }

    const echo = serve({ controllers: [Echo], logger: false });

    async function ask(lines: string[], body = ''): Promise<{ status: number; body: string }> {
      const client = await RawClient.connect(await echo.url());
      client.head(...lines).write(body);
      const answer = await client.answer();
      return { status: answer.status, body: answer.body };
    }

    const H2C = [
      'Host: localhost',
      'Connection: Upgrade, HTTP2-Settings',
      'Upgrade: h2c',
      'HTTP2-Settings: AAMAAABkAAQAAP__',
    ];

    it('is served as plain HTTP for h2c', async () => {
      expect(await ask(['GET /echo HTTP/1.1', ...H2C])).to.deep.equal({ status: 200, body: 'http GET' });
    });

    it('is served as plain HTTP for websocket', async () => {
      expect(await ask(['GET /echo HTTP/1.1', ...HANDSHAKE])).to.deep.equal({
        status: 200,
        body: 'http GET',
      });
    });

    it('is a 404 where the path has nothing at all', async () => {
      expect((await ask(['GET /nowhere HTTP/1.1', ...HANDSHAKE])).status).to.equal(404);
    });

    for (const [name, fields] of [
      ['h2c', H2C],
      ['websocket', HANDSHAKE],
    ] as const) {
      it(`keeps the body of a POST with Upgrade: ${name}`, async () => {
        const answer = await ask(['POST /echo HTTP/1.1', ...fields, 'Content-Length: 11'], 'hello world');

        expect(answer).to.deep.equal({ status: 200, body: 'hello world' });
      });

      it(`keeps the chunked body of a POST with Upgrade: ${name}`, async () => {
        const answer = await ask(
          ['POST /echo HTTP/1.1', ...fields, 'Transfer-Encoding: chunked'],
          '5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n',
        );

        expect(answer).to.deep.equal({ status: 200, body: 'hello world' });
      });
    }

    it('leaves the next client alone', async () => {
      expect(await (await echo.fetch('/echo')).text()).to.equal('http GET');
    });
  });
});

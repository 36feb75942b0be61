import 'reflect-metadata';
import { once } from 'node:events';
import { expect } from 'chai';
import { inject, injectable, Lifecycle, scoped } from 'tsyringe';
import {
  Body,
  Connections,
  Context,
  Controller,
  Get,
  HttpError,
  Socket,
  UseMiddleware,
  WebSocket,
} from 'coequal';
import { Refused, serve, type TestServer } from 'coequal/testing';
import { WebSocket as Client } from 'ws';
import { deferred, turns, until } from '../support/deferred.js';
import { HANDSHAKE, RawClient, type RawAnswer } from '../support/raw-client.js';
import { recorder } from '../support/recorder.js';

@Controller()
class Plain {
  @WebSocket('/socket') socket(@Body() text: string) {
    return text;
  }
  @WebSocket('/chosen', { protocols: ['v2', 'v1'] }) chosen(@Socket() socket: Socket) {
    return `speaks ${socket.protocol}`;
  }
  @Get('/page') page() {
    return 'page';
  }
}

/** The fields of a good handshake, some of them replaced or, by an empty text, left out. */
function fields(replaced: Record<string, string> = {}): string[] {
  const kept = HANDSHAKE.map((line) => {
    const name = line.slice(0, line.indexOf(':'));
    return name in replaced ? (replaced[name] === '' ? undefined : `${name}: ${replaced[name]}`) : line;
  });
  const known = new Set(HANDSHAKE.map((line) => line.slice(0, line.indexOf(':'))));
  const added = Object.entries(replaced).filter(([name]) => !known.has(name));
  return [...kept.filter((line) => line !== undefined), ...added.map(([name, value]) => `${name}: ${value}`)];
}

async function ask(server: TestServer, ...lines: string[]): Promise<RawAnswer> {
  const client = await RawClient.connect(await server.url());
  client.head(...lines);
  const opening = await client.opening();
  if (opening.status !== 101) return client.answer();
  client.reset();
  return opening;
}

describe('an opening handshake', () => {
  const server = serve({ controllers: [Plain], logger: false });

  it('is none where the token has a space of Latin-1 around it, which is no white space of HTTP', async () => {
    const client = await RawClient.connect(await server.url());
    const lines = ['GET /socket HTTP/1.1', ...fields({ Upgrade: '\xa0websocket' }), '', ''];
    client.write(Buffer.from(lines.join('\r\n'), 'latin1'));
    expect(await client.answer()).to.include({ status: 426 });
  });

  it('is refused by a problem document where there is such a space around a subprotocol', async () => {
    const client = await RawClient.connect(await server.url());
    const lines = ['GET /chosen HTTP/1.1', ...fields({ 'Sec-WebSocket-Protocol': '\xa0v1' }), '', ''];
    client.write(Buffer.from(lines.join('\r\n'), 'latin1'));
    const { status, headers } = await client.answer();
    expect([status, headers['content-type']]).to.deep.equal([400, 'application/problem+json']);
  });

  const table: [name: string, status: number, line: string, lines: string[]][] = [
    ['that is as it should be', 101, 'GET /socket HTTP/1.1', fields()],
    [
      'whose upgrade is spelt otherwise',
      101,
      'GET /socket HTTP/1.1',
      fields({ Upgrade: 'WebSocket', Connection: 'keep-alive, upgrade' }),
    ],
    ['of version 12', 426, 'GET /socket HTTP/1.1', fields({ 'Sec-WebSocket-Version': '12' })],
    ['without a version', 426, 'GET /socket HTTP/1.1', fields({ 'Sec-WebSocket-Version': '' })],
    ['without a key', 400, 'GET /socket HTTP/1.1', fields({ 'Sec-WebSocket-Key': '' })],
    ['with a short key', 400, 'GET /socket HTTP/1.1', fields({ 'Sec-WebSocket-Key': 'c2hvcnQ=' })],
    [
      'with a key that is no base64',
      400,
      'GET /socket HTTP/1.1',
      fields({ 'Sec-WebSocket-Key': '!'.repeat(22) + '==' }),
    ],
    [
      'with two keys',
      400,
      'GET /socket HTTP/1.1',
      [...fields(), 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='],
    ],
    ['with a body', 400, 'GET /socket HTTP/1.1', [...fields(), 'Content-Length: 4']],
    ['with a chunked body', 400, 'GET /socket HTTP/1.1', [...fields(), 'Transfer-Encoding: chunked']],
    ['with a length of nothing', 101, 'GET /socket HTTP/1.1', [...fields(), 'Content-Length: 0']],
    ['with two hosts', 400, 'GET /socket HTTP/1.1', [...fields(), 'Host: other']],
    ['without a host', 400, 'GET /socket HTTP/1.1', fields({ Host: '' })],
    ['by POST', 405, 'POST /socket HTTP/1.1', fields()],
    ['by PUT', 405, 'PUT /socket HTTP/1.1', fields()],
    ['in HTTP/1.0', 426, 'GET /socket HTTP/1.0', fields()],
    ['for a target of another authority', 400, 'GET http://evil.example/socket HTTP/1.1', fields()],
    ['for a target of its own authority', 101, 'GET http://localhost/socket HTTP/1.1', fields()],
    ['for a malformed path', 400, 'GET /%00 HTTP/1.1', fields()],
    ['for another spelling of the path', 101, 'GET //%73ocket/ HTTP/1.1', fields()],
    [
      'with an unknown extension',
      101,
      'GET /socket HTTP/1.1',
      fields({ 'Sec-WebSocket-Extensions': 'constructor' }),
    ],
    [
      'with __proto__ for an extension',
      101,
      'GET /socket HTTP/1.1',
      fields({ 'Sec-WebSocket-Extensions': '__proto__; a=1' }),
    ],
    ['with empty subprotocols', 400, 'GET /socket HTTP/1.1', fields({ 'Sec-WebSocket-Protocol': 'a,,b' })],
    ['with a subprotocol twice', 400, 'GET /socket HTTP/1.1', fields({ 'Sec-WebSocket-Protocol': 'a, a' })],
    [
      'with a malformed subprotocol',
      400,
      'GET /socket HTTP/1.1',
      fields({ 'Sec-WebSocket-Protocol': 'a b' }),
    ],
    ['for a path without a socket', 200, 'GET /page HTTP/1.1', fields()],
    ['for a path without anything', 404, 'GET /nowhere HTTP/1.1', fields()],
  ];
  for (const [name, status, line, lines] of table) {
    it(`${name} is answered by ${status}`, async () => {
      const answer = await ask(server, line, ...lines);

      expect(answer.status).to.equal(status);
      if (status < 400) return;
      if (answer.body === '') return;
      expect(answer.headers['content-type']).to.equal('application/problem+json');
      expect(JSON.parse(answer.body)).to.include({ status });
    });
  }

  it('is told which version is spoken, and which method', async () => {
    const version = await ask(server, 'GET /socket HTTP/1.1', ...fields({ 'Sec-WebSocket-Version': '8' }));
    expect(version.headers).to.include({ 'sec-websocket-version': '13' });

    const method = await ask(server, 'POST /socket HTTP/1.1', ...fields());
    expect(method.headers).to.include({ allow: 'GET' });
  });

  it("agrees on the route's first subprotocol that is offered, and opens without one for others", async () => {
    const table: [offered: string[], agreed: string][] = [
      [['v1'], 'v1'],
      [['v1', 'v2'], 'v2'],
      [['unknown', 'v1'], 'v1'],
      [[], ''],
    ];
    for (const [protocols, agreed] of table) {
      const socket = await server.socket('/chosen', { protocols });
      expect([socket.protocol, await socket.next()]).to.deep.equal([agreed, `speaks ${agreed}`]);
    }
    const answer = await ask(
      server,
      'GET /chosen HTTP/1.1',
      ...fields({ 'Sec-WebSocket-Protocol': 'unknown' }),
    );
    expect(answer.status).to.equal(101);
    expect(answer.headers).not.to.have.property('sec-websocket-protocol');
  });
});

describe('a guard of a socket', () => {
  const state = { entered: deferred(), go: deferred(), ran: 0, deferred: 0, disposed: 0 };

  @scoped(Lifecycle.ContainerScoped)
  @injectable()
  class Resource {
    dispose(): void {
      state.disposed++;
    }
  }

  @injectable()
  class Guard {
    constructor(@inject(Resource) readonly resource: Resource) {}

    async use(ctx: Context, next: () => Promise<void>): Promise<void> {
      ctx.defer(() => void state.deferred++);
      state.entered.resolve();
      await state.go.promise;
      await next();
    }
  }

  @Controller()
  class Guarded {
    @WebSocket('/held')
    @UseMiddleware(Guard)
    held(): void {
      state.ran++;
    }

    @WebSocket('/refused')
    @UseMiddleware((ctx) => {
      ctx.setCookie('seen', '1').appendHeader('x-many', 'a').appendHeader('x-many', 'b');
      throw new HttpError(401, 'x'.repeat(10_000), {
        headers: { 'www-authenticate': 'Bearer' },
        extensions: { login: '/in' },
      });
    })
    refused(): void {
      state.ran++;
    }

    @WebSocket('/answered')
    @UseMiddleware((ctx) => {
      ctx.status = 307;
      ctx.setHeader('location', '/elsewhere');
      ctx.send('moved');
    })
    answered(): void {
      state.ran++;
    }

    @WebSocket('/welcome')
    @UseMiddleware((ctx, next) => {
      ctx.setCookie('a', '1').setCookie('b', '2').setHeader('x-guard', 'passed');
      return next();
    })
    welcome(): void {}
  }

  const log = recorder();
  const server = serve({ controllers: [Guarded], logger: log });

  beforeEach(() => {
    state.entered = deferred();
    state.go = deferred();
    state.ran = state.deferred = state.disposed = 0;
    log.lines.length = 0;
  });

  const ways: [name: string, how: (client: RawClient) => void][] = [
    ['resets', (client) => client.reset()],
    ['ends', (client) => client.socket.end()],
    ['is gone', (client) => client.socket.destroy()],
  ];
  for (const [name, how] of ways) {
    it(`that still decides when the client ${name} opens nothing, and what it held is given back`, async () => {
      const client = await RawClient.connect(await server.url());
      client.head('GET /held HTTP/1.1', ...fields());
      await state.entered.promise;

      how(client);
      await until(() => state.deferred === 1);
      state.go.resolve();
      await until(() => state.disposed === 1);
      await turns();

      expect(state).to.include({ ran: 0, deferred: 1, disposed: 1 });
      expect(server.app.container.resolve(Connections).count).to.equal(0);
      expect(log.lines.filter(({ level }) => level === 'error')).to.deep.equal([]);
    });
  }

  it('that refuses gives its whole answer, and the connection closes', async () => {
    const answer = await ask(server, 'GET /refused HTTP/1.1', ...fields());

    expect(answer.status).to.equal(401);
    expect(answer.headers).to.include({
      'www-authenticate': 'Bearer',
      'x-many': 'a, b',
      connection: 'close',
    });
    expect(answer.headers['set-cookie']).to.contain('seen=1');
    expect(answer.headers['content-length']).to.equal(String(answer.body.length));
    expect(JSON.parse(answer.body)).to.include({ status: 401, detail: 'x'.repeat(10_000), login: '/in' });
    expect(state.ran).to.equal(0);
  });

  it('that refuses is understood by clients', async () => {
    const refused = (await server.socket('/refused').catch((error: unknown) => error)) as Refused;

    expect(refused).to.be.instanceOf(Refused);
    expect([refused.status, refused.problem.title]).to.deep.equal([401, 'Unauthorized']);
  });

  it('that answers by itself is heard, and the socket is not opened', async () => {
    const answer = await ask(server, 'GET /answered HTTP/1.1', ...fields());

    expect([answer.status, answer.headers['location'], answer.body]).to.deep.equal([
      307,
      '/elsewhere',
      'moved',
    ]);
    expect(state.ran).to.equal(0);
  });

  it('that lets pass has its fields and cookies on the 101', async () => {
    const { headers } = await server.socket('/welcome');

    expect(headers.get('x-guard')).to.equal('passed');
    expect(headers.getSetCookie().map((cookie) => cookie.split(';')[0])).to.deep.equal(['a=1', 'b=2']);
  });

  it('leaves nothing of one client to the next', async () => {
    await ask(server, 'GET /welcome HTTP/1.1', ...fields({ 'Sec-WebSocket-Version': '8' }));
    const client = await RawClient.connect(await server.url());
    client.head('GET /held HTTP/1.1', ...fields());
    await state.entered.promise;
    state.go.resolve();

    expect((await client.opening()).headers).not.to.have.any.keys('set-cookie', 'x-guard');
    client.reset();
  });
});

describe('a handshake that takes too long', () => {
  const entered = { count: 0 };

  @Controller()
  @UseMiddleware(() => {
    entered.count++;
    return new Promise(() => undefined);
  })
  class Stuck {
    @WebSocket('/stuck') stuck(): void {}
  }

  const timed = serve({ controllers: [Stuck], logger: false, timeouts: { handshake: 20 } });
  const capped = serve({ controllers: [Stuck, Plain], logger: false, limits: { handshakes: 2 } });

  it('is refused by a 503', async () => {
    const answer = await ask(timed, 'GET /stuck HTTP/1.1', ...fields());

    expect([answer.status, JSON.parse(answer.body).status]).to.deep.equal([503, 503]);
  });

  it('takes a place until it is over, and with no place left the next is refused by a 503', async () => {
    entered.count = 0;
    const url = await capped.url();
    const clients = [await RawClient.connect(url), await RawClient.connect(url)];
    for (const client of clients) client.head('GET /stuck HTTP/1.1', ...fields());
    await until(() => entered.count === 2);

    const refused = await ask(capped, 'GET /socket HTTP/1.1', ...fields());
    expect([refused.status, refused.headers['retry-after']]).to.deep.equal([503, '1']);
    // Requests that open nothing have places of their own.
    expect((await capped.fetch('/page')).status).to.equal(200);

    for (const client of clients) client.reset();
    await Promise.all(clients.map((client) => client.closed()));
    const socket = new Client(`${url.replace('http', 'ws')}/socket`);
    await once(socket, 'open');
    socket.terminate();
  });
});

describe('the origin of a socket', () => {
  @Controller()
  class Open {
    @WebSocket('/default') default(): void {}
    @WebSocket('/any', { origins: '*' }) any(): void {}
    @WebSocket('/listed', { origins: ['https://app.example'] }) listed(): void {}
    @WebSocket('/decided', {
      origins: (origin, ctx) => origin === `https://${String(ctx.query['tenant'])}.example`,
    })
    decided(): void {}
  }

  const server = serve({ controllers: [Open], logger: false });
  const proxied = serve({ controllers: [Open], logger: false, trustProxy: 'loopback' });

  async function status(path: string, lines: string[], to = server): Promise<number> {
    return (await ask(to, `GET ${path} HTTP/1.1`, ...fields({ Host: 'app.example:8080' }), ...lines)).status;
  }

  const table: [name: string, status: number, lines: string[]][] = [
    ['is that of the server', 101, ['Origin: http://app.example:8080']],
    ['is null', 403, ['Origin: null']],
    ['has another port', 403, ['Origin: http://app.example:8081']],
    ['has no port', 403, ['Origin: http://app.example']],
    ['has another scheme', 403, ['Origin: https://app.example:8080']],
    ['has a suffix', 403, ['Origin: http://app.example:8080.evil.example']],
    ['has a prefix', 403, ['Origin: http://evil-app.example:8080']],
    ['is a subdomain', 403, ['Origin: http://x.app.example:8080']],
    ['has a user', 403, ['Origin: http://app.example:8080@evil.example']],
    ['has a path', 403, ['Origin: http://app.example:8080/']],
    ['is two', 403, ['Origin: http://app.example:8080', 'Origin: http://app.example:8080']],
    ['is a list', 403, ['Origin: http://app.example:8080 http://evil.example']],
    ['is empty', 403, ['Origin: ']],
    ['is missing, without a cookie', 101, []],
    ['is missing, with a cookie', 101, ['Cookie: a=1']],
    ['is in other letters', 101, ['Origin: HTTP://App.Example:8080']],
    ["has the root's dot", 101, ['Origin: http://app.example.:8080']],
    ['is missing, and the browser tells of another site', 403, ['Sec-Fetch-Site: cross-site']],
    ['is missing, and the browser tells of a site nearby', 403, ['Sec-Fetch-Site: same-site']],
    ['is missing, and the visitor typed the address', 101, ['Sec-Fetch-Site: none']],
    [
      'is that of the server, and the browser tells of another site',
      403,
      ['Origin: http://app.example:8080', 'Sec-Fetch-Site: cross-site'],
    ],
    [
      'is missing, with a cookie, and the browser says that it is the same',
      101,
      ['Cookie: a=1', 'Sec-Fetch-Site: same-origin'],
    ],
    [
      'is another though it is forwarded by nobody who is trusted',
      403,
      ['Origin: https://front.example', 'X-Forwarded-Host: front.example', 'X-Forwarded-Proto: https'],
    ],
  ];
  for (const [name, expected, lines] of table) {
    it(`is ${expected === 101 ? 'let in' : 'refused'} where it ${name}`, async () => {
      expect(await status('/default', lines)).to.equal(expected);
    });
  }

  it('is that of a page under https where a trusted proxy writes wss', async () => {
    for (const [scheme, expected] of [
      ['wss', 101],
      ['ws', 403],
    ] as const) {
      const fields = [`X-Forwarded-Proto: ${scheme}`, 'Origin: https://app.example:8080'];
      expect(await status('/default', fields, proxied), scheme).to.equal(expected);
    }
  });

  it('is let in as a trusted proxy says', async () => {
    const forwarded = ['X-Forwarded-Host: front.example', 'X-Forwarded-Proto: https'];

    expect(await status('/default', ['Origin: https://front.example', ...forwarded], proxied)).to.equal(101);
    expect(await status('/default', ['Origin: http://app.example:8080', ...forwarded], proxied)).to.equal(
      403,
    );
  });

  const policies: [path: string, origin: string, status: number][] = [
    ['/any', 'https://evil.example', 101],
    ['/any', 'null', 101],
    ['/listed', 'https://app.example', 101],
    ['/listed', 'https://app.example:443', 101],
    ['/listed', 'http://app.example:8080', 101],
    ['/listed', 'http://other.example:8080', 403],
    ['/listed', 'https://app.example.evil.example', 403],
    ['/decided?tenant=one', 'https://one.example', 101],
    ['/decided?tenant=one', 'https://two.example', 403],
  ];
  for (const [path, origin, expected] of policies) {
    it(`is ${expected === 101 ? 'let in' : 'refused'} by the policy of ${path} for ${origin}`, async () => {
      expect(await status(path, [`Origin: ${origin}`])).to.equal(expected);
    });
  }
});

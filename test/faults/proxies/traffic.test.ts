import { expect } from 'chai';
import { once } from 'node:events';
import { connect as connectByHttp2 } from 'node:http2';
import {
  Body,
  Controller,
  Ctx,
  Get,
  HttpError,
  Post,
  sessions,
  Signal,
  Socket,
  Sse,
  UseMiddleware,
  WebSocket,
  type Context,
} from 'coequal';
import { mistreated } from '../../support/canary.js';
import { deferred, type Deferred } from '../../support/deferred.js';
import { Journal } from '../../support/journal.js';
import { ask, handshake, open, openSocket } from '../../support/proxied-client.js';
import { CLIENT, PROXY, proxied } from '../../support/proxy-process.js';
import { HOST, proxies } from '../../support/proxies.js';

const ORIGIN = `https://${HOST}`;
const SPOOFED = '203.0.113.66';

/** What waits for the test before the second of two values; anew for each case. */
let gate: Deferred<void>;
const journal = new Journal();

async function* twoValues(): AsyncGenerator<string> {
  yield 'first';
  await gate.promise;
  yield 'second';
}

@Controller()
class Behind {
  @Post('/body') body(@Body() bytes: Buffer) {
    return { length: bytes.length, sum: bytes.reduce((sum, byte) => sum + byte, 0) };
  }
  @Get('/facts') facts(@Ctx() ctx: Context) {
    ctx.setCookie('seen', 'yes');
    return { ip: ctx.ip, peer: `${ctx.request.socket.remoteAddress}:${ctx.request.socket.remotePort}` };
  }
  @Post('/write') write() {
    return 'written';
  }
  @Sse('/events') events() {
    return twoValues();
  }
  @Get('/lines') lines() {
    return twoValues();
  }
  @Sse('/left') async *left(@Signal() signal: AbortSignal) {
    yield 'here';
    await once(signal, 'abort');
    journal.note('left');
  }
  @WebSocket('/echo') echo(@Body() bytes: Buffer) {
    return bytes;
  }
  @WebSocket('/greeting') greeting(@Socket() socket: Socket) {
    socket.send('welcome');
  }
  @WebSocket('/closing') closing(@Socket() socket: Socket<string>) {
    socket.close(4321, 'enough');
  }
  @WebSocket('/guarded')
  @UseMiddleware(() => {
    throw new HttpError(401, 'Sign in first', { headers: { 'www-authenticate': 'Bearer' } });
  })
  guarded() {}
}

describe('Proxies', () => {
  for (const proxy of proxies) {
    describe(proxy.name, () => {
      const { server, holds } = mistreated({
        controllers: [Behind],
        middleware: [sessions()],
        trustProxy: PROXY,
      });
      const through = proxied(proxy, () => server.url());

      beforeEach(() => {
        gate = deferred();
      });
      afterEach(() => gate.resolve());

      holds('passes a body on, of a length that is told', async () => {
        const body = Buffer.alloc(100_000, 7);
        const answer = await ask(through, '/body', { method: 'POST', body });
        expect(JSON.parse(answer.body)).to.deep.equal({ length: 100_000, sum: 700_000 });
      });

      holds('passes a body on, of a length that is not', async () => {
        const headers = { 'transfer-encoding': 'chunked' };
        const answer = await ask(through, '/body', {
          method: 'POST',
          headers,
          body: Buffer.alloc(50_000, 1),
        });
        expect(JSON.parse(answer.body)).to.deep.equal({ length: 50_000, sum: 50_000 });
      });

      holds('refuses a body over the limit', async () => {
        const answer = await ask(through, '/body', { method: 'POST', body: Buffer.alloc(1_048_577) });
        // Caddy does not read the answer where it is still writing when the application hangs up.
        expect(answer.status).to.be.oneOf(proxy.name === 'caddy' ? [413, 502] : [413]);
      });

      for (const [what, path, headers] of [
        ['an event', '/events', { accept: 'text/event-stream' }],
        ['a line', '/lines', {}],
      ] as const) {
        holds(`passes ${what} on before the next is made`, async () => {
          const response = (await open(through, path, { headers })).setEncoding('utf8');
          let text = '';
          response.on('data', (chunk: string) => (text += chunk));
          while (!text.includes('first')) await once(response, 'data');
          expect(text).not.to.include('second');
          gate.resolve();
          while (!text.includes('second')) await once(response, 'data');
          response.destroy();
        });
      }

      holds('passes an event on by HTTP/2 before the next is made', async () => {
        const { tls } = through;
        const session = connectByHttp2(ORIGIN, { ...tls });
        const stream = session.request({ ':path': '/events', accept: 'text/event-stream' });
        stream.setEncoding('utf8');
        let text = '';
        stream.on('data', (chunk: string) => (text += chunk));
        while (!text.includes('first')) await once(stream, 'data');
        expect(text).not.to.include('second');
        gate.resolve();
        while (!text.includes('second')) await once(stream, 'data');
        stream.close();
        session.destroy();
      });

      holds('tells a stream that its reader has left', async () => {
        const times = journal.count('left');
        const response = await open(through, '/left', { headers: { accept: 'text/event-stream' } });
        await once(response, 'data');
        response.destroy();
        await journal.until('left', times + 1);
      });

      holds('passes messages on in both directions', async () => {
        const { socket, next } = await openSocket(through, '/echo');
        const large = Buffer.alloc(65_536, 3);
        socket.send(Buffer.from('first'));
        socket.send(large);
        expect(String(await next())).to.equal('first');
        expect(large.equals((await next()) as Buffer)).to.equal(true);
        socket.terminate();
      });

      holds('passes on what a socket is told before it says anything', async () => {
        const { socket, next } = await openSocket(through, '/greeting');
        expect(await next()).to.equal('welcome');
        socket.terminate();
      });

      holds('passes close codes on', async () => {
        const { socket } = await openSocket(through, '/closing');
        const [code, reason] = (await once(socket, 'close')) as [number, Buffer];
        expect([code, String(reason)]).to.deep.equal([4321, 'enough']);
      });

      holds('passes on the answer of a guard that refuses a socket', async () => {
        const headers = {
          connection: 'Upgrade',
          upgrade: 'websocket',
          'sec-websocket-version': '13',
          'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
        };
        const answer = await ask(through, '/guarded', { headers });
        expect(answer.status).to.equal(401);
        expect(answer.headers['www-authenticate']).to.equal('Bearer');
        expect(answer.headers['content-type']).to.equal('application/problem+json');
        expect(JSON.parse(answer.body)).to.include({ status: 401, detail: 'Sign in first' });
      });

      holds('uses its connection to the application for further requests', async () => {
        const client = await through.raw();
        const peers = (bytes: Buffer) => String(bytes).match(/"peer":"[^"]+"/g) ?? [];
        for (let count = 1; count <= 3; count++) {
          client.head('GET /facts HTTP/1.1', `Host: ${HOST}`);
          await client.until((bytes) => peers(bytes).length === count);
        }
        expect(new Set(peers(client.received)).size).to.equal(1);
        client.socket.destroy();
      });

      holds('lets the application see the address of its client', async () => {
        expect(JSON.parse((await ask(through, '/facts')).body)).to.include({ ip: CLIENT });
      });

      for (const [name, value] of [
        ['X-Forwarded-For', SPOOFED],
        ['x-forwarded-for', [SPOOFED, PROXY]],
        ['X-Forwarded-For', `${SPOOFED}, ${PROXY}`],
        ['X-Forwarded-For', ''],
        ['X-Real-IP', SPOOFED],
        ['Forwarded', `for=${SPOOFED}`],
        ['Connection', 'X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host'],
      ] as const) {
        holds(`does so whatever the client writes: ${name}: ${String(value)}`, async () => {
          const headers = { [name]: typeof value === 'string' ? value : [...value] };
          const answer = await ask(through, '/facts', { headers });
          expect(JSON.parse(answer.body)).to.include({ ip: CLIENT });
          expect(answer.headers['set-cookie']?.[0]).to.match(/; Secure/);
        });
      }

      holds('makes cookies Secure, whatever protocol the client names', async () => {
        for (const named of [[], ['http'], ['http', 'http']]) {
          const headers = { 'x-forwarded-proto': named };
          const answer = await ask(through, '/facts', { headers });
          expect(answer.headers['set-cookie']).to.deep.equal([
            'seen=yes; Path=/; HttpOnly; Secure; SameSite=Lax',
          ]);
        }
      });

      for (const [what, status, headers] of [
        ['of a page of the site', 101, { origin: ORIGIN }],
        ['of a page of the site without TLS', 403, { origin: `http://${HOST}` }],
        ['of another site', 403, { origin: 'https://evil.example' }],
        [
          'of another site that says it is forwarded',
          403,
          { origin: 'https://evil.example', 'x-forwarded-host': 'evil.example' },
        ],
        [
          'of a page without TLS that says it is forwarded',
          403,
          { origin: `http://${HOST}`, 'x-forwarded-proto': 'http' },
        ],
      ] as const) {
        holds(`${status === 101 ? 'opens' : 'refuses'} a socket ${what}`, async () => {
          expect(await handshake(through, '/echo', { cookie: 'a=1', ...headers })).to.equal(status);
        });

        holds(`${status === 101 ? 'lets a session write' : 'refuses a write'} ${what}`, async () => {
          const cookie = `__Host-session=${'a'.repeat(43)}`;
          const answer = await ask(through, '/write', { method: 'POST', headers: { cookie, ...headers } });
          expect(answer.status).to.equal(status === 101 ? 200 : 403);
        });
      }

      holds('writes no query and no credentials into its log', async () => {
        const headers = {
          cookie: 'a=in-a-cookie',
          authorization: 'Bearer in-a-field',
          referer: `${ORIGIN}/?token=in-a-referrer`,
          'sec-websocket-protocol': 'in-a-protocol',
        };
        await ask(through, '/logged-query?access_token=in-a-query', { headers });
        await through.hasTold('GET /logged-query');
        expect(through.lines.join('\n')).not.to.match(/in-a-/);
      });
    });
  }
});

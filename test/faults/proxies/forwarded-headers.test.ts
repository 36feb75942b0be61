import { expect } from 'chai';
import { Body, Controller, Ctx, Get, Post, sessions, WebSocket, type Context } from 'coequal';
import type { TestServer } from 'coequal/testing';
import { mistreated } from '../../support/canary.js';
import { HANDSHAKE, RawClient, type RawAnswer } from '../../support/raw-client.js';

/** All that claims where a request comes from, or where it goes; each by itself, so that a failure names it. */
const CLAIMS: readonly string[] = [
  'X-Forwarded-For: 203.0.113.66',
  'X-Forwarded-For: 203.0.113.66, 127.0.0.1',
  'X-Forwarded-Proto: https',
  'X-Forwarded-Host: front.example',
  'X-Forwarded-Port: 443',
  'X-Forwarded-Ssl: on',
  'X-Forwarded-Scheme: https',
  'X-Forwarded-Server: front.example',
  'X-Forwarded-Prefix: /other',
  'X-Forwarded-Uri: /other',
  'X-Original-URL: /other',
  'X-Rewrite-URL: /other',
  'X-Original-Host: front.example',
  'X-Host: front.example',
  'X-Real-IP: 203.0.113.66',
  'X-Client-IP: 203.0.113.66',
  'X-Cluster-Client-IP: 203.0.113.66',
  'True-Client-IP: 203.0.113.66',
  'CF-Connecting-IP: 203.0.113.66',
  'Client-IP: 203.0.113.66',
  'Front-End-Https: on',
  'Forwarded: for=203.0.113.66;proto=https;host=front.example',
  'Via: 1.1 front.example',
];

@Controller()
class Facts {
  @Get('/facts') facts(@Ctx() ctx: Context) {
    ctx.setCookie('seen', 'yes');
    return { ip: ctx.ip, path: ctx.path };
  }
  @Get('/other') other() {
    return { ip: 'other', path: 'other' };
  }
  @Post('/write') write() {
    return 'written';
  }
  @WebSocket('/socket') socket(@Body() text: string) {
    return text;
  }
}

async function asked(server: TestServer, line: string, ...fields: string[]): Promise<RawAnswer> {
  const client = await RawClient.connect(await server.url());
  return client.head(line, 'Host: site.example', 'Connection: close', ...fields).answer();
}

async function opened(server: TestServer, ...fields: string[]): Promise<number> {
  const client = await RawClient.connect(await server.url());
  const handshake = HANDSHAKE.map((field) => field.replace('localhost', 'site.example'));
  const { status } = await client.head('GET /socket HTTP/1.1', ...handshake, ...fields).opening();
  client.reset();
  return status;
}

const COOKIE = `Cookie: __Host-session=${'a'.repeat(43)}`;
const PROXIED = ['X-Forwarded-Host: front.example', 'X-Forwarded-Proto: https'];

describe('Proxies', () => {
  for (const [who, trustProxy] of [
    ['where nobody is trusted', undefined],
    ['from another peer than is trusted', ['192.0.2.1', '198.51.100.0/24', 'uniquelocal', '::1']],
  ] as const) {
    describe(`forwarded headers ${who}`, () => {
      const options = {
        controllers: [Facts],
        middleware: [sessions()],
        ...(trustProxy === undefined ? {} : { trustProxy }),
      };
      const { server, holds } = mistreated(options);
      // The canary's socket, and one more.
      const limited = mistreated({ ...options, limits: { connectionsPerAddress: 2 } });

      for (const claim of CLAIMS) {
        holds(`are ignored: ${claim}`, async () => {
          const answer = await asked(server, 'GET /facts HTTP/1.1', claim);
          expect(JSON.parse(answer.body)).to.deep.equal({ ip: '127.0.0.1', path: '/facts' });
          expect(answer.headers['set-cookie']).to.equal('seen=yes; Path=/; HttpOnly; SameSite=Lax');
        });

        holds(`open no socket to the page that they name: ${claim}`, async () => {
          expect(await opened(server, claim, COOKIE, 'Origin: https://front.example')).to.equal(403);
          expect(await opened(server, claim, COOKIE, 'Origin: https://site.example')).to.equal(403);
          expect(await opened(server, claim, COOKIE, 'Origin: http://front.example')).to.equal(403);
          expect(await opened(server, claim, COOKIE, 'Origin: http://site.example')).to.equal(101);
        });
      }

      holds('let no other page write with the cookie of a session', async () => {
        const write = async (origin: string) =>
          (
            await asked(
              server,
              'POST /write HTTP/1.1',
              'Content-Length: 0',
              COOKIE,
              origin,
              ...CLAIMS.slice(2),
            )
          ).status;
        expect(await write('Origin: https://front.example')).to.equal(403);
        expect(await write('Origin: https://site.example')).to.equal(403);
        expect(await write('Origin: http://site.example')).to.equal(200);
      });

      limited.holds('do not spare a client the limit of its address', async () => {
        const { raw } = await limited.server.socket('/socket');
        for (const ip of ['203.0.113.1', '203.0.113.2']) {
          expect(await opened(limited.server, `X-Forwarded-For: ${ip}`, `X-Real-IP: ${ip}`)).to.equal(429);
        }
        raw.terminate();
      });
    });
  }

  describe('forwarded headers from a trusted peer', () => {
    const { server, holds } = mistreated({
      controllers: [Facts],
      middleware: [sessions()],
      trustProxy: '127.0.0.1',
    });
    const ip = async (...fields: string[]) =>
      (JSON.parse((await asked(server, 'GET /facts HTTP/1.1', ...fields)).body) as { ip: string }).ip;

    holds('tell the address of its client', async () => {
      expect(await ip('X-Forwarded-For: 198.51.100.7')).to.equal('198.51.100.7');
      expect(await ip('X-Forwarded-For: 2001:db8::7')).to.equal('2001:db8::7');
    });

    holds(
      'tell the last address that is not trusted, whatever the client has written before it',
      async () => {
        expect(await ip('X-Forwarded-For: 203.0.113.66, 198.51.100.7')).to.equal('198.51.100.7');
        expect(await ip('X-Forwarded-For: 203.0.113.66', 'X-Forwarded-For: 198.51.100.7')).to.equal(
          '198.51.100.7',
        );
        expect(await ip('X-Forwarded-For: 127.0.0.1, 198.51.100.7')).to.equal('198.51.100.7');
        expect(await ip('X-Forwarded-For: , ,203.0.113.66 ,, 198.51.100.7 ,')).to.equal('198.51.100.7');
      },
    );

    holds('tell nothing where they are empty', async () => {
      expect(await ip('X-Forwarded-For:')).to.equal('127.0.0.1');
      expect(await ip('X-Forwarded-For: ,')).to.equal('127.0.0.1');
      expect(await ip()).to.equal('127.0.0.1');
    });

    holds('are read in no time where they are long', async () => {
      const field = `X-Forwarded-For: ${'127.0.0.1,'.repeat(1_000)}198.51.100.7${',127.0.0.1'.repeat(400)}`;
      expect(await ip(field)).to.equal('198.51.100.7');
    });

    holds('other than X-Forwarded-For, -Proto and -Host are ignored all the same', async () => {
      for (const claim of CLAIMS.slice(4)) {
        const answer = await asked(server, 'GET /facts HTTP/1.1', claim);
        expect(JSON.parse(answer.body), claim).to.deep.equal({ ip: '127.0.0.1', path: '/facts' });
        expect(answer.headers['set-cookie'], claim).to.equal('seen=yes; Path=/; HttpOnly; SameSite=Lax');
      }
    });

    holds('make cookies Secure by the protocol that the nearest proxy names', async () => {
      const cookie = async (...fields: string[]) =>
        (await asked(server, 'GET /facts HTTP/1.1', ...fields)).headers['set-cookie'];
      expect(await cookie('X-Forwarded-Proto: https')).to.include('Secure');
      expect(await cookie('X-Forwarded-Proto: http, https')).to.include('Secure');
      expect(await cookie('X-Forwarded-Proto: http', 'X-Forwarded-Proto: https')).to.include('Secure');
      expect(await cookie('X-Forwarded-Proto: https, http')).not.to.include('Secure');
      expect(await cookie('X-Forwarded-Proto: wss')).to.include('Secure');
      expect(await cookie('X-Forwarded-Proto: ws')).not.to.include('Secure');
    });

    holds('decide which page is of the site, by protocol and host', async () => {
      expect(await opened(server, COOKIE, 'Origin: https://front.example', ...PROXIED)).to.equal(101);
      expect(await opened(server, COOKIE, 'Origin: http://front.example', ...PROXIED)).to.equal(403);
      expect(await opened(server, COOKIE, 'Origin: http://site.example', ...PROXIED)).to.equal(403);
      expect(await opened(server, COOKIE, 'Origin: https://front.example', PROXIED[1] ?? '')).to.equal(403);
      expect(await opened(server, COOKIE, 'Origin: https://site.example', PROXIED[1] ?? '')).to.equal(101);
    });

    for (const host of [
      '',
      ' ',
      'a b',
      'front.example, evil.example',
      'front.example:x',
      '[',
      '%',
      'javascript:',
    ]) {
      holds(`that name no host of a page open no socket to it: ${JSON.stringify(host)}`, async () => {
        const fields = [COOKIE, `X-Forwarded-Host: ${host}`, 'X-Forwarded-Proto: https'];
        expect(await opened(server, 'Origin: https://front.example', ...fields)).to.equal(403);
        expect(await opened(server, 'Origin: null', ...fields)).to.equal(403);
      });
    }
  });
});

import { expect } from 'chai';
import {
  Body,
  Controller,
  HttpError,
  Post,
  Rpc,
  sessions,
  Socket,
  WebSocket,
  type OriginPolicy,
} from 'coequal';
import { mistreated, type Mistreated } from '../../support/canary.js';
import { asks } from '../../support/doors.js';
import { RawClient } from '../../support/raw-client.js';

const ran: string[] = [];
const COOKIE = 'Cookie: __Host-session=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa';

/** A policy that answers other than it should: what JavaScript lets through, and `as` in TypeScript. */
const careless = (answer: unknown): OriginPolicy => (() => answer) as unknown as OriginPolicy;

@Controller()
class Rooms {
  @WebSocket('/text') text(@Body() text: string) {
    ran.push(text);
  }
  @WebSocket('/loop') async loop(@Socket(String) socket: Socket<string>) {
    ran.push('loop');
    for await (const text of socket) ran.push(text);
  }
  @WebSocket('/calls') calls(): void {
    ran.push('calls');
  }
  @Rpc() call(): void {
    ran.push('call');
  }
  @WebSocket('/any', { origins: '*' }) any(): void {}
  @WebSocket('/own', { origins: 'same-origin' }) own(): void {}
  @WebSocket('/listed', { origins: ['https://app.example', 'null', 'app://shell'] }) listed(): void {}
  @WebSocket('/nobody', { origins: [] }) nobody(): void {}
  @WebSocket('/chosen', { origins: (origin) => origin === 'https://app.example' }) chosen(): void {}
  @WebSocket('/later', { origins: careless(Promise.resolve(false)) }) later(): void {}
  @WebSocket('/much', { origins: careless('https://app.example') }) much(): void {}
  @WebSocket('/nothing', { origins: careless(undefined) }) nothing(): void {}
  @WebSocket('/tenants', { origins: async (origin) => origin === 'https://app.example' }) tenants(): void {}
  @WebSocket('/failing', {
    origins: () => {
      throw new Error('the list of tenants is gone');
    },
  })
  failing(): void {}
  @WebSocket('/rejecting', { origins: () => Promise.reject(new Error('the list of tenants is gone')) })
  rejecting(): void {}
  @WebSocket('/unreadable', {
    origins: careless({
      get then() {
        throw new Error('the list of tenants is gone');
      },
    }),
  })
  unreadable(): void {}
  @WebSocket('/misdirected', {
    origins: () => {
      throw new HttpError(421);
    },
  })
  misdirected(): void {}
}

@Controller()
class Forms {
  @Post('/form') form(): string {
    ran.push('form');
    return 'sent';
  }
}

describe('Identity', () => {
  beforeEach(() => void (ran.length = 0));

  describe('origins of sockets', () => {
    const suite = mistreated({ controllers: [Rooms] });

    /** What a page of another site may look like, the host being `app.example:8080`. */
    const foreign = [
      'null',
      '',
      'http://',
      'app.example:8080',
      '//app.example:8080',
      'https://app.example:8080',
      'ws://app.example:8080',
      'http:app.example:8080',
      'http:///app.example:8080',
      'http://app.example',
      'http://app.example:80',
      'http://app.example:08080',
      'http://app.example:80800',
      'http://app.example:8080.evil.example',
      'http://app.example..:8080',
      'http://.app.example:8080',
      'http://evil.example:8080',
      'http://evil-app.example:8080',
      'http://x.app.example:8080',
      'http://example:8080',
      'http://app.example:8080@evil.example',
      'http://evil.example@app.example:8080',
      'http://app.example:8080/',
      'http://app.example:8080/x',
      'http://app.example:8080?',
      'http://app.example:8080#',
      'http://app.example:8080\\.evil.example',
      'http://evil.example/http://app.example:8080',
      'http://app.example:8080 http://evil.example',
      'http://app.example:8080, http://app.example:8080',
      'http://app.example%3a8080',
      'http://app.example%00:8080',
      'http://app.example:8080\u00a0',
      'http://\u0430pp.example:8080',
      'http://xn--pp-7ka.example:8080',
      'http://127.0.0.1:8080',
      'http://[::1]:8080',
      'file://',
      'file:///app.example:8080',
      'data:text/html,x',
      'about:blank',
      'blob:http://app.example:8080/1',
      'chrome-extension://app.example:8080',
      `http://${'a'.repeat(4_000)}:8080`,
    ];
    for (const origin of foreign) {
      const shown = origin.length > 100 ? `${origin.slice(0, 20)}…` : origin;
      suite.holds(`are refused where the page is one of ${JSON.stringify(shown)}`, async () => {
        for (const path of ['/text', '/loop', '/calls', '/own']) {
          for (const more of [[], [COOKIE], ['Sec-Fetch-Site: same-origin']]) {
            await isRefused(suite, path, [`Origin: ${origin}`, ...more]);
          }
        }
      });
    }

    const lines: [name: string, lines: string[]][] = [
      ['are two that are the same', ['Origin: http://app.example:8080', 'Origin: http://app.example:8080']],
      ['are two, the own one last', ['Origin: http://evil.example', 'Origin: http://app.example:8080']],
      ['are two in other spellings', ['origin: http://app.example:8080', 'ORIGIN: http://evil.example']],
      ['are missing, and the browser tells of another site', ['Sec-Fetch-Site: cross-site']],
      [
        'are missing, and the browser tells of another site than that of the cookie',
        [COOKIE, 'Sec-Fetch-Site: cross-site'],
      ],
      [
        'are ours, and the browser tells of another site',
        ['Origin: http://app.example:8080', 'Sec-Fetch-Site: cross-site'],
      ],
      ['are missing, and the browser tells of a site nearby', [COOKIE, 'Sec-Fetch-Site: same-site']],
      [
        'are missing, and the browser tells two things',
        [COOKIE, 'Sec-Fetch-Site: same-origin', 'Sec-Fetch-Site: cross-site'],
      ],
      [
        'are those of a host that a client has made up',
        ['Origin: http://evil.example', 'X-Forwarded-Host: evil.example', 'Forwarded: host=evil.example'],
      ],
    ];
    for (const [name, fields] of lines) {
      suite.holds(`are refused where they ${name}`, () => isRefused(suite, '/text', fields));
    }

    const own: [name: string, host: string, lines: string[]][] = [
      ['are those of the host', 'app.example:8080', ['Origin: http://app.example:8080']],
      ['are those of the host, in other letters', 'APP.example:8080', ['Origin: http://app.example:8080']],
      ['have the port that need not be said', 'app.example:80', ['Origin: http://app.example']],
      ['are in other letters', 'app.example:8080', ['Origin: HTTP://APP.EXAMPLE:8080']],
      ["have the root's dot", 'app.example:8080', ['Origin: http://app.example.:8080']],
      ['are missing, with a cookie', 'app.example:8080', [COOKIE]],
      [
        'are missing, and the visitor typed the address',
        'app.example:8080',
        [COOKIE, 'Sec-Fetch-Site: none'],
      ],
      ['are addresses', '[::1]:8080', ['Origin: http://[::1]:8080']],
      ['are missing, and there is no cookie', 'app.example:8080', []],
      [
        'are missing, and the credential is one that browsers do not send by themselves',
        'app.example:8080',
        ['Authorization: Bearer x'],
      ],
      [
        'are missing, and the browser says that the page is ours',
        'app.example:8080',
        [COOKIE, 'Sec-Fetch-Site: same-origin'],
      ],
    ];
    for (const [name, host, fields] of own) {
      suite.holds(`are let in where they ${name}`, async () => {
        expect(await status(suite, '/own', fields, host)).to.equal(101);
      });
    }
  });

  describe('policies of origins', () => {
    const suite = mistreated({ controllers: [Rooms] });
    const everyone = mistreated({ controllers: [Rooms], origins: '*' });
    const some = mistreated({ controllers: [Rooms], origins: ['https://app.example'] });
    const own = 'http://app.example:8080';

    const table: [suite: Mistreated, path: string, origin: string, status: number][] = [
      [suite, '/any', 'https://evil.example', 101],
      [suite, '/any', 'null', 101],
      [suite, '/listed', 'https://app.example', 101],
      [suite, '/listed', 'app://shell', 101],
      [suite, '/listed', 'null', 101],
      [suite, '/listed', own, 101],
      [suite, '/listed', 'http://other.example:8080', 403],
      [suite, '/listed', 'https://app.example.', 101],
      [suite, '/listed', 'https://app.example:443', 101],
      [suite, '/listed', 'https://app.example, null', 403],
      [suite, '/listed', 'length', 403],
      [suite, '/nobody', own, 101],
      [suite, '/nobody', 'https://app.example', 403],
      [suite, '/nobody', 'undefined', 403],
      [suite, '/chosen', 'https://app.example', 101],
      [suite, '/chosen', 'https://other.example', 403],
      [suite, '/chosen', own, 101],
      [suite, '/later', 'https://app.example', 403],
      [suite, '/tenants', 'https://app.example', 101],
      [suite, '/tenants', 'https://other.example', 403],
      [suite, '/much', 'https://app.example', 403],
      [suite, '/nothing', 'https://app.example', 403],
      [everyone, '/text', 'https://evil.example', 101],
      [everyone, '/own', 'https://evil.example', 403],
      [everyone, '/own', own, 101],
      [everyone, '/listed', 'https://evil.example', 403],
      [some, '/text', 'https://app.example', 101],
      [some, '/text', own, 101],
      [some, '/own', own, 101],
      [some, '/own', 'https://app.example', 403],
    ];
    for (const [on, path, origin, expected] of table) {
      const where = on === suite ? '' : on === everyone ? ', under *' : ', under a list';
      on.holds(`${expected === 101 ? 'let in' : 'refuse'} ${origin} at ${path}${where}`, async () => {
        if (expected === 403) await isRefused(on, path, [`Origin: ${origin}`]);
        else expect(await status(on, path, [`Origin: ${origin}`])).to.equal(101);
      });
    }

    for (const path of ['/failing', '/rejecting', '/unreadable']) {
      suite.holds(`that fail let nobody in, and are logged once, at ${path}`, async () => {
        await isRefused(suite, path, ['Origin: https://app.example']);
        expect(suite.log.at('error')).to.have.length(1);
      });
    }

    suite.holds('that throw an HttpError are answered by it', async () => {
      expect(await status(suite, '/misdirected', ['Origin: https://app.example'])).to.equal(421);
    });

    const failing = mistreated({
      controllers: [Forms],
      middleware: [sessions()],
      origins: () => Promise.reject(new Error('the list of tenants is gone')),
    });
    failing.holds('that fail let no form in, either', async () => {
      const client = await RawClient.connect(await failing.server.url());
      client.head(
        'POST /form HTTP/1.1',
        'Host: localhost',
        'Content-Length: 0',
        'Origin: https://app.example',
      );
      expect((await client.answer()).status).to.equal(403);
      expect(ran).to.deep.equal([]);
      expect(failing.log.at('error')).to.have.length(1);
    });
  });
});

async function open({ server }: Mistreated, path: string, lines: string[], host: string): Promise<RawClient> {
  const client = await RawClient.connect(await server.url());
  const head = [`GET ${path} HTTP/1.1`, `Host: ${host}`, ...asks.websocket, ...lines, '', ''].join('\r\n');
  return client.write(Buffer.from(head));
}

async function status(suite: Mistreated, path: string, lines: string[], host = 'app.example:8080') {
  const client = await open(suite, path, lines, host);
  const opening = await client.opening();
  client.reset();
  return opening.status;
}

/** The handshake is answered by the one refusal, and nothing of the socket's method was run. */
async function isRefused(suite: Mistreated, path: string, lines: string[]): Promise<void> {
  const client = await open(suite, path, lines, 'app.example:8080');
  const answer = await client.answer();
  expect(answer.status).to.equal(403);
  expect(answer.headers).to.include({ 'content-type': 'application/problem+json', connection: 'close' });
  const { requestId, ...problem } = JSON.parse(answer.body) as Record<string, unknown>;
  expect(requestId).to.be.a('string');
  const detail = 'The request comes from a page of another site';
  expect(problem).to.deep.equal({ title: 'Forbidden', status: 403, code: 'ORIGIN_FORBIDDEN', detail });
  expect(ran).to.deep.equal([]);
  expect(suite.server.app.stats().connections.websocket, "the canary's alone").to.equal(1);
}

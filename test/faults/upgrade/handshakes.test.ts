import type { ServerResponse } from 'node:http';
import { expect } from 'chai';
import { connect, Controller, Get, Post, UseMiddleware, WebSocket } from 'coequal';
import { mistreated } from '../../support/canary.js';
import { Echoes, QUIET } from '../../support/echoes.js';
import { HANDSHAKE, RawClient, type RawAnswer } from '../../support/raw-client.js';

@Controller()
class Page {
  @Get('/page') page() {
    return 'page';
  }
  @Post('/page') post() {
    return 'posted';
  }
  @WebSocket('/broken')
  @UseMiddleware(
    connect((_req: unknown, res: ServerResponse, next: () => void) => {
      // As on-headers does it.
      const writeHead = res.writeHead.bind(res);
      res.writeHead = () => {
        res.writeHead = writeHead;
        throw new Error('broken');
      };
      next();
    }),
  )
  broken() {}
  @WebSocket('/chosen', { protocols: ['v2', 'v1'] }) chosen() {
    return 'chosen';
  }
}

/** The fields of a good handshake without those that are named, and with others added. */
function but(without: string, ...added: string[]): string[] {
  const names = without.split(' ');
  return [...HANDSHAKE.filter((line) => !names.includes(line.slice(0, line.indexOf(':')))), ...added];
}

const KEY = 'Sec-WebSocket-Key';
const VERSION = 'Sec-WebSocket-Version';
const GET = 'GET /text HTTP/1.1';

type Refusal = readonly [status: number, detail: string, headers?: Readonly<Record<string, string>>];

const UPGRADE = { upgrade: 'websocket', connection: 'upgrade, close' };
const OTHER_VERSION: Refusal = [
  426,
  'This server speaks version 13 of the WebSocket protocol',
  { ...UPGRADE, 'sec-websocket-version': '13' },
];
/** What a plain request for the path of a socket is told. */
const PLAIN: Refusal = [426, 'This resource is a WebSocket', UPGRADE];
const OTHER_METHOD: Refusal = [405, 'A WebSocket is opened by GET', { allow: 'GET' }];
const BAD_KEY: Refusal = [400, 'The Sec-WebSocket-Key is missing or malformed'];
const BODY: Refusal = [400, 'A WebSocket handshake has no body'];
const BAD_PROTOCOL: Refusal = [400, 'The Sec-WebSocket-Protocol is malformed'];
const BAD_EXTENSION: Refusal = [400, 'The Sec-WebSocket-Extensions is malformed'];
const BAD_TARGET: Refusal = [400, 'The target of the request is malformed'];

describe('Upgrade', () => {
  const { server, log, holds } = mistreated({ controllers: [Echoes, Page], heartbeat: QUIET });

  async function ask(lines: readonly string[], then = ''): Promise<RawAnswer> {
    const client = await RawClient.connect(await server.url());
    client.write(`${lines.join('\r\n')}\r\n\r\n${then}`);
    return client.answer();
  }

  async function opened(lines: readonly string[]): Promise<RawAnswer> {
    const client = await RawClient.connect(await server.url());
    client.head(...lines);
    const opening = await client.opening();
    client.reset();
    await client.closed();
    return opening;
  }

  holds('is refused with 500 if a listener of its head throws', async () => {
    const refusal = await server.socket('/broken').catch((error: unknown) => error);
    expect(String(refusal)).to.match(/refused with 500/);
  });

  function refuses(name: string, [status, detail, headers = {}]: Refusal, lines: string[], then = ''): void {
    holds(
      `${name} is refused with ${status}, a problem document, and the end of the connection`,
      async () => {
        const answer = await ask(lines, then);

        expect(answer.status).to.equal(status);
        expect(answer.headers).to.include({
          connection: 'close',
          'content-type': 'application/problem+json',
          'content-length': String(Buffer.byteLength(answer.body)),
          ...headers,
        });
        if (lines[0]?.startsWith('HEAD') === true) return;
        const { requestId, ...problem } = JSON.parse(answer.body) as Record<string, unknown>;
        expect(problem).to.deep.equal({ ...NAMES[status], status, detail });
        expect(requestId).to.be.a('string');
        // Refusals are the client's doing: they are no news to the operator.
        expect(log.lines).to.deep.equal([]);
      },
    );
  }

  describe('bad handshakes', () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'QUERY']) {
      refuses(`one by ${method}`, OTHER_METHOD, [`${method} /text HTTP/1.1`, ...HANDSHAKE]);
    }
    holds('one by HEAD is refused with 405 and no body', async () => {
      const answer = await ask(['HEAD /text HTTP/1.1', ...HANDSHAKE]);
      expect([answer.status, answer.headers['allow'], answer.body]).to.deep.equal([405, 'GET', '']);
    });
    refuses(
      'one by POST with a body',
      OTHER_METHOD,
      ['POST /text HTTP/1.1', ...HANDSHAKE, 'Content-Length: 5'],
      'hello',
    );

    for (const version of [
      '0',
      '8',
      '12',
      '14',
      'abc',
      '',
      '013',
      '13.0',
      '0xd',
      '+13',
      '13a',
      '13, 8',
      '8, 13',
      '"13"',
    ]) {
      refuses(`one of version ${JSON.stringify(version)}`, OTHER_VERSION, [
        GET,
        ...but(VERSION, `${VERSION}: ${version}`),
      ]);
    }
    refuses('one without a version', OTHER_VERSION, [GET, ...but(VERSION)]);
    refuses('one with two versions', OTHER_VERSION, [GET, ...HANDSHAKE, `${VERSION}: 8`]);
    refuses('one with its version twice', OTHER_VERSION, [GET, ...HANDSHAKE, `${VERSION}: 13`]);

    const keys: [name: string, key: string][] = [
      ['an empty key', ''],
      ['a short key', 'c2hvcnQ='],
      ['a key of 15 bytes', 'YWFhYWFhYWFhYWFhYWFh'],
      ['a key of 17 bytes', 'YWFhYWFhYWFhYWFhYWFhYWE='],
      ['a long key', 'YWFh'.repeat(100)],
      ['a key without its padding', 'dGhlIHNhbXBsZSBub25jZQ'],
      ['a key with one padding', 'dGhlIHNhbXBsZSBub25jZQ='],
      ['a key in the alphabet for URLs', 'dGhl-HNhbXBsZSBub25_ZQ=='],
      ['a key with blanks in it', 'dGhlIHNhbXBs ZSBub25jZQ=='],
      ['a key that is no base64', `${'!'.repeat(22)}==`],
      ['a key that is a list', 'dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ=='],
    ];
    for (const [name, key] of keys) {
      refuses(`one with ${name}`, BAD_KEY, [GET, ...but(KEY, `${KEY}: ${key}`)]);
    }
    refuses('one without a key', BAD_KEY, [GET, ...but(KEY)]);
    refuses('one with its key twice', BAD_KEY, [GET, ...HANDSHAKE, `${KEY}: dGhlIHNhbXBsZSBub25jZQ==`]);
    refuses('one with two keys', BAD_KEY, [GET, ...HANDSHAKE, `${KEY}: AAAAAAAAAAAAAAAAAAAAAA==`]);

    refuses('one with a body', BODY, [GET, ...HANDSHAKE, 'Content-Length: 5'], 'hello');
    refuses('one that announces a body', BODY, [GET, ...HANDSHAKE, 'Content-Length: 5']);
    refuses(
      'one with a body in chunks',
      BODY,
      [GET, ...HANDSHAKE, 'Transfer-Encoding: chunked'],
      '5\r\nhello\r\n0\r\n\r\n',
    );
    refuses(
      'one with an empty body in chunks',
      BODY,
      [GET, ...HANDSHAKE, 'Transfer-Encoding: chunked'],
      '0\r\n\r\n',
    );

    const protocols: [name: string, fields: string[]][] = [
      ['no subprotocol in its list', ['']],
      ['a subprotocol that is none', ['v1, v 2']],
      ['an empty subprotocol', ['v1,,v2']],
      ['a comma behind its subprotocols', ['v1,']],
      ['a subprotocol twice', ['v1, v1']],
      ['a subprotocol in each of two fields', ['v1', 'v1']],
      ['a subprotocol in quotes', ['"v1"']],
      ['a subprotocol with a slash', ['v1/2']],
      ['a subprotocol beyond ASCII', ['v\xfc']],
    ];
    for (const [name, fields] of protocols) {
      refuses(`one with ${name}`, BAD_PROTOCOL, [
        GET,
        ...HANDSHAKE,
        ...fields.map((field) => `Sec-WebSocket-Protocol: ${field}`),
      ]);
    }

    const extensions: [name: string, field: string][] = [
      ['no extension in its list', ''],
      ['an empty extension', 'a, , b'],
      ['a comma behind its extensions', 'a,'],
      ['a parameter without a name', 'a; =1'],
      ['a parameter without the value that it announces', 'a; b='],
      ['a semicolon behind its parameters', 'a; b;'],
      ['a value in quotes that is no token', 'a; b="c d"'],
      ['a value whose quotes do not close', 'a; b="c'],
      ['an extension in quotes', '"a"'],
      ['blanks within an extension', 'a b'],
    ];
    for (const [name, field] of extensions) {
      refuses(`one with ${name}`, BAD_EXTENSION, [GET, ...HANDSHAKE, `Sec-WebSocket-Extensions: ${field}`]);
    }

    for (const target of [
      'http://evil.example/text',
      'http://localhost.evil.example/text',
      'http://localhost@evil.example/text',
      'http://localhost:1/text',
      'ws://localhost/text',
      '*',
    ]) {
      refuses(`one for ${target}`, BAD_TARGET, [`GET ${target} HTTP/1.1`, ...HANDSHAKE]);
    }
    refuses('one in HTTP/1.1 without a Host', [400, 'A request has one Host'], [GET, ...but('Host')]);
    refuses('one with two Hosts', [400, 'A request has one Host'], [GET, ...HANDSHAKE, 'Host: localhost']);

    refuses(
      'a request behind one that is refused is not answered: it',
      BAD_KEY,
      [GET, ...but(KEY)],
      'GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n',
    );
  });

  describe('handshakes that are none', () => {
    const none: [name: string, lines: string[]][] = [
      ['in HTTP/1.0', ['GET /text HTTP/1.0', ...HANDSHAKE]],
      ['in HTTP/1.0 without a Host', ['GET /text HTTP/1.0', ...but('Host')]],
      ['without Connection', [GET, ...but('Connection', 'Connection: close')]],
      ['whose Connection does not say upgrade', [GET, ...but('Connection', 'Connection: close, x-upgrade')]],
      ['without Upgrade', [GET, ...but('Connection Upgrade', 'Connection: close')]],
      ['with an empty Upgrade', [GET, ...but('Upgrade', 'Upgrade:')]],
      ['with Upgrade: h2c', [GET, ...but('Upgrade', 'Upgrade: h2c')]],
      ['with Upgrade: h2c, websocket', [GET, ...but('Upgrade', 'Upgrade: h2c, websocket')]],
      ['with Upgrade: websocket, h2c', [GET, ...but('Upgrade', 'Upgrade: websocket, h2c')]],
      ['with Upgrade: websocket/13', [GET, ...but('Upgrade', 'Upgrade: websocket/13')]],
      ['with Upgrade: websockets', [GET, ...but('Upgrade', 'Upgrade: websockets')]],
      ['with Upgrade twice', [GET, ...HANDSHAKE, 'Upgrade: websocket']],
    ];
    for (const [name, lines] of none) {
      refuses(`a plain request for a socket, ${name},`, PLAIN, lines);
    }

    for (const field of ['h2c', 'websocket', 'TLS/1.0, websocket', 'constructor', '__proto__']) {
      holds(`Upgrade: ${field} is ignored where the path has no socket`, async () => {
        // Where Node declines the upgrade itself it would keep the connection.
        const lines = but('Upgrade', `Upgrade: ${field}`).map((line) =>
          line === 'Connection: Upgrade' ? 'Connection: Upgrade, close' : line,
        );
        const answer = await ask(['GET /page HTTP/1.1', ...lines]);
        expect([answer.status, answer.body, answer.headers['connection']]).to.deep.equal([
          200,
          'page',
          'close',
        ]);
        const body = 'Content-Length: 5';
        const posted = await ask(['POST /page HTTP/1.1', ...lines, body], 'hello');
        expect([posted.status, posted.body]).to.deep.equal([200, 'posted']);
      });
    }
  });

  describe('good handshakes', () => {
    const good: [name: string, lines: string[], headers?: Record<string, string>][] = [
      ['a plain one', [GET, ...HANDSHAKE]],
      ['Upgrade in other case', [GET, ...but('Upgrade', 'uPGRADE: WebSocket')]],
      ['Connection as a list', [GET, ...but('Connection', 'Connection: keep-alive , UPGRADE')]],
      [
        'Connection in two fields',
        [GET, ...but('Connection', 'Connection: keep-alive', 'Connection: Upgrade')],
      ],
      ['a target of its own authority', ['GET http://localhost/text HTTP/1.1', ...HANDSHAKE]],
      ['a length of nothing', [GET, ...HANDSHAKE, 'Content-Length: 0']],
      ['an unknown extension', [GET, ...HANDSHAKE, 'Sec-WebSocket-Extensions: x-unknown; a; b=1; c="d"']],
      ['the extension constructor', [GET, ...HANDSHAKE, 'Sec-WebSocket-Extensions: constructor']],
      ['the extension __proto__', [GET, ...HANDSHAKE, 'Sec-WebSocket-Extensions: __proto__; toString=1']],
      ['compression where it is off', [GET, ...HANDSHAKE, 'Sec-WebSocket-Extensions: permessage-deflate']],
      ['an unknown subprotocol', ['GET /chosen HTTP/1.1', ...HANDSHAKE, 'Sec-WebSocket-Protocol: v3']],
      [
        'the subprotocol constructor',
        ['GET /chosen HTTP/1.1', ...HANDSHAKE, 'Sec-WebSocket-Protocol: constructor'],
      ],
      ['a subprotocol where the route has none', [GET, ...HANDSHAKE, 'Sec-WebSocket-Protocol: v1']],
      [
        'a subprotocol of the route',
        [
          'GET /chosen HTTP/1.1',
          ...HANDSHAKE,
          'Sec-WebSocket-Protocol: v3, v1',
          'Sec-WebSocket-Protocol: v2',
        ],
        { 'sec-websocket-protocol': 'v2' },
      ],
    ];
    for (const [name, lines, headers = {}] of good) {
      holds(`with ${name}, one is answered by 101 and what it agrees on, no more`, async () => {
        const answer = await opened(lines);
        expect(answer.status).to.equal(101);
        expect(answer.headers).to.deep.equal({
          upgrade: 'websocket',
          connection: 'Upgrade',
          // The example of RFC 6455, section 1.3.
          'sec-websocket-accept': 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
          ...headers,
        });
      });
    }

    holds('bytes behind one that are no frame close the socket with 1002', async () => {
      const client = await RawClient.connect(await server.url());
      client.write([GET, ...HANDSHAKE, '', 'GET /page HTTP/1.1', 'Host: localhost', '', ''].join('\r\n'));
      await client.closed();
      const received = client.received.toString('latin1');
      expect(received).to.match(/^HTTP\/1\.1 101 /);
      expect(received.slice(received.indexOf('\r\n\r\n') + 4)).to.equal('\x88\x02\x03\xea');
    });
  });
});

const NAMES: Readonly<Record<number, { title: string; code: string }>> = {
  400: { title: 'Bad Request', code: 'MALFORMED_REQUEST' },
  405: { title: 'Method Not Allowed', code: 'METHOD_NOT_ALLOWED' },
  426: { title: 'Upgrade Required', code: 'UPGRADE_REQUIRED' },
};

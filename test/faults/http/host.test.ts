import { expect } from 'chai';
import { Controller, Ctx, Get, WebSocket, type Context } from 'coequal';
import { mistreated } from '../../support/canary.js';
import { converse, refusalOf } from '../../support/raw-answers.js';

const reached: string[] = [];

@Controller()
class Here {
  @Get('/here') here(@Ctx() ctx: Context) {
    reached.push(ctx.kind);
    return ctx.headers.host ?? 'nameless';
  }
  @WebSocket('/here') talk(@Ctx() ctx: Context) {
    reached.push(ctx.kind);
  }
}

const KEY = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==';
const UPGRADE = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', KEY];

const get = (fields: string[], version = 'HTTP/1.1'): string =>
  [`GET /here ${version}`, ...fields, '', ''].join('\r\n');

describe('HTTP', () => {
  describe('Host', () => {
    const { server, log, holds } = mistreated({ controllers: [Here] });
    beforeEach(() => void reached.splice(0));

    // RFC 9112, section 3.2: a server answers 400 to each of these.
    const refused: [name: string, ...fields: string[]][] = [
      ['is missing'],
      ['comes twice, alike', 'Host: localhost', 'Host: localhost'],
      ['comes twice, unlike', 'Host: localhost', 'Host: evil.example'],
      ['comes twice, in two spellings', 'Host: localhost', 'hOST: localhost'],
      ['comes twice, the second empty', 'Host: localhost', 'Host:'],
      ['is empty', 'Host:'],
      ['holds a space', 'Host: local host'],
      ['holds a tab', 'Host: local\thost'],
      ['is a list', 'Host: localhost, evil.example'],
      ['is a list without spaces', 'Host: localhost,evil.example'],
      ['has a user', 'Host: user@localhost'],
      ['has a password', 'Host: user:secret@localhost'],
      ['has a path', 'Host: localhost/here'],
      ['has a query', 'Host: localhost?here'],
      ['has a fragment', 'Host: localhost#here'],
      ['has a backslash', 'Host: localhost\\here'],
      ['is a URL', 'Host: http://localhost'],
      ['has a port in letters', 'Host: localhost:http'],
      ['has a port below nothing', 'Host: localhost:-80'],
      ['has a port that is none', 'Host: localhost:65536'],
      ['has a port of many digits', 'Host: localhost:000080'],
      ['has two ports', 'Host: localhost:80:80'],
      ['is a port alone', 'Host: :80'],
      ['has an open bracket', 'Host: [::1'],
      ['has brackets around a name', 'Host: [localhost]'],
      ['has brackets around no address', 'Host: [1:2]'],
      ['has bytes of no ASCII', 'Host: l\xf6calhost'],
      ['has an escape', 'Host: local%68ost'],
      ['has a quote', 'Host: "localhost"'],
      ['is folded', 'Host:', ' localhost'],
    ];
    for (const [name, ...fields] of refused) {
      holds(`that ${name} is refused with 400`, async () => {
        const { status } = await refusalOf(server, get(fields));

        expect([status, reached]).to.deep.equal([400, []]);
      });

      holds(`that ${name} is refused with 400 on an upgrade`, async () => {
        const { status } = await refusalOf(server, get([...fields, ...UPGRADE]));

        expect([status, reached]).to.deep.equal([400, []]);
      });
    }

    holds('that is refused leaves nothing in the log of errors', async () => {
      await refusalOf(server, get([]));

      expect([...log.at('error'), ...log.at('warn')]).to.deep.equal([]);
    });

    const taken = [
      'localhost',
      'localhost:80',
      'localhost:',
      'localhost:65535',
      'LOCALHOST',
      'example.com.',
      'my_service',
      'xn--bcher-kva.example',
      '127.0.0.1:3000',
      '[::1]',
      '[::1]:3000',
      '[2001:DB8::1]',
      '[::ffff:127.0.0.1]:80',
    ];
    for (const host of taken) {
      holds(`that is ${host} is taken`, async () => {
        const [answer] = await converse(server, get([`Host: ${host}`, 'Connection: close']));

        expect([answer?.status, answer?.body]).to.deep.equal([200, host]);
      });
    }

    const same = [
      ['http://localhost/here', 'localhost'],
      ['HTTP://LocalHost/here', 'localhost'],
      ['http://localhost:80/here', 'localhost'],
      ['http://localhost./here', 'LOCALHOST:80'],
      ['https://localhost/here', 'localhost:443'],
      ['http://[::1]:3000/here', '[0:0:0:0:0:0:0:1]:3000'],
    ];
    for (const [target = '', host = ''] of same) {
      holds(`that is ${host} is that of the target ${target}`, async () => {
        const head = [`GET ${target} HTTP/1.1`, `Host: ${host}`];
        const [answer] = await converse(server, [...head, 'Connection: close', '', ''].join('\r\n'));

        expect([answer?.status, reached.splice(0)]).to.deep.equal([200, ['http']]);
      });
    }

    const others = [
      ['http://evil.example/here', 'localhost'],
      ['http://localhost:81/here', 'localhost'],
      ['https://localhost/here', 'localhost:80'],
      ['http://evil.example@localhost/here', 'localhost'],
      ['http://localhost.evil.example/here', 'localhost'],
      ['http:///here', 'localhost'],
    ];
    for (const [target = '', host = ''] of others) {
      holds(`that is ${host} is not that of the target ${target}`, async () => {
        for (const more of [['Connection: close'], UPGRADE]) {
          const head = [`GET ${target} HTTP/1.1`, `Host: ${host}`, ...more];
          const { status } = await refusalOf(server, [...head, '', ''].join('\r\n'));

          expect([status, reached]).to.deep.equal([400, []]);
        }
      });
    }

    holds('that is well-formed once does not make the next one so', async () => {
      const answers = await converse(
        server,
        get(['Host: localhost']) + get(['Host: localhost']) + get(['Host: localhost ,']),
      );

      expect(answers.map(({ status }) => status)).to.deep.equal([200, 200, 400]);
    });

    holds('need not come with HTTP/1.0, and may not come twice there', async () => {
      const [answer] = await converse(server, get([], 'HTTP/1.0'));

      expect([answer?.status, answer?.body]).to.deep.equal([200, 'nameless']);
      expect((await refusalOf(server, get(['Host: a', 'Host: a'], 'HTTP/1.0'))).status).to.equal(400);
    });
  });

  describe('versions', () => {
    const { server, log, holds } = mistreated({ controllers: [Here] });
    beforeEach(() => void reached.splice(0));

    const table: [version: string, status: number][] = [
      ['HTTP/2.0', 505],
      ['HTTP/3.0', 505],
      ['HTTP/9.9', 505],
      ['HTTP/0.9', 505],
      ['HTTP/1.2', 505],
      ['HTTP/2', 400],
      ['HTTP/1.10', 400],
      ['HTTP/11.1', 400],
      ['HTTP/1,1', 400],
      ['HTTP/1.', 400],
      ['HTTP/x.y', 400],
      ['HTTP/-1.1', 400],
      ['HTTP', 400],
      ['http/1.1', 400],
      ['Http/1.1', 400],
      ['HTTPS/1.1', 400],
      ['HTTP/1.1 ', 400],
      ['HTTP/1.1 HTTP/1.1', 400],
    ];
    for (const [version, status] of table) {
      holds(`that are ${JSON.stringify(version)} are refused with ${status}`, async () => {
        const problem = await refusalOf(server, get(['Host: localhost'], version));

        expect([problem.status, reached, log.at('error')]).to.deep.equal([status, [], []]);
      });
    }

    holds('that are missing are refused with 505', async () => {
      expect([(await refusalOf(server, 'GET /here\r\n\r\n')).status, reached]).to.deep.equal([505, []]);
    });

    holds('that are HTTP/2.0 are refused with 505 on an upgrade', async () => {
      const { status } = await refusalOf(server, get(['Host: localhost', ...UPGRADE], 'HTTP/2.0'));

      expect([status, reached]).to.deep.equal([505, []]);
    });

    holds('that a client presumes, HTTP/2 or TLS, are refused with 400', async () => {
      const hello = Buffer.from([0x16, 3, 1, 0, 0x2f, 1, 0, 0, 0x2b, 3, 3]);

      expect((await refusalOf(server, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')).status).to.equal(400);
      expect((await refusalOf(server, hello)).status).to.equal(400);
    });
  });
});

import { expect } from 'chai';
import { All, Body, Controller, Get, Post, Rpc, Session, sessions, WebSocket } from 'coequal';
import { mistreated } from '../../support/canary.js';
import { RawClient, type RawAnswer } from '../../support/raw-client.js';
import { Shelf, Visitor } from '../../support/site.js';

const changed: string[] = [];
const BODY = 'amount=1';

@Controller()
class Bank {
  @Post('/sign-in') async signIn(@Session() session: Session<{ user: string }>) {
    await session.set('user', 'ada');
  }
  @Get('/account') show() {
    return 'shown';
  }
  @All('/account/all') all(@Body() body: unknown) {
    changed.push('all');
    return { body };
  }
  @WebSocket('/bank') open(): void {}
  @Rpc() @Post('/account') transfer(@Body() body: unknown) {
    changed.push('transfer');
    return { body };
  }
}

/** Fields by which another site would pass for ours; `OWN` and `HOST` stand for the site's own. */
const forged: string[][] = [
  ['Origin: null'],
  ['Origin: '],
  ['Origin: https://evil.example'],
  ['Origin: HOST'],
  ['Origin: //HOST'],
  ['Origin: https://HOST'],
  ['Origin: ws://HOST'],
  ['Origin: OWN/'],
  ['Origin: OWN/account'],
  ['Origin: OWN?'],
  ['Origin: OWN#'],
  ['Origin: OWN0'],
  ['Origin: OWN.evil.example'],
  ['Origin: OWN@evil.example'],
  ['Origin: http://evil.example@HOST'],
  ['Origin: http://evil.HOST'],
  ['Origin: http://localhost'],
  ['Origin: http://127.0.0.1:80'],
  ['Origin: OWN, OWN'],
  ['Origin: OWN OWN'],
  ['Origin: OWN', 'Origin: OWN'],
  ['Origin: OWN', 'Origin: https://evil.example'],
  ['Origin: https://evil.example', 'Origin: OWN'],
  ['Origin: https://evil.example', 'X-Forwarded-Host: evil.example', 'X-Forwarded-Proto: https'],
  ['Origin: https://evil.example', 'Forwarded: host=evil.example;proto=https'],
  ['Sec-Fetch-Site: same-site'],
  ['Sec-Fetch-Site: cross-site'],
  ['Sec-Fetch-Site: '],
  ['Sec-Fetch-Site: SAME-ORIGIN'],
  ['Sec-Fetch-Site: same-origin, cross-site'],
  ['Sec-Fetch-Site: same-origin', 'Sec-Fetch-Site: cross-site'],
  ['Sec-Fetch-Site: cross-site', 'Origin: OWN'],
  ['Sec-Fetch-Site: none', 'Origin: https://evil.example'],
];

describe('Identity', () => {
  beforeEach(() => void (changed.length = 0));

  describe('unsafe methods from other sites', () => {
    const suite = mistreated({
      controllers: [Bank],
      middleware: [sessions({ store: new Shelf() })],
    });
    let cookie = '';

    before(async () => {
      const visitor = new Visitor(suite.server);
      await visitor.post('/sign-in');
      cookie = `Cookie: ${visitor.cookie}`;
    });

    const ask = async (line: string, fields: string[], body = BODY): Promise<RawAnswer> => {
      const url = await suite.server.url();
      const client = await RawClient.connect(url);
      const { host } = new URL(url);
      const lines = fields.map((field) => field.replaceAll('OWN', url).replaceAll('HOST', host));
      client.head(
        `${line} HTTP/1.1`,
        `Host: ${host}`,
        'Connection: close',
        `Content-Length: ${body.length}`,
        ...lines,
      );
      client.write(body);
      return client.answer();
    };

    const isRefused = ({ status, headers, body }: RawAnswer): void => {
      expect(status).to.equal(403);
      expect(headers['content-type']).to.equal('application/problem+json');
      const { requestId, ...problem } = JSON.parse(body) as Record<string, unknown>;
      expect(requestId).to.be.a('string');
      expect(problem).to.deep.equal({
        title: 'Forbidden',
        status: 403,
        code: 'ORIGIN_FORBIDDEN',
        detail: 'The request comes from a page of another site',
      });
      expect(changed).to.deep.equal([]);
    };

    const types = [
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      'text/plain',
      'application/json',
    ];
    for (const fields of forged) {
      const shown = fields.length === 0 ? 'that say nothing' : `that say ${fields.join(', ')}`;
      suite.holds(`are refused before anything is done: those ${shown}`, async () => {
        for (const type of types) {
          isRefused(await ask('POST /account', [cookie, `Content-Type: ${type}`, ...fields]));
        }
        for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
          isRefused(await ask(`${method} /account/all`, [cookie, `Content-Type: ${types[0]}`, ...fields]));
        }
      });
    }

    const overrides = [
      'X-HTTP-Method-Override: GET',
      'X-HTTP-Method: GET',
      'X-Method-Override: GET',
      'X-Original-Method: GET',
    ];
    for (const field of overrides) {
      suite.holds(`are not safe because of ${field}`, async () => {
        const evil = 'Origin: https://evil.example';
        isRefused(await ask('POST /account', [cookie, evil, field, `Content-Type: ${types[0]}`]));
        isRefused(await ask('POST /account?_method=GET', [cookie, evil, field], '_method=GET'));
      });
    }

    suite.holds('are refused for what no route answers, as well', async () => {
      for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'PROPFIND', 'LINK', 'PURGE']) {
        isRefused(await ask(`${method} /nowhere`, [cookie, 'Origin: https://evil.example']));
      }
    });

    suite.holds('are refused whatever the cookie is worth, and without one', async () => {
      for (const value of ['x', 'A'.repeat(43), '']) {
        const fields = [`Cookie: __Host-session=${value}`, 'Origin: https://evil.example'];
        isRefused(await ask('POST /account', fields));
      }
      isRefused(await ask('POST /account', ['Origin: https://evil.example']));
    });

    suite.holds('are let through where nothing tells of a browser', async () => {
      const fields = [[], ['Referer: OWN/'], ['X-Requested-With: XMLHttpRequest'], ['X-Origin: OWN']];
      for (const more of fields) {
        const answer = await ask('POST /account', [cookie, `Content-Type: ${types[0]}`, ...more]);
        expect(answer.status, more.join()).to.equal(200);
      }
      changed.length = 0;
    });

    suite.holds('are let through from our own pages, of which the browser or the origin tells', async () => {
      const own = [
        ['Origin: OWN'],
        ['Sec-Fetch-Site: same-origin'],
        ['Sec-Fetch-Site: none'],
        ['Sec-Fetch-Site: same-origin', 'Origin: OWN'],
      ];
      for (const fields of own) {
        const answer = await ask('POST /account', [cookie, `Content-Type: ${types[0]}`, ...fields]);
        expect([answer.status, answer.body]).to.deep.equal([200, '{"body":{"amount":"1"}}']);
      }
      expect(changed).to.deep.equal(['transfer', 'transfer', 'transfer', 'transfer']);
    });

    suite.holds('are no concern of those that are safe', async () => {
      for (const method of ['GET', 'HEAD', 'OPTIONS']) {
        for (const fields of [[], ['Origin: https://evil.example'], ['Sec-Fetch-Site: cross-site']]) {
          const { status, headers } = await ask(`${method} /account`, [cookie, ...fields], '');
          expect(status, method).to.be.oneOf([200, 204]);
          expect(Object.keys(headers).filter((name) => name.startsWith('access-control'))).to.deep.equal([]);
        }
      }
      expect(changed).to.deep.equal([]);
    });
  });
});

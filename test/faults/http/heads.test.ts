import { expect } from 'chai';
import { Controller, Ctx, Get, type Context } from 'coequal';
import { mistreated } from '../../support/canary.js';
import { converse, problemOf, refusalOf } from '../../support/raw-answers.js';
import { HANDSHAKE, RawClient } from '../../support/raw-client.js';

const reached: string[] = [];

@Controller()
class Here {
  @Get('/here') here(@Ctx() ctx: Context) {
    reached.push(ctx.url);
    return 'here';
  }
}

const BEHIND = 'GET /here HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';

describe('HTTP', () => {
  describe('heads of requests', () => {
    const { server, holds } = mistreated({ controllers: [Here] });
    beforeEach(() => void reached.splice(0));

    const host = 'Host: localhost\r\n';
    const get = `GET /here HTTP/1.1\r\n${host}`;
    // RFC 9112, sections 2.2, 3 and 5.
    const malformed: [name: string, head: string][] = [
      ['with LF alone', 'GET /here HTTP/1.1\nHost: localhost\n\n'],
      ['with LF behind the request line', `GET /here HTTP/1.1\n${host}\r\n`],
      ['with LF behind a field', 'GET /here HTTP/1.1\r\nHost: localhost\n\r\n'],
      ['with LF at their end', `${get}\n`],
      ['with CR alone', 'GET /here HTTP/1.1\rHost: localhost\r\r'],
      ['with CR before the end', `${get}\rX: 1\r\n\r\n`],
      ['with CR in a value', `${get}X: a\rb\r\n\r\n`],
      ['with CR in a name', `${get}X\rY: a\r\n\r\n`],
      ['with CR in the target', `GET /he\rre HTTP/1.1\r\n${host}\r\n`],
      ['with a field folded by a space', `${get}X: a\r\n b\r\n\r\n`],
      ['with a field folded by a tab', `${get}X: a\r\n\tb\r\n\r\n`],
      ['with a space before the first field', `GET /here HTTP/1.1\r\n ${host}\r\n`],
      ['with NUL in a value', `${get}X: a\0b\r\n\r\n`],
      ['with NUL in a name', `${get}X\0: a\r\n\r\n`],
      ['with NUL in the target', `GET /he\0re HTTP/1.1\r\n${host}\r\n`],
      ['with NUL in the method', `G\0T /here HTTP/1.1\r\n${host}\r\n`],
      ['with NUL before them', `\0${get}\r\n`],
      ['with a control character in a value', `${get}X: a\x07b\r\n\r\n`],
      ['with DEL in a value', `${get}X: a\x7fb\r\n\r\n`],
      ['with a space before a colon', `${get}X : a\r\n\r\n`],
      ['with a tab before a colon', `${get}X\t: a\r\n\r\n`],
      ['with a space in a name', `${get}X Y: a\r\n\r\n`],
      ['with an empty name', `${get}: a\r\n\r\n`],
      ['with a field without a colon', `${get}X\r\n\r\n`],
      ['with brackets in a name', `${get}X[]: a\r\n\r\n`],
      ['with a slash in a name', `${get}X/Y: a\r\n\r\n`],
      ['with a name that is no ASCII', `${get}X\xc3\xa9: a\r\n\r\n`],
      ['with a byte order mark', `\xef\xbb\xbf${get}\r\n`],
      ['with a space before the method', ` ${get}\r\n`],
      ['with a tab between the parts', `GET\t/here\tHTTP/1.1\r\n${host}\r\n`],
      ['with a space in the target', `GET /he re HTTP/1.1\r\n${host}\r\n`],
      ['with a tab in the target', `GET /he\tre HTTP/1.1\r\n${host}\r\n`],
      ['with a target in UTF-8', `GET /h\xc3\xa9re HTTP/1.1\r\n${host}\r\n`],
      ['without a target', `GET HTTP/1.1\r\n${host}\r\n`],
      ['with a target that is relative', `GET here HTTP/1.1\r\n${host}\r\n`],
      ['with a method in small letters', `get /here HTTP/1.1\r\n${host}\r\n`],
      ['with a method that nobody knows', `FETCH /here HTTP/1.1\r\n${host}\r\n`],
      ['with a method of 20 KB', `${'G'.repeat(20_000)} /here HTTP/1.1\r\n${host}\r\n`],
      ['with something before the method', `Extra lineGET /here HTTP/1.1\r\n${host}\r\n`],
    ];
    for (const [name, head] of malformed) {
      holds(`${name} are refused with 400, and nothing behind them is a request`, async () => {
        const { status } = await refusalOf(server, head + BEHIND);

        expect([status, reached]).to.deep.equal([400, []]);
      });
    }

    holds('that the client does not end are refused with 400 when it closes its side', async () => {
      const half = await RawClient.connect(await server.url());
      half.write('GET /here HTTP/1.1\r\nHost: local').socket.end();
      const answer = await half.answer();

      expect([answer.status, reached]).to.deep.equal([400, []]);
    });

    holds('behind empty lines are taken', async () => {
      const [answer] = await converse(server, `\r\n\r\n${BEHIND}`);

      expect(answer?.status).to.equal(200);
    });

    holds('with values in Latin-1, empty ones and tabs around them are taken', async () => {
      const fields = 'X: caf\xe9\r\nY:\r\nZ:\t \t1\t \r\nConnection: close\r\n';
      const [answer] = await converse(server, `${get}${fields}\r\n`);

      expect(answer?.status).to.equal(200);
    });
  });

  describe('sizes of heads', () => {
    const { server, holds } = mistreated({ controllers: [Here] });
    beforeEach(() => void reached.splice(0));

    const fields = (count: number): string =>
      Array.from({ length: count }, (_, index) => `X-${index}: 1\r\n`).join('');

    const refused: [name: string, head: string][] = [
      ['a target of 16 KiB', `GET /here?${'x'.repeat(16_384)} HTTP/1.1\r\nHost: localhost\r\n\r\n`],
      ['a value of 16 KiB', `GET /here HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(16_384)}\r\n\r\n`],
      ['a name of 16 KiB', `GET /here HTTP/1.1\r\nHost: localhost\r\n${'x'.repeat(16_384)}: 1\r\n\r\n`],
      [
        'fields of 16 KiB together',
        `GET /here HTTP/1.1\r\nHost: localhost\r\n${`X: ${'x'.repeat(200)}\r\n`.repeat(90)}\r\n`,
      ],
      ['201 fields', `GET /here HTTP/1.1\r\nHost: localhost\r\n${fields(200)}\r\n`],
      [
        '201 fields, on an upgrade',
        `GET /canary HTTP/1.1\r\n${HANDSHAKE.join('\r\n')}\r\n${fields(196)}\r\n`,
      ],
      ['2,000 fields', `GET /here HTTP/1.1\r\nHost: localhost\r\n${'a:\r\n'.repeat(2_000)}\r\n`],
    ];
    for (const [name, head] of refused) {
      holds(`are refused with 431 for ${name}`, async () => {
        const { status } = await refusalOf(server, head);

        expect([status, reached]).to.deep.equal([431, []]);
      });
    }

    holds('are refused with 431 while the head still comes', async () => {
      const answers = await converse(
        server,
        `GET /here HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(16_384)}`,
      );

      expect(problemOf(answers[0]).status).to.equal(431);
    });

    holds('are refused with 431 for the second request of a connection', async () => {
      const first = 'GET /here HTTP/1.1\r\nHost: localhost\r\n\r\n';
      const second = `GET /here HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(16_384)}\r\n\r\n`;
      const answers = await converse(server, first, second);

      expect(answers.map(({ status }) => status)).to.deep.equal([200, 431]);
    });

    holds('are taken up to the limits, and no field is lost', async () => {
      const count = 200 - 2;
      const head = `GET /here HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${fields(count)}\r\n`;
      const [answer] = await converse(server, head);
      const [large] = await converse(
        server,
        `GET /here?${'x'.repeat(8_000)} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: ${'x'.repeat(8_000)}\r\n\r\n`,
      );

      expect([answer?.status, large?.status]).to.deep.equal([200, 200]);
    });
  });
});

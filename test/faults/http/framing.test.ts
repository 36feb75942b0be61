import { expect } from 'chai';
import { Body, Controller, Get, Post } from 'coequal';
import { mistreated } from '../../support/canary.js';
import { converse, refusalOf } from '../../support/raw-answers.js';

const reached: string[] = [];

@Controller()
class Taking {
  @Post('/take') take(@Body() text: string) {
    reached.push(text);
    return text;
  }
  @Get('/look') look() {
    reached.push('looked');
    return 'looked';
  }
}

/** A request with a body, and behind it one that must not be taken for a second. */
function post(fields: string[], body: string, version = '1.1'): string {
  const head = [`POST /take HTTP/${version}`, 'Host: localhost', 'Content-Type: text/plain', ...fields];
  return `${[...head, '', ''].join('\r\n')}${body}GET /look HTTP/1.1\r\nHost: localhost\r\n\r\n`;
}

const CHUNKED = '5\r\nhello\r\n0\r\n\r\n';

describe('HTTP', () => {
  describe('lengths of bodies', () => {
    const { server, holds } = mistreated({ controllers: [Taking] });
    beforeEach(() => void reached.splice(0));

    // RFC 9112, section 6.3: whoever believes one of two, or what is no number, disagrees with somebody.
    const malformed: [name: string, fields: string[], body: string][] = [
      ['with a Transfer-Encoding', ['Content-Length: 5', 'Transfer-Encoding: chunked'], CHUNKED],
      ['after a Transfer-Encoding', ['Transfer-Encoding: chunked', 'Content-Length: 5'], CHUNKED],
      ['given twice, alike', ['Content-Length: 5', 'Content-Length: 5'], 'hello'],
      ['given twice, unlike', ['Content-Length: 5', 'Content-Length: 6'], 'hello!'],
      ['given as a list', ['Content-Length: 5, 5'], 'hello'],
      ['with a plus', ['Content-Length: +5'], 'hello'],
      ['below nothing', ['Content-Length: -5'], 'hello'],
      ['in hex', ['Content-Length: 0x5'], 'hello'],
      ['with a fraction', ['Content-Length: 5.0'], 'hello'],
      ['with an exponent', ['Content-Length: 5e0'], 'hello'],
      ['of two numbers', ['Content-Length: 5 5'], 'hello'],
      ['of no number', ['Content-Length: five'], 'hello'],
      ['that are empty', ['Content-Length: '], 'hello'],
      ['over 64 bits', ['Content-Length: 18446744073709551621'], 'hello'],
      ['of 64 bits', ['Content-Length: 18446744073709551615'], 'hello'],
      ['that are no longer exact as a number', ['Content-Length: 9007199254740993'], 'hello'],
      ['before whose colon is a space', ['Content-Length : 5'], 'hello'],
      ['that are folded', ['Content-Length:', ' 5'], 'hello'],
    ];
    for (const [name, fields, body] of malformed) {
      holds(`${name} are refused with 400, and nothing behind them is a request`, async () => {
        const { status } = await refusalOf(server, post(fields, body));

        expect([status, reached]).to.deep.equal([400, []]);
      });
    }

    holds('are refused with 400 where the body is none of the usual', async () => {
      const head = 'GET /look HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n';

      expect([(await refusalOf(server, head)).status, reached]).to.deep.equal([400, []]);
    });

    holds('with leading zeros are numbers', async () => {
      const [answer] = await converse(server, post(['Content-Length: 0005', 'Connection: close'], 'hello'));

      expect([answer?.status, answer?.body, reached]).to.deep.equal([200, 'hello', ['hello']]);
    });

    holds('that name another field leave the request without a body', async () => {
      const answers = await converse(server, post(['Content_Length: 5'], 'hello '));

      expect(answers.map(({ status }) => status)).to.deep.equal([200, 400]);
      expect(reached).to.deep.equal(['']);
    });
  });

  describe('transfer codings', () => {
    const { server, log, holds } = mistreated({ controllers: [Taking] });
    beforeEach(() => void reached.splice(0));

    const malformed: [name: string, ...fields: string[]][] = [
      ['xchunked', 'Transfer-Encoding: xchunked'],
      ['chunkedx', 'Transfer-Encoding: chunkedx'],
      ['chunked before another', 'Transfer-Encoding: chunked, gzip'],
      ['chunked twice', 'Transfer-Encoding: chunked, chunked'],
      ['chunked in two fields', 'Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'],
      ['chunked and then identity', 'Transfer-Encoding: chunked', 'Transfer-Encoding: identity'],
      ['chunked with a parameter', 'Transfer-Encoding: chunked;q=1'],
      ['chunked in quotes', 'Transfer-Encoding: "chunked"'],
      ['chunked behind a vertical tab', 'Transfer-Encoding: \x0bchunked'],
      ['chunked behind a comma', 'Transfer-Encoding: ,chunked'],
      ['chunked before a comma', 'Transfer-Encoding: chunked,'],
      ['chunked behind a space before the colon', 'Transfer-Encoding : chunked'],
      ['chunked on the next line', 'Transfer-Encoding:', ' chunked'],
      ['identity', 'Transfer-Encoding: identity'],
      ['gzip alone', 'Transfer-Encoding: gzip'],
      ['none', 'Transfer-Encoding: '],
    ];
    for (const [name, ...fields] of malformed) {
      holds(`that are ${name} are refused with 400`, async () => {
        const { status } = await refusalOf(server, post(fields, CHUNKED));

        expect([status, reached]).to.deep.equal([400, []]);
      });
    }

    // RFC 9112, section 6.1: what is not understood is a 501.
    const unknown: [name: string, ...fields: string[]][] = [
      ['gzip, chunked', 'Transfer-Encoding: gzip, chunked'],
      ['GZIP ,\tChunked', 'Transfer-Encoding: GZIP ,\tChunked'],
      ['gzip and chunked in two fields', 'Transfer-Encoding: gzip', 'Transfer-Encoding: chunked'],
      ['identity, chunked', 'Transfer-Encoding: identity, chunked'],
      ['x, y, chunked', 'Transfer-Encoding: x, y, chunked'],
    ];
    for (const [name, ...fields] of unknown) {
      holds(`that are ${name} are refused with 501, which is no failure to log`, async () => {
        const { status } = await refusalOf(server, post(fields, CHUNKED));

        expect([status, reached, log.at('error')]).to.deep.equal([501, [], []]);
      });
    }

    for (const coding of ['CHUNKED', '\tchunked', 'chunked ']) {
      holds(`that are spelt ${JSON.stringify(coding)} are chunked`, async () => {
        const fields = [`Transfer-Encoding: ${coding}`, 'Connection: close'];
        const [answer] = await converse(server, post(fields, CHUNKED));

        expect([answer?.status, answer?.body]).to.deep.equal([200, 'hello']);
      });
    }

    for (const coding of ['gzip', 'identity', 'gzip, chunked']) {
      holds(`of a GET are looked at like those of a POST (${coding})`, async () => {
        const head = `GET /look HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: ${coding}\r\n\r\n`;
        const { status } = await refusalOf(server, head);

        expect([status, reached]).to.deep.equal([coding.includes(',') ? 501 : 400, []]);
      });
    }

    holds('are refused with 400 in HTTP/1.0, which has none', async () => {
      const { status } = await refusalOf(server, post(['Transfer-Encoding: chunked'], CHUNKED, '1.0'));

      expect([status, reached]).to.deep.equal([400, []]);
    });
  });
});

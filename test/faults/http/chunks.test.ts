import { expect } from 'chai';
import { Body, Controller, Ctx, Get, Post, type Context } from 'coequal';
import { mistreated } from '../../support/canary.js';
import { answersIn, converse, problemOf } from '../../support/raw-answers.js';
import { RawClient } from '../../support/raw-client.js';

const reached: string[] = [];

@Controller()
class Taking {
  @Post('/take') take(@Body() text: string, @Ctx() ctx: Context) {
    reached.push(text);
    return { text, host: ctx.headers.host, trailer: ctx.headers['x-trailer'] ?? null };
  }
  @Get('/look') look() {
    reached.push('looked');
    return 'looked';
  }
}

const HEAD =
  'POST /take HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n';
const BEHIND = 'GET /look HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';

describe('HTTP', () => {
  describe('chunks', () => {
    const { server, holds } = mistreated({ controllers: [Taking] });
    beforeEach(() => void reached.splice(0));

    // RFC 9112, section 7.1.
    const malformed: [name: string, body: string, status?: number][] = [
      ['with a size below nothing', '-5\r\nhello\r\n0\r\n\r\n'],
      ['with a plus', '+5\r\nhello\r\n0\r\n\r\n'],
      ['with the prefix of hex', '0x5\r\nhello\r\n0\r\n\r\n'],
      ['with a size over 64 bits', '10000000000000005\r\nhello\r\n0\r\n\r\n'],
      ['with a size of many digits', `${'f'.repeat(400)}\r\nhello\r\n0\r\n\r\n`],
      ['with a letter that is no digit', 'g\r\nhello\r\n0\r\n\r\n'],
      ['with a letter behind the digits', '5g\r\nhello\r\n0\r\n\r\n'],
      ['without a size', '\r\nhello\r\n0\r\n\r\n'],
      ['with a space before the size', ' 5\r\nhello\r\n0\r\n\r\n'],
      ['with a space behind the size', '5 \r\nhello\r\n0\r\n\r\n'],
      ['with a fraction', '5.0\r\nhello\r\n0\r\n\r\n'],
      ['with an underscore', '0_5\r\nhello\r\n0\r\n\r\n'],
      ['with LF behind the size', '5\nhello\r\n0\r\n\r\n'],
      ['with CR behind the size', '5\rhello\r\n0\r\n\r\n'],
      ['with LF behind the data', '5\r\nhello\n0\r\n\r\n'],
      ['with nothing behind the data', '5\r\nhello0\r\n\r\n'],
      ['with LF at the end', '5\r\nhello\r\n0\n\n'],
      ['shorter than their data', '4\r\nhello\r\n0\r\n\r\n'],
      ['longer than their data', '6\r\nhello\r\n0\r\n\r\n'],
      ['with LF in an extension', '5;a\nb\r\nhello\r\n0\r\n\r\n'],
      ['with CR in an extension', '5;a\rb\r\nhello\r\n0\r\n\r\n'],
      ['with NUL in an extension', '5;a=\0\r\nhello\r\n0\r\n\r\n'],
      ['with a malformed trailer', '5\r\nhello\r\n0\r\nX T: 1\r\n\r\n'],
      ['with a folded trailer', '5\r\nhello\r\n0\r\nX: 1\r\n 2\r\n\r\n'],
      ['with a length in the trailer', '5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n'],
      ['with a coding in the trailer', '5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n'],
      ['with extensions of 20 KB', `5;${'a'.repeat(20_000)}\r\nhello\r\n0\r\n\r\n`, 413],
      ['with a trailer of 20 KB', `5\r\nhello\r\n0\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`, 431],
    ];
    for (const [name, body, status = 400] of malformed) {
      holds(`${name} are refused with ${status}, and nothing behind them is a request`, async () => {
        const answers = await converse(server, `${HEAD}\r\n${body}${BEHIND}`);

        expect(answers.map((answer) => answer.status)).to.deep.equal([status]);
        expect(problemOf(answers[0]).status).to.equal(status);
        expect(reached).to.deep.equal([]);
      });
    }

    holds('of one byte each are one body', async () => {
      const body = Array.from('hello', (letter) => `1\r\n${letter}\r\n`).join('');
      const client = await RawClient.connect(await server.url());
      for (const byte of `${HEAD}\r\n${body}0\r\n\r\n${BEHIND}`) client.write(byte);
      await client.closed();

      expect(answersIn(client.received).map(({ status }) => status)).to.deep.equal([200, 200]);
      expect(reached).to.have.members(['hello', 'looked']);
    });

    for (const size of ['5', '05', '0000005', '5;a', '5;a=b', '5;a="b;c"']) {
      holds(`of the size ${size} are taken`, async () => {
        const answers = await converse(server, `${HEAD}\r\n${size}\r\nhello\r\n0\r\n\r\n${BEHIND}`);

        expect(answers.map(({ status }) => status)).to.deep.equal([200, 200]);
        expect(reached).to.have.members(['hello', 'looked']);
      });
    }

    for (const trailer of ['Host: evil.example', 'X-Trailer: 1', 'Content-Type: application/json']) {
      holds(`are not followed by fields of the head (${trailer})`, async () => {
        const [answer] = await converse(server, `${HEAD}\r\n5\r\nhello\r\n0\r\n${trailer}\r\n\r\n${BEHIND}`);

        expect(JSON.parse(answer?.body ?? '')).to.deep.equal({
          text: 'hello',
          host: 'localhost',
          trailer: null,
        });
      });
    }
  });
});

import { expect } from 'chai';
import { Body, Controller, Get, Post } from 'coequal';
import { mistreated } from '../../support/canary.js';
import { turns } from '../../support/deferred.js';
import { answersIn, converse, problemOf } from '../../support/raw-answers.js';
import { RawClient } from '../../support/raw-client.js';

@Controller()
class Root {
  @Get('/') hello() {
    return 'hello';
  }
  @Post('/') echo(@Body() text: string) {
    return text;
  }
}

describe('HTTP', () => {
  describe('conformance', () => {
    const { server, holds } = mistreated({ controllers: [Root] });

    // RFC 9112, section 2.2: a request is parsed as a stream of bytes, wherever its packets end.
    const whole = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n';
    const parts: [name: string, length: number][] = [
      ['within the method', 1],
      ['before the target', 4],
      ['within the target', 5],
      ['behind the target', 6],
      ['within the name of the protocol', 10],
      ['behind the version', 14],
      ['behind the CR of the request line', 15],
      ['behind the request line', 16],
      ['within the name of a field', 19],
      ['behind a colon', 21],
      ['behind the space before a value', 22],
      ['behind a value', 31],
      ['behind the CR of a field', 32],
      ['behind the last field', 33],
      ['within the last line', 34],
    ];
    for (const [name, length] of parts) {
      holds(`waits for the rest of a request that is broken off ${name}`, async () => {
        const client = await RawClient.connect(await server.url());
        client.write(whole.slice(0, length));
        await turns();
        expect(client.received.toString()).to.equal('');
        client.write(whole.slice(length));
        await client.until((bytes) => bytes.toString().endsWith('hello'));
        client.reset();

        expect(answersIn(client.received).map(({ status }) => status)).to.deep.equal([200]);
      });
    }

    const get = (...fields: string[]): string =>
      ['GET / HTTP/1.1', 'Host: example.com', ...fields, '', ''].join('\r\n');
    const refused: [name: string, request: string, status: number][] = [
      ['a request line without a version', 'GET / \r\n\r\n', 400],
      ['a field whose name is no token', get('X-Invalid[]: test'), 400],
      ['a request without a Host', 'GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\n', 400],
      ['a request with two Hosts', get('Host: example.org'), 400],
      ['a length far below nothing', get('Content-Length: -123456789123456789123456789'), 400],
      ['a length below nothing', get('Content-Length: -1234'), 400],
      ['a length that is no number', get('Content-Length: abc'), 400],
      ['a control character in a field', get('X-Bad-Control-Char: test\x07'), 400],
      ['a version that there is not', get().replace('1.1', '9.9'), 505],
      ['something before the method', `Extra line${get()}`, 400],
      ['a CR that ends no line', 'GET / HTTP/1.1\r\nHost: example.com\r\n\rSome-Header: Test\r\n\r\n', 400],
      ['a length beside a transfer coding', get('Transfer-Encoding: chunked', 'Content-Length: 5'), 400],
    ];
    for (const [name, request, status] of refused) {
      holds(`refuses ${name} with ${status}`, async () => {
        const answers = await converse(server, request);

        expect(answers.map((answer) => answer.status)).to.deep.equal([status]);
        expect(problemOf(answers[0]).status).to.equal(status);
      });
    }

    const taken: [name: string, request: string][] = [
      ['a GET', get('Connection: close')],
      [
        'names in any case, tabs before values and empty values',
        'GET / HTTP/1.1\r\nhoSt:\texample.com\r\nempty:\r\nconnection: close\r\n\r\n',
      ],
      ['a value of one space', get('X-Empty-Header: ', 'Connection: close')],
    ];
    for (const [name, request] of taken) {
      holds(`takes ${name}`, async () => {
        const answers = await converse(server, request);

        expect(answers.map(({ status, body }) => [status, body])).to.deep.equal([[200, 'hello']]);
      });
    }

    holds('takes a POST with its body', async () => {
      const head = 'POST / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\nContent-Length: 5\r\n';
      const answers = await converse(server, `${head}Content-Type: text/plain\r\n\r\nhello`);

      expect(answers.map(({ status, body }) => [status, body])).to.deep.equal([[200, 'hello']]);
    });

    holds('lets a client that expects 100 go on, and then answers', async () => {
      const answers = await converse(server, get('Expect: 100-continue', 'Connection: close'));

      expect(answers.map(({ status }) => status)).to.deep.equal([100, 200]);
    });

    holds('answers each of many requests in one packet, and closes when it is told to', async () => {
      const answers = await converse(server, whole.repeat(50) + get('Connection: close') + whole);

      expect(answers.map(({ status }) => status)).to.deep.equal(Array.from({ length: 51 }, () => 200));
    });
  });
});

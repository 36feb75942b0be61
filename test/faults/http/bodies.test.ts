import { expect } from 'chai';
import { Body, Controller, Post } from 'coequal';
import { mistreated } from '../../support/canary.js';
import { answersIn, converse, problemOf } from '../../support/raw-answers.js';
import { RawClient } from '../../support/raw-client.js';

const reached: string[] = [];
const LIMIT = 100_000;

@Controller()
class Taking {
  @Post('/any') any(@Body() body: unknown) {
    reached.push('any');
    return { body };
  }
  @Post('/text') text(@Body() text: string) {
    reached.push('text');
    return { length: text.length };
  }
  @Post('/bytes') bytes(@Body() bytes: Buffer) {
    reached.push('bytes');
    return { length: bytes.length };
  }
}

describe('HTTP', () => {
  describe('bodies over the limit', () => {
    const { server, holds } = mistreated({ controllers: [Taking], limits: { body: LIMIT } });
    beforeEach(() => void reached.splice(0));

    const doors: [path: string, type: string][] = [
      ['/any', 'application/json'],
      ['/any', 'application/x-www-form-urlencoded'],
      ['/any', 'text/plain'],
      ['/text', 'text/plain'],
      ['/bytes', 'application/octet-stream'],
    ];
    for (const [path, type] of doors) {
      const head = (...fields: string[]): string =>
        [`POST ${path} HTTP/1.1`, 'Host: localhost', `Content-Type: ${type}`, ...fields, '', ''].join('\r\n');

      holds(
        `are refused with 413 by their length, before a byte of them is sent (${path}, ${type})`,
        async () => {
          const answers = await converse(server, head(`Content-Length: ${LIMIT + 1}`));

          expect(answers.map(({ status }) => status)).to.deep.equal([413]);
          expect([problemOf(answers[0]).status, reached]).to.deep.equal([413, []]);
        },
      );

      holds(`are refused with 413 as they stream, before they end (${path}, ${type})`, async () => {
        const chunk = `2710\r\n${'x'.repeat(10_000)}\r\n`;
        const answers = await converse(server, head('Transfer-Encoding: chunked'), chunk.repeat(11));

        expect(answers.map(({ status }) => status)).to.deep.equal([413]);
        expect([problemOf(answers[0]).status, reached]).to.deep.equal([413, []]);
      });

      holds(`are counted without what the chunks take (${path}, ${type})`, async () => {
        const body = type.endsWith('json') ? `"${'x'.repeat(9_998)}"` : 'x'.repeat(10_000);
        const chunks = Array.from(body, (letter) => `1;extension\r\n${letter}\r\n`).join('');
        const answers = await converse(
          server,
          head('Transfer-Encoding: chunked', 'Connection: close'),
          `${chunks}0\r\n\r\n`,
        );

        expect(answers.map(({ status }) => status)).to.deep.equal([200]);
      });
    }

    holds('are refused with 413 where the client waits for a 100', async () => {
      const client = await RawClient.connect(await server.url());
      client.head(
        'POST /text HTTP/1.1',
        'Host: localhost',
        'Content-Type: text/plain',
        `Content-Length: ${LIMIT + 1}`,
        'Expect: 100-continue',
      );
      await client.closed();

      expect(answersIn(client.received).at(-1)?.status).to.equal(413);
      expect(reached).to.deep.equal([]);
    });

    holds('leave the other limit alone: at the limit they are taken', async () => {
      const answer = await server.fetch('/bytes', { method: 'POST', body: Buffer.alloc(LIMIT) });

      expect(await answer.json()).to.deep.equal({ length: LIMIT });
    });
  });

  describe('content types', () => {
    const { server, holds } = mistreated({ controllers: [Taking] });

    async function send(fields: string[], body: string, path = '/any'): Promise<[number, string]> {
      const head = [`POST ${path} HTTP/1.1`, 'Host: localhost', 'Connection: close', ...fields];
      const [answer] = await converse(
        server,
        [...head, `Content-Length: ${body.length}`, '', body].join('\r\n'),
      );
      return [answer?.status ?? 0, answer?.body ?? ''];
    }

    const evil = '{"__proto__":{"a":1}}';
    const json = [
      'application/json',
      'Application/JSON',
      'APPLICATION/JSON;CHARSET=UTF-8',
      '\tapplication/json\t',
      'application/json ; charset=utf-8',
      'application/json;\tcharset="utf-8"',
      'application/vnd.api+json',
      'application/problem+JSON',
    ];
    for (const type of json) {
      holds(`of JSON lead to one parser, whatever their spelling (${JSON.stringify(type)})`, async () => {
        expect(await send([`Content-Type: ${type}`], '{"a":1}')).to.deep.equal([200, '{"body":{"a":1}}']);
        expect((await send([`Content-Type: ${type}`], evil))[0]).to.equal(400);
      });
    }

    const unknown: [name: string, ...fields: string[]][] = [
      ['missing'],
      ['empty', 'Content-Type:'],
      ['of no type', 'Content-Type: json'],
      ['of half a type', 'Content-Type: application/'],
      ['of another', 'Content-Type: application/xml'],
      ['with a tab within', 'Content-Type: application\t/json'],
      ['with a tab before the parameter', 'Content-Type: application/json\tcharset=utf-8'],
      ['a list', 'Content-Type: application/json, text/plain'],
      ['like JSON', 'Content-Type: application/jsonp'],
      ['JSON of another name', 'Content-Type: application/json+x'],
      ['of a prototype', 'Content-Type: constructor/__proto__'],
      ['with a charset that is not known', 'Content-Type: application/json; charset=utf-7'],
      ['with a charset of a prototype', 'Content-Type: text/plain; charset=constructor'],
    ];
    for (const [name, ...fields] of unknown) {
      holds(`that are ${name} are refused with 415`, async () => {
        for (const body of ['{"a":1}', evil]) expect((await send(fields, body))[0]).to.equal(415);
      });
    }

    for (const coding of ['gzip', 'deflate', 'br', 'x', 'gzip, identity']) {
      holds(`that are coded are refused with 415 (${coding})`, async () => {
        const fields = ['Content-Type: application/json', `Content-Encoding: ${coding}`];

        expect((await send(fields, '{"a":1}'))[0]).to.equal(415);
      });
    }

    holds('with bytes that are no UTF-8 are refused with 400', async () => {
      for (const body of ['"\xff"', '"\xc0\xae"', '"\xed\xa0\x80"']) {
        expect((await send(['Content-Type: application/json'], body))[0]).to.equal(400);
        expect((await send(['Content-Type: text/plain'], body, '/text'))[0]).to.equal(400);
      }
    });
  });
});

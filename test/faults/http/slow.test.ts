import { expect } from 'chai';
import { Body, Controller, Ctx, Get, Post, type Context } from 'coequal';
import { mistreated } from '../../support/canary.js';
import { deferred, type Deferred } from '../../support/deferred.js';
import { answersIn, problemOf } from '../../support/raw-answers.js';
import { RawClient } from '../../support/raw-client.js';

let begun: Deferred<Context>;
const reached: string[] = [];

@Controller()
class Taking {
  @Get('/look') look() {
    return 'looked';
  }
  @Post('/take') take(@Body() text: string) {
    reached.push(text);
    return text;
  }
  @Post('/halves') async *halves(@Ctx() ctx: Context) {
    begun.resolve(ctx);
    yield 'one half, ';
    await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve));
  }
}

const GET = 'GET /look HTTP/1.1\r\nHost: localhost\r\n\r\n';
const POST = 'POST /take HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n';

describe('HTTP', () => {
  describe('slow clients', () => {
    // Connections are looked at once in each of these times, so the case is over in twice as long at most.
    const { server, log, holds } = mistreated({
      controllers: [Taking],
      timeouts: { headers: 100, request: 200, keepAlive: 100 },
    });
    beforeEach(() => {
      begun = deferred();
      reached.length = 0;
    });

    const heads: [name: string, ...sent: string[]][] = [
      ['nothing', ''],
      ['a byte', 'G'],
      ['an empty line', '\r\n'],
      ['half a head', 'GET /look HTTP/1.1\r\nHost: local'],
      ['all of a head but its end', GET.slice(0, -2)],
    ];
    for (const [name, sent = ''] of heads) {
      holds(`that send ${name} are answered 408, and their connection closes`, async () => {
        const client = await RawClient.connect(await server.url());
        client.write(sent);
        await client.closed();

        const answers = answersIn(client.received);
        expect(answers.map(({ status }) => status)).to.deep.equal([408]);
        expect(problemOf(answers[0]).detail).to.equal('The request did not arrive in time');
        expect([log.at('error'), log.lines.length]).to.deep.equal([[], 1]);
      });
    }

    holds('that send a byte now and then are answered 408 all the same', async () => {
      const client = await RawClient.connect(await server.url());
      client.write('GET /look HTTP/1.1\r\nX: ');
      const drip = setInterval(() => client.write('x'), 20);
      await client.closed().finally(() => clearInterval(drip));

      expect(answersIn(client.received).map(({ status }) => status)).to.deep.equal([408]);
    });

    const bodies: [name: string, sent: string][] = [
      ['a length', `${POST}Content-Length: 10\r\n\r\nhello`],
      ['chunks', `${POST}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`],
      ['half a chunk', `${POST}Transfer-Encoding: chunked\r\n\r\n5\r\nhe`],
      ['a trailer', `${POST}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: `],
    ];
    for (const [name, sent] of bodies) {
      holds(`that do not end a body are answered 408, and its method never runs (${name})`, async () => {
        const client = await RawClient.connect(await server.url());
        client.write(sent);
        await client.closed();

        const answers = answersIn(client.received);
        expect(answers.map(({ status }) => status)).to.deep.equal([408]);
        expect([problemOf(answers[0]).status, reached, log.at('error')]).to.deep.equal([408, [], []]);
      });
    }

    holds(
      'that do not end a body while their answer is written are cut, and nothing stands in it',
      async () => {
        const client = await RawClient.connect(await server.url());
        client.write(`${POST.replace('/take', '/halves')}Content-Length: 10\r\n\r\nhello`);
        const ctx = await begun.promise;
        const over = new Promise<void>((resolve) => ctx.defer(resolve));
        await client.closed();
        await over;

        expect(client.received.toString().match(/HTTP\/1\.1 \d+/g)).to.deep.equal(['HTTP/1.1 200']);
        expect(log.at('error')).to.deep.equal([]);
      },
    );

    holds('that say no more after an answer are closed in silence', async () => {
      const client = await RawClient.connect(await server.url());
      client.write(GET);
      await client.closed();

      expect(answersIn(client.received).map(({ status }) => status)).to.deep.equal([200]);
      expect(log.lines).to.deep.equal([]);
    });

    holds('that are slow with their second request are answered 408 after the first answer', async () => {
      const client = await RawClient.connect(await server.url());
      client.write(GET);
      await client.until((bytes) => bytes.toString().endsWith('looked'));
      client.write('GET /look HTTP/1.1\r\nHost: local');
      await client.closed();

      expect(answersIn(client.received).map(({ status }) => status)).to.deep.equal([200, 408]);
    });

    holds('keep nobody waiting: 100 of them are closed while others are answered', async () => {
      const url = await server.url();
      const slow = await Promise.all(Array.from({ length: 100 }, () => RawClient.connect(url)));
      for (const client of slow) client.write('GET /look HTTP/1.1\r\nHost: local');
      expect((await server.fetch('/look')).status).to.equal(200);
      await Promise.all(slow.map((client) => client.closed()));

      expect(slow.every(({ received }) => received.toString().startsWith('HTTP/1.1 408'))).to.equal(true);
    });
  });
});

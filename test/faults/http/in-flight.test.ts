import { expect } from 'chai';
import { Body, Controller, Ctx, Get, Post, Sse, type Context } from 'coequal';
import { mistreated } from '../../support/canary.js';
import { deferred, turns, type Deferred } from '../../support/deferred.js';
import { answersIn, converse, problemOf } from '../../support/raw-answers.js';
import { RawClient } from '../../support/raw-client.js';

let begun: Deferred<Context>;
let go: Deferred<void>;
const reached: string[] = [];

@Controller()
class Pending {
  @Get('/slow') async slow(@Ctx() ctx: Context) {
    begun.resolve(ctx);
    await go.promise;
    return 'the answer';
  }
  @Get('/halves') async *halves(@Ctx() ctx: Context) {
    yield 'one half, ';
    begun.resolve(ctx);
    await go.promise;
    yield 'the other';
  }
  @Post('/take') async take(@Ctx() ctx: Context, @Body() text: string) {
    reached.push(`${ctx.path} ${text}`);
    return text;
  }
  @Post('/apart') async apart(@Ctx() ctx: Context) {
    begun.resolve(ctx);
    await go.promise;
    return 'too late';
  }
  @Get('/next') next() {
    reached.push('next');
    return 'next';
  }
  @Sse('/events') events(@Ctx() ctx: Context): void {
    begun.resolve(ctx);
  }
}

const get = (path: string, ...fields: string[]): string =>
  [`GET ${path} HTTP/1.1`, 'Host: localhost', ...fields, '', ''].join('\r\n');
const BROKEN = 'GET / HTTP/1.1\r\nHost: localhost\r\nX : 1\r\n\r\n';

describe('HTTP', () => {
  describe('errors behind answers in flight', () => {
    const { server, log, holds } = mistreated({ controllers: [Pending] });
    beforeEach(() => {
      begun = deferred();
      go = deferred();
      reached.length = 0;
    });

    holds('of an idle connection are answered after what was answered before', async () => {
      const client = await RawClient.connect(await server.url());
      client.write(get('/next'));
      await client.until((bytes) => bytes.toString().endsWith('next'));
      client.write(BROKEN);
      await client.closed();

      const [first, second, ...more] = answersIn(client.received);
      expect([first?.status, first?.body, second?.status, more]).to.deep.equal([200, 'next', 400, []]);
      expect(problemOf(second)).to.deep.equal({
        title: 'Bad Request',
        status: 400,
        code: 'MALFORMED_REQUEST',
        detail: 'The request is malformed',
      });
    });

    holds('are told to the log in one line, without what was sent', async () => {
      await converse(server, 'GET / HTTP/1.1\r\nHost: localhost\r\nX : secret\r\n\r\nand more\r\n\r\n');

      expect(log.lines).to.have.lengthOf(1);
      const [{ level, fields }] = log.lines as [(typeof log.lines)[0]];
      expect([level, fields['status'], fields['address']]).to.deep.equal(['info', 400, '127.0.0.1']);
      expect(JSON.stringify(log.lines)).not.to.contain('secret');
    });

    for (const path of ['/slow', '/halves']) {
      holds(`wait for the answer, which stays whole (${path})`, async () => {
        const client = await RawClient.connect(await server.url());
        client.write(get(path));
        await begun.promise;
        client.write(BROKEN).write('and more that is no request\r\n\r\n');
        await turns();
        go.resolve();
        await client.closed();

        const answers = answersIn(client.received);
        expect(answers.map(({ status, body }) => (status === 200 ? body : status))).to.deep.equal([
          path === '/slow' ? 'the answer' : 'one half, the other',
          400,
        ]);
      });
    }

    holds('that come in one packet with good requests are answered in order', async () => {
      go.resolve();
      const answers = await converse(server, get('/slow') + get('/next') + BROKEN + get('/next'));

      expect(answers.map(({ status }) => status)).to.deep.equal([200, 200, 400]);
      expect(reached).to.deep.equal(['next']);
    });

    holds('in a body are the answer to its request, whose method never runs', async () => {
      const head = 'POST /take HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n';
      const answers = await converse(server, `${head}Transfer-Encoding: chunked\r\n\r\nno size\r\n`);

      expect(answers.map(({ status }) => status)).to.deep.equal([400]);
      expect([problemOf(answers[0]).detail, reached]).to.deep.equal(['The request is malformed', []]);
    });

    holds('in a body that its method does not read are answered, and the exchange ends', async () => {
      const client = await RawClient.connect(await server.url());
      client.head('POST /apart HTTP/1.1', 'Host: localhost', 'Transfer-Encoding: chunked');
      const ctx = await begun.promise;
      const over = new Promise<void>((resolve) => ctx.defer(resolve));
      client.write('no size\r\n');
      await client.closed();
      await over;
      go.resolve();

      expect(answersIn(client.received).map(({ status }) => status)).to.deep.equal([400]);
      expect([ctx.signal.aborted, log.at('error')]).to.deep.equal([true, []]);
    });

    holds('in the body of a queued request come after the answer before it', async () => {
      const head = 'POST /take HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n';
      const client = await RawClient.connect(await server.url());
      client.write(`${get('/slow')}${head}Transfer-Encoding: chunked\r\n\r\nno size\r\n`);
      await begun.promise;
      go.resolve();
      await client.closed();

      const answers = answersIn(client.received);
      expect(answers.map(({ status }) => status)).to.deep.equal([200, 400]);
      expect(reached).to.deep.equal([]);
    });

    holds('behind a stream of events never stand within it', async () => {
      const client = await RawClient.connect(await server.url());
      client.write(get('/events', 'Accept: text/event-stream'));
      const ctx = await begun.promise;
      await client.opening();
      client.write(BROKEN);
      ctx.send({ still: 'whole' });
      const received = await client.until((bytes) => bytes.includes('whole'));
      client.reset();

      expect(received.toString().match(/HTTP\/1\.1 \d+/g)).to.deep.equal(['HTTP/1.1 200']);
    });

    holds('behind a stream of events do not keep its client from leaving', async () => {
      const client = await RawClient.connect(await server.url());
      client.write(get('/events', 'Accept: text/event-stream'));
      const ctx = await begun.promise;
      const over = new Promise<void>((resolve) => ctx.defer(resolve));
      await client.opening();
      client.write(BROKEN);
      client.socket.end();
      await over;
      await client.closed();

      expect(client.received.toString().match(/HTTP\/1\.1 \d+/g)).to.deep.equal(['HTTP/1.1 200']);
    });

    const tooMany = Array.from({ length: 201 }, (_, index) => `X-${index}: 1`);
    for (const path of ['/next', '/slow']) {
      holds(`that close the connection have no request behind them taken (after ${path})`, async () => {
        const client = await RawClient.connect(await server.url());
        client.write(get(path) + get('/next', ...tooMany) + get('/next') + get('/next'));
        if (path === '/slow') await begun.promise;
        go.resolve();
        await client.closed();

        expect(answersIn(client.received).map(({ status }) => status)).to.deep.equal([200, 431]);
        expect(reached).to.deep.equal(path === '/slow' ? [] : ['next']);
      });
    }

    for (const target of ['localhost:80', '/next']) {
      holds(`that are CONNECT are refused with 501 in their turn (${target})`, async () => {
        const connect = `CONNECT ${target} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
        const client = await RawClient.connect(await server.url());
        client.write(get('/slow') + connect + get('/next'));
        await begun.promise;
        go.resolve();
        await client.closed();

        const answers = answersIn(client.received);
        expect(answers.map(({ status }) => status)).to.deep.equal([200, 501]);
        expect([problemOf(answers[1]).status, reached]).to.deep.equal([501, []]);
      });
    }
  });

  describe('errors behind answers that take too long', () => {
    const { server, holds } = mistreated({ controllers: [Pending], timeouts: { handler: 50 } });
    beforeEach(() => {
      begun = deferred();
      go = deferred();
    });

    holds('cut what has no end', async () => {
      const client = await RawClient.connect(await server.url());
      client.write(get('/events', 'Accept: text/event-stream'));
      await client.opening();
      client.write(BROKEN);
      await client.closed();

      expect(client.received.toString().match(/HTTP\/1\.1 \d+/g)).to.deep.equal(['HTTP/1.1 200']);
    });
  });
});

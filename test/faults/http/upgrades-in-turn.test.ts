import { expect } from 'chai';
import { Body, Controller, Ctx, Get, HttpError, UseMiddleware, WebSocket, type Context } from 'coequal';
import { mistreated } from '../../support/canary.js';
import { deferred, turns, type Deferred } from '../../support/deferred.js';
import { answersIn } from '../../support/raw-answers.js';
import { HANDSHAKE, maskedFrame, RawClient } from '../../support/raw-client.js';

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
  @WebSocket('/talk') talk(@Body() text: string) {
    return text;
  }
  @WebSocket('/guarded')
  @UseMiddleware(() => {
    throw new HttpError(403);
  })
  guarded() {
    reached.push('guarded');
  }
  @Get('/plain') plain() {
    return 'plain';
  }
}

const get = (path: string, ...fields: string[]): string =>
  [`GET ${path} HTTP/1.1`, 'Host: localhost', ...fields, '', ''].join('\r\n');
const upgrade = (path: string): string => [`GET ${path} HTTP/1.1`, ...HANDSHAKE, '', ''].join('\r\n');

describe('HTTP', () => {
  describe('upgrades behind answers in flight', () => {
    const { server, holds } = mistreated({ controllers: [Pending] });
    beforeEach(() => {
      begun = deferred();
      go = deferred();
      reached.length = 0;
    });

    holds('open after them, and no answer stands in the conversation', async () => {
      const client = await RawClient.connect(await server.url());
      client.write(get('/slow') + get('/slow') + upgrade('/talk')).write(maskedFrame(1, 'first'));
      await begun.promise;
      await turns();
      expect(client.received.toString()).to.equal('');
      client.write(maskedFrame(1, 'second'));
      go.resolve();
      const received = await client.until((bytes) => bytes.includes('second'));
      client.reset();

      const text = received.toString('latin1');
      const at = text.indexOf('HTTP/1.1 101');
      expect(answersIn(received.subarray(0, at)).map(({ body }) => body)).to.deep.equal([
        'the answer',
        'the answer',
      ]);
      expect(text.slice(text.indexOf('\r\n\r\n', at) + 4)).to.equal('\x81\x05first\x81\x06second');
    });

    const others: [name: string, request: string, status: number][] = [
      ['are refused after them', upgrade('/guarded'), 403],
      [
        'are served as plain HTTP after them',
        get('/plain', 'Connection: Upgrade, close', 'Upgrade: h2c'),
        200,
      ],
    ];
    for (const [name, request, status] of others) {
      holds(`${name}, where they are not let in`, async () => {
        const client = await RawClient.connect(await server.url());
        client.write(get('/slow') + request);
        await begun.promise;
        await turns();
        go.resolve();
        await client.closed();

        expect(answersIn(client.received).map((answer) => answer.status)).to.deep.equal([200, status]);
        expect(reached).to.deep.equal([]);
      });
    }

    holds('do not open where they close the connection', async () => {
      const client = await RawClient.connect(await server.url());
      const fields = Array.from({ length: 201 }, (_, index) => `X-${index}: 1`);
      client.write(get('/slow') + get('/plain', ...fields) + upgrade('/talk'));
      await begun.promise;
      go.resolve();
      await client.closed();

      expect(answersIn(client.received).map(({ status }) => status)).to.deep.equal([200, 431]);
    });

    const ways: [way: string, leave: (client: RawClient) => void][] = [
      ['a reset', (client) => client.reset()],
      ['closing the connection', (client) => client.socket.destroy()],
    ];
    for (const [way, leave] of ways) {
      holds(`end with a client that leaves by ${way}, as the answers do`, async () => {
        const client = await RawClient.connect(await server.url());
        client.write(get('/slow') + upgrade('/talk'));
        const ctx = await begun.promise;
        const over = new Promise<void>((resolve) => ctx.defer(resolve));
        leave(client);
        await over;
        go.resolve();

        expect(ctx.signal.aborted).to.equal(true);
      });
    }
  });
});

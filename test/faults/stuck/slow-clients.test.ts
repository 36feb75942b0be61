import { once } from 'node:events';
import type { Socket as NetSocket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { expect } from 'chai';
import { Body, Controller, Get, Post, WebSocket } from 'coequal';
import { mistreated } from '../../support/canary.js';
import { until } from '../../support/deferred.js';
import { FaultProxy } from '../../support/fault-proxy.js';
import { HANDSHAKE, RawClient } from '../../support/raw-client.js';
import { sample } from '../../support/long.js';

const ANSWER = 'x'.repeat(16_777_216);

let running = 0;

@Controller('/slow')
class Slow {
  @Get()
  show() {
    return 'shown';
  }

  @Get('/much')
  much() {
    return ANSWER;
  }

  @Post()
  take(@Body() text: string) {
    running++;
    return text;
  }

  @WebSocket()
  open() {
    running++;
  }
}

describe('Slow and stuck', () => {
  describe('a client that takes its time', () => {
    const { server, log, holds } = mistreated({
      controllers: [Slow],
      timeouts: { headers: 300, request: 600, keepAlive: 300 },
    });
    let proxy: FaultProxy | undefined;
    afterEach(() => proxy?.close());

    const POST = ['POST /slow HTTP/1.1', 'Host: localhost', 'Content-Type: text/plain'];

    /** A byte now and then, until the server has had enough. */
    async function drip(client: RawClient, text: string): Promise<void> {
      for (const byte of text) {
        if (client.socket.readableEnded || client.socket.closed) return;
        client.write(byte);
        await wait(20);
      }
      throw new Error('the server has taken all of it');
    }

    for (const [what, first, rest] of [
      ['with its request line', '', `GET /${'x'.repeat(400)}`],
      ['with its header fields', 'GET /slow HTTP/1.1\r\nHost: localhost\r\n', 'X-A: b\r\n'.repeat(60)],
      ['with its handshake', `GET /slow HTTP/1.1\r\n${HANDSHAKE.join('\r\n')}\r\n`, 'X-A: b\r\n'.repeat(60)],
      ['with its body', [...POST, 'Content-Length: 1000', '', ''].join('\r\n'), 'x'.repeat(400)],
      [
        'with its chunks',
        [...POST, 'Transfer-Encoding: chunked', '', ''].join('\r\n'),
        '1\r\nx\r\n'.repeat(60),
      ],
    ] as const) {
      holds(`${what} is answered with 408, its connection is closed, and nothing has run`, async function () {
        this.timeout(20_000);
        running = 0;
        const client = await RawClient.connect(await server.url());
        client.write(first);
        await drip(client, rest);
        const { status } = await client.answer();
        expect(status).to.equal(408);
        expect(running).to.equal(0);
        expect(log.at('error')).to.deep.equal([]);
      });
    }

    holds('until it sends anything at all is closed', async () => {
      const client = await RawClient.connect(await server.url());
      await client.closed();
    });

    holds('with its next request is closed', async () => {
      const client = await RawClient.connect(await server.url());
      client.head('GET /slow HTTP/1.1', 'Host: localhost');
      await client.until((bytes) => bytes.includes('shown'));
      await client.closed();
    });

    const cuts = [
      ['in the middle of its head', 'GET /slow HTTP/1.1\r\nHost: local'],
      ['in the middle of its body', [...POST, 'Content-Length: 1000', '', 'half of it'].join('\r\n')],
    ] as const;
    for (const [what, lines] of sample(cuts, 2)) {
      holds(`and is black-holed ${what} is let go`, async function () {
        // Its refusal is given five seconds to arrive.
        this.timeout(20_000);
        proxy = new FaultProxy(server, ({ up }) => (up.cut = { after: lines.length, by: 'vanish' }));
        const accepted = once(server.app.server, 'connection') as Promise<[NetSocket]>;
        const client = await RawClient.connect(await proxy.url());
        client.write(lines);
        const [tcp] = await accepted;
        await until(() => tcp.destroyed && server.app.stats().inFlight.exchanges === 0);
        expect(log.at('error')).to.deep.equal([]);
        client.reset();
      });
    }

    holds('to read a long answer gets all of it, and others are served meanwhile', async function () {
      this.timeout(20_000);
      const client = await RawClient.connect(await server.url());
      client.socket.pause();
      client.head('GET /slow/much HTTP/1.1', 'Host: localhost', 'Connection: close');
      for (let i = 0; i < 20; i++) expect((await server.fetch('/slow')).status).to.equal(200);
      client.socket.resume();
      expect((await client.answer()).body).to.have.lengthOf(ANSWER.length);
    });
  });
});

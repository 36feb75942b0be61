import { once } from 'node:events';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import { expect } from 'chai';
import { Controller, Ctx, Get, Sse, type Context } from 'coequal';
import { serve } from 'coequal/testing';
import { deferred, type Deferred } from '../support/deferred.js';
import { Recorder } from '../support/journal.js';
import { RawClient } from '../support/raw-client.js';

const PIECE = 'x'.repeat(65_536);
/** More than the system takes for a client that reads nothing. */
const LARGE = 40_000_000;

let ended: Deferred<void>;
let go: Deferred<void>;

async function* endless(): AsyncGenerator<string> {
  try {
    for (;;) yield PIECE;
  } finally {
    ended.resolve();
  }
}

@Controller()
class Much {
  @Get('/iterable') iterable() {
    return endless();
  }
  @Get('/readable') readable() {
    return Readable.from(endless());
  }
  @Get('/web') web() {
    return new Response(Readable.toWeb(Readable.from(endless())) as ReadableStream);
  }
  @Sse('/events') events() {
    return endless();
  }
  @Get('/text') text(@Ctx() ctx: Context) {
    ctx.defer(() => ended.resolve());
    return 'x'.repeat(LARGE);
  }
  @Get('/bytes') bytes(@Ctx() ctx: Context) {
    ctx.defer(() => ended.resolve());
    return Buffer.alloc(LARGE);
  }
  @Get('/by-hand') byHand(@Ctx() ctx: Context) {
    ctx.defer(() => ended.resolve());
    ctx.response.write('x'.repeat(LARGE));
  }
  @Get('/quiet') async *quiet() {
    yield 'first, ';
    await go.promise;
    yield 'last';
  }
}

const get = (path: string, ...fields: string[]): string =>
  [`GET ${path} HTTP/1.1`, 'Host: localhost', ...fields, '', ''].join('\r\n');

describe('timeouts.unread', () => {
  const log = new Recorder();
  const server = serve({ controllers: [Much], logger: log, timeouts: { unread: 400 } });
  beforeEach(() => {
    ended = deferred();
    go = deferred();
    log.lines.length = 0;
  });

  /** Asks, and reads nothing. Gives the client, and when the server has destroyed the connection. */
  async function ask(request: string): Promise<{ client: RawClient; cut: Promise<unknown> }> {
    const connected = once(server.app.server, 'connection') as Promise<[Socket]>;
    const client = await RawClient.connect(await server.url());
    const [socket] = await connected;
    client.socket.pause();
    client.write(request);
    return { client, cut: once(socket, 'close') };
  }

  const kinds = ['/iterable', '/readable', '/web', '/events', '/text', '/bytes', '/by-hand'];
  for (const path of kinds) {
    it(`ends a response that nobody reads, and its source (${path})`, async () => {
      const { client, cut } = await ask(
        get(path, `Accept: ${path === '/events' ? 'text/event-stream' : '*/*'}`),
      );
      await Promise.all([cut, ended.promise]);
      client.reset();

      expect(log.lines.map(({ level, message }) => [level, message])).to.deep.equal([
        ['info', 'unread response: connection cut'],
      ]);
      expect(log.lines[0]?.fields).to.deep.equal({ method: 'GET', path, address: '127.0.0.1' });
    });
  }

  it('ends one that closes its connection, and one behind another', async () => {
    const closing = await ask(get('/text', 'Connection: close'));
    await closing.cut;
    const behind = await ask(get('/nowhere') + get('/text'));
    await behind.cut;
    closing.client.reset();
    behind.client.reset();

    expect(log.lines.map(({ fields }) => fields['path'])).to.deep.equal(['/text', '/text']);
  });

  it('does not end a response whose source is quiet', async () => {
    const quiet = await server.fetch('/quiet');
    const { client, cut } = await ask(get('/text'));
    await cut;
    client.reset();
    go.resolve();

    expect(await quiet.text()).to.equal('first, last');
  });

  it('does not end a response that is read slowly', async () => {
    const slow = await ask(get('/text', 'Connection: close'));
    const stuck = await ask(get('/text'));
    let isOver = false;
    void stuck.cut.then(() => (isOver = true));
    while (!isOver) {
      slow.client.socket.resume();
      await once(slow.client.socket, 'data');
      slow.client.socket.pause();
      await wait(5);
    }
    slow.client.socket.resume();
    await slow.client.closed();
    stuck.client.reset();

    expect(slow.client.received.length).to.be.above(LARGE);
    expect(log.lines).to.have.lengthOf(1);
  });
});

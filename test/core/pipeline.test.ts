import { AsyncLocalStorage } from 'node:async_hooks';
import type { Socket } from 'node:net';
import { expect } from 'chai';
import { Body, Controller, Ctx, Get, Param, Post, WebSocket, type Context } from 'coequal';
import { serve, type TestServer } from 'coequal/testing';
import { deferred, turns, until, type Deferred } from '../support/deferred.js';
import { answersIn } from '../support/raw-answers.js';
import { HANDSHAKE, maskedFrame, RawClient } from '../support/raw-client.js';

/** One read of Node's takes so many bytes at most. */
const ONE_READ = 65_536;

let begun: string[];
let go: Deferred<void>;
let running: number;
let most: number;

const store = new AsyncLocalStorage<string>();

@Controller()
class Work {
  /** Ends when the test lets it. */
  @Get('/held') async held() {
    begun.push('held');
    await go.promise;
    return 'held';
  }
  @Get('/number/:n') async number(@Param('n') n: string) {
    most = Math.max(most, ++running);
    await turns(2);
    running--;
    return n;
  }
  @Get('/next') next() {
    begun.push('next');
    return 'next';
  }
  @Get('/context/:name') context(@Param('name') name: string) {
    const before = store.getStore();
    return store.run(name, async () => {
      await turns(2);
      return String(before);
    });
  }
  @Get('/closing') async closing(@Ctx() ctx: Context) {
    ctx.setHeader('connection', 'close');
    await go.promise;
    return 'x'.repeat(100_000);
  }
  @Get('/endless') async *endless() {
    begun.push('endless');
    for (;;) {
      yield 'x'.repeat(16_384);
      await turns(1);
    }
  }
  @Get('/large/:pieces') async large(@Param('pieces') pieces: number) {
    begun.push('large');
    await go.promise;
    return (async function* () {
      for (let i = 0; i < pieces; i++) yield 'x'.repeat(65_536);
    })();
  }
  @Post('/take') async take(@Body() text: string) {
    begun.push('take');
    return `${text.length}`;
  }
  @WebSocket('/talk') talk(@Body() text: string) {
    return text;
  }
}

const get = (path: string, ...fields: string[]): string =>
  [`GET ${path} HTTP/1.1`, 'Host: localhost', ...fields, '', ''].join('\r\n');
const post = (body: string, ...fields: string[]): string =>
  ['POST /take HTTP/1.1', 'Host: localhost', 'Content-Type: text/plain', ...fields]
    .concat(`Content-Length: ${body.length}`, '', body)
    .join('\r\n');

/** The bodies of the responses that a connection has brought, in order. */
const bodiesIn = (received: Buffer): string[] => answersIn(received).map(({ body }) => body);

/** The server's side of the connections that are made from now on. */
function connectionsOf({ app }: TestServer): Socket[] {
  const sockets: Socket[] = [];
  app.server.on('connection', (socket) => sockets.push(socket));
  return sockets;
}

describe('pipelined requests', () => {
  const server = serve({ controllers: [Work], logger: false, limits: { body: 1_000_000 } });
  beforeEach(() => {
    begun = [];
    go = deferred();
    running = most = 0;
  });

  it('run one after the other, and are answered in order', async () => {
    const client = await RawClient.connect(await server.url());
    const numbers = Array.from({ length: 100 }, (_, n) => String(n));
    client.write(numbers.map((n) => get(`/number/${n}`)).join('') + get('/next', 'Connection: close'));
    await client.closed();

    expect(bodiesIn(client.received)).to.deep.equal([...numbers, 'next']);
    expect(most).to.equal(1);
  });

  it('do not run in the asynchronous context of the request before them', async () => {
    const client = await RawClient.connect(await server.url());
    client.write(['a', 'b', 'c'].map((name) => get(`/context/${name}`)).join(''));
    client.write(get('/next', 'Connection: close'));
    await client.closed();

    expect(bodiesIn(client.received)).to.deep.equal(['undefined', 'undefined', 'undefined', 'next']);
  });

  it('are answered one by one whatever their kind: HEAD, a body, an expected body', async () => {
    const client = await RawClient.connect(await server.url());
    client.write(get('/held') + post('x'.repeat(5)) + post('', 'Expect: 100-continue') + get('/nowhere'));
    client.write('HEAD /next HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    await until(() => begun.length > 0);
    go.resolve();
    await client.closed();

    expect(client.received.toString().match(/HTTP\/1\.1 \d+/g)).to.deep.equal(
      ['200', '200', '100', '200', '404', '200'].map((status) => `HTTP/1.1 ${status}`),
    );
    expect(begun).to.deep.equal(['held', 'take', 'take', 'next']);
  });

  it('wait with bodies larger than what is held, and these arrive whole', async () => {
    const client = await RawClient.connect(await server.url());
    client.write(get('/held') + post('x'.repeat(900_000)) + post('x'.repeat(10), 'Connection: close'));
    await until(() => begun.length > 0);
    await turns();
    expect(begun).to.deep.equal(['held']);
    go.resolve();
    await client.closed();

    expect(bodiesIn(client.received)).to.deep.equal(['held', '900000', '10']);
  });

  it('never run if the client leaves first', async () => {
    const sockets = connectionsOf(server);
    for (const before of ['/held', '/endless']) {
      begun = [];
      const client = await RawClient.connect(await server.url());
      client.write(get(before) + get('/next').repeat(40));
      await until(() => begun.length > 0);
      client.reset();
      await until(() => sockets.at(-1)?.closed === true);
      go.resolve();
      await until(() => server.app.stats().inFlight.exchanges === 0);
      await turns();

      expect(begun).to.deep.equal([before.slice(1)]);
    }
  });

  it('end with the connection, to listeners of the server as well', async () => {
    const client = await RawClient.connect(await server.url());
    let closed = 0;
    const listen = (_request: unknown, response: NodeJS.EventEmitter) => response.on('close', () => closed++);
    server.app.server.on('request', listen);
    client.write(get('/held') + get('/next').repeat(30));
    await until(() => begun.length > 0);
    await turns();
    client.reset();
    await until(() => closed >= 31);
    await turns();
    server.app.server.off('request', listen);
    expect(closed, 'once for each response').to.equal(31);
    go.resolve();
  });

  it('never run behind a response that closes the connection, which arrives whole', async () => {
    const client = await RawClient.connect(await server.url());
    client.write(get('/closing') + get('/next').repeat(20_000));
    await turns();
    go.resolve();
    await client.closed();

    expect(bodiesIn(client.received).map(({ length }) => length)).to.deep.equal([100_000]);
    expect(begun).to.deep.equal([]);
  });

  it('open a socket after a response that is larger than what a connection takes at once', async () => {
    const client = await RawClient.connect(await server.url());
    client.write(get('/large/16') + [`GET /talk HTTP/1.1`, ...HANDSHAKE, '', ''].join('\r\n'));
    await until(() => begun.length > 0);
    await turns();
    go.resolve();
    await client.until((bytes) => bytes.includes('HTTP/1.1 101'));
    client.write(maskedFrame(1, 'hello'));
    await client.until((bytes) => bytes.includes('hello'));
    client.reset();
  });

  describe('of which many wait', () => {
    it('are not read further, until there is room', async () => {
      const [sockets, requests] = [connectionsOf(server), 5_000];
      const client = await RawClient.connect(await server.url());
      client.write(get('/held') + get('/next').repeat(requests - 2) + get('/next', 'Connection: close'));
      await until(() => begun.length > 0);
      await turns(100);
      expect(sockets[0]?.bytesRead).to.be.at.most(2 * ONE_READ);
      expect(begun).to.deep.equal(['held']);
      go.resolve();
      await client.closed();

      expect(client.received.toString('latin1').match(/HTTP\/1\.1 200 /g)).to.have.lengthOf(requests);
    });

    it('are not read further while the response before them goes out', async () => {
      const sockets = connectionsOf(server);
      const client = await RawClient.connect(await server.url());
      client.write(get('/large/96') + get('/next').repeat(20_000));
      await until(() => begun.length > 0);
      await turns();
      go.resolve();
      await client.until(({ length }) => length > 4_000_000);
      expect(sockets[0]?.bytesRead).to.be.at.most(3 * ONE_READ);
      client.reset();
    });

    it('are not waited for when the application closes: what runs is answered, and the connection ends', async () => {
      const closing = serve({ controllers: [Work], logger: false });
      const client = await RawClient.connect(await closing.url());
      client.write(get('/held') + get('/next').repeat(20_000));
      await until(() => begun.length > 0);
      const closed = closing.app.close();
      await turns();
      go.resolve();
      await client.closed();
      await closed;

      expect(bodiesIn(client.received)).to.deep.equal(['held']);
      expect(begun).to.deep.equal(['held']);
      await closing.close();
    });
  });
});

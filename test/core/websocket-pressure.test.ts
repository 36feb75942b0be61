import { once } from 'node:events';
import { expect } from 'chai';
import {
  Body,
  Channel,
  Channels,
  Connections,
  Controller,
  Ctx,
  defineChannel,
  Socket,
  WebSocket,
  type Context,
} from 'coequal';
import { serve } from 'coequal/testing';
import { WebSocket as Client } from 'ws';
import { deferred, turns, until } from '../support/deferred.js';
import { HANDSHAKE, RawClient } from '../support/raw-client.js';

const News = defineChannel<string>('pressed-news');
const KIB = 'x'.repeat(1_024);

const state = {
  gate: deferred(),
  handled: 0,
  made: 0,
  behind: deferred(),
  caughtUp: deferred(),
  returned: deferred(),
  opened: deferred<Socket>(),
};

function reset(): void {
  state.gate = deferred();
  state.behind = deferred();
  state.caughtUp = deferred();
  state.returned = deferred();
  state.opened = deferred();
  state.handled = state.made = 0;
}

@Controller()
class Pressed {
  @WebSocket('/stuck') async stuck(@Body() _text: string) {
    await state.gate.promise;
    state.handled++;
  }
  @WebSocket('/stuck-loop') async stuckLoop(@Socket(String) socket: Socket<string>) {
    await state.gate.promise;
    for await (const _text of socket) state.handled++;
  }
  @WebSocket('/generator') async *generator() {
    try {
      for (;;) {
        state.made++;
        yield await Promise.resolve(KIB.repeat(16));
      }
    } finally {
      state.returned.resolve();
    }
  }
  @WebSocket('/drained') async drained(@Socket() socket: Socket) {
    while (socket.send(KIB)) state.made++;
    state.behind.resolve();
    await socket.drained();
    state.caughtUp.resolve();
  }
  @WebSocket('/flood') flood(@Socket() socket: Socket): void {
    state.opened.resolve(socket);
  }
  @WebSocket('/channel') channel(@Channel(News) news: Channel<string>) {
    return news;
  }
  @WebSocket('/echo') echo(@Body() text: string, @Ctx() _ctx: Context) {
    return text;
  }
}

/** Waits until a count stands still: whoever was to be held back is. */
async function settled(count: () => number): Promise<number> {
  let before = -1;
  while (before !== count()) {
    before = count();
    await turns(100);
  }
  return before;
}

describe('a socket whose handler is behind', () => {
  const server = serve({ controllers: [Pressed], logger: false, limits: { message: 262_144 } });

  beforeEach(reset);

  for (const path of ['/stuck', '/stuck-loop']) {
    it(`reads no more from the network, and everything arrives when it has caught up (${path})`, async function () {
      this.timeout(5_000);
      const { raw } = await server.socket(path);
      const message = 'x'.repeat(131_072);
      const count = 128;
      for (let i = 0; i < count; i++) raw.send(message);

      // 16 MiB were sent; what the kernel does not hold stays with the client.
      await settled(() => raw.bufferedAmount);
      expect(raw.bufferedAmount).to.be.greaterThan(4_194_304);
      expect(state.handled).to.equal(0);

      state.gate.resolve();
      await until(() => state.handled === count);
      expect(raw.bufferedAmount).to.equal(0);
    });
  }
});

describe('a socket whose reader is behind', () => {
  const server = serve({
    controllers: [Pressed],
    logger: false,
    limits: { buffered: 262_144, value: 65_600 },
    timeouts: { close: 50 },
  });

  beforeEach(reset);

  /** A client that has shaken hands and reads nothing. */
  async function deaf(path: string): Promise<RawClient> {
    const client = await RawClient.connect(await server.url());
    client.socket.pause();
    client.head(`GET ${path} HTTP/1.1`, ...HANDSHAKE);
    return client;
  }

  it('holds back the generator that feeds it, and ends it when the reader leaves', async () => {
    const client = await deaf('/generator');
    await until(() => state.made > 0);

    const made = await settled(() => state.made);
    expect(made * 16_384).to.be.lessThan(16_777_216);

    client.socket.resume();
    await until(() => state.made > made);
    client.reset();
    await state.returned.promise;
  });

  it('tells its method by false, and resolves drained() when the reader has caught up', async () => {
    const client = await deaf('/drained');
    await state.behind.promise;
    expect(state.made).to.be.lessThan(1_024);

    client.socket.resume();

    await state.caughtUp.promise;
    client.reset();
  });

  it('is given up with 1013 beyond its limit, and what waited is let go', async () => {
    const client = await deaf('/flood');
    const socket = await state.opened.promise;
    while (socket.closed === undefined) {
      socket.send(KIB.repeat(64));
      expect(socket.buffered).to.be.at.most(262_144 + 131_072);
      await turns(1);
    }

    expect(socket.closed).to.deep.equal({ code: 1013, reason: 'the reader is too slow' });
    expect(socket.send('more')).to.equal(false);
    await until(() => server.app.container.resolve(Connections).count === 0);
    client.socket.resume();
    await client.closed();
  });

  it('resolves drained() when it closes', async () => {
    const client = await deaf('/drained');
    await state.behind.promise;

    client.reset();

    await state.caughtUp.promise;
  });

  it('does not hold up others that read the same channel', async () => {
    const slow = await deaf('/channel');
    const quick = await server.socket('/channel');
    const news = server.app.container.resolve(Channels).of(News, {});
    await until(() => news.size === 2);

    for (let i = 0; news.size === 2; i++) {
      news.publish(`${i} ${KIB.repeat(64)}`);
      expect(((await quick.next()) as string).split(' ')[0]).to.equal(String(i));
    }

    news.publish('the last');
    expect(await quick.next()).to.equal('the last');
    slow.reset();
  });
});

describe('the heartbeat of a socket', () => {
  const server = serve({ controllers: [Pressed], logger: false, heartbeat: 32 });

  beforeEach(reset);

  async function connect(path: string, autoPong: boolean): Promise<Client> {
    const client = new Client(`${(await server.url()).replace('http', 'ws')}${path}`, { autoPong });
    await once(client, 'open');
    return client;
  }

  it('cuts a peer that does not answer', async () => {
    const client = await connect('/echo', false);

    const [code] = (await once(client, 'close')) as [number];

    expect(code).to.equal(1006);
  });

  it('leaves a peer that answers', async () => {
    const client = await connect('/echo', true);
    for (let pings = 0; pings < 4; pings++) await once(client, 'ping');

    client.send('still here');
    const [answer] = (await once(client, 'message')) as [Buffer];

    expect(answer.toString()).to.equal('still here');
    client.terminate();
  });

  it('takes messages for a sign of life', async () => {
    const client = await connect('/echo', false);
    for (let pings = 0; pings < 4; pings++) {
      await once(client, 'ping');
      client.send('here');
    }

    expect(client.readyState).to.equal(Client.OPEN);
    client.terminate();
  });

  it('leaves a peer whose pong waits behind messages that the handler has not come to', async () => {
    const client = await connect('/stuck', true);
    for (let i = 0; i < 64; i++) client.send('x'.repeat(60_000));
    for (let pings = 0; pings < 4; pings++) await once(client, 'ping');

    expect(client.readyState).to.equal(Client.OPEN);
    state.gate.resolve();
    await until(() => state.handled === 64);
    client.terminate();
  });
});

describe('a socket with permessage-deflate', () => {
  const server = serve({
    controllers: [Pressed],
    logger: false,
    perMessageDeflate: true,
    limits: { message: 100_000 },
  });

  beforeEach(reset);

  it('is agreed on and carries messages both ways', async () => {
    const socket = await server.socket('/echo');
    expect(socket.raw.extensions).to.contain('permessage-deflate');

    for (const text of ['short', 'ü'.repeat(40_000), '']) {
      socket.send(text);
      expect(await socket.next()).to.equal(text);
    }
  });

  it('takes the options of ws', async () => {
    const tuned = serve({ controllers: [Pressed], perMessageDeflate: { threshold: 10 } });
    const socket = await tuned.socket('/echo');
    socket.send('short');

    expect(socket.raw.extensions).to.contain('permessage-deflate');
    expect(await socket.next()).to.equal('short');
  });

  it('carries a broadcast, to those with it and to those without, in order', async () => {
    const compressed = await server.socket('/channel');
    const plain = new Client(`${(await server.url()).replace('http', 'ws')}/channel`, {
      perMessageDeflate: false,
    });
    const received: string[] = [];
    plain.on('message', (data) => received.push(String(data)));
    await once(plain, 'open');
    const news = server.app.container.resolve(Channels).of(News, {});
    await until(() => news.size === 2);
    const sent = Array.from({ length: 20 }, (_, index) => `${index} ${KIB.repeat(index)}`);

    for (const text of sent) news.publish(text);

    for (const text of sent) expect(await compressed.next()).to.equal(text);
    await until(() => received.length === sent.length);
    expect(received).to.deep.equal(sent);
    plain.terminate();
  });

  it('is not agreed on unless it is asked for', async () => {
    const off = serve({ controllers: [Pressed], logger: false });
    try {
      expect((await off.socket('/echo')).raw.extensions).to.equal('');
    } finally {
      await off.close();
    }
  });

  it('counts the size of a message as it is unpacked', async () => {
    const socket = await server.socket('/echo');
    socket.send('x'.repeat(100_001));

    expect((await socket.closed()).code).to.equal(1009);
  });

  it('bounds what waits for a reader that does not read', async () => {
    const client = await RawClient.connect(await server.url());
    client.socket.pause();
    client.head('GET /generator HTTP/1.1', ...HANDSHAKE, 'Sec-WebSocket-Extensions: permessage-deflate');
    await until(() => state.made > 0);

    // Compressed, one of these takes some hundred bytes, so many more of them fit on the way.
    const made = await settled(() => state.made);
    client.socket.resume();
    await until(() => state.made > made);
    client.reset();
    await state.returned.promise;
  });
});

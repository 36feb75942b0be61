import { expect } from 'chai';
import {
  Body,
  Channel,
  Channels,
  conflate,
  Connection,
  Controller,
  Ctx,
  defineChannel,
  Get,
  HttpError,
  Post,
  Sse,
  UseMiddleware,
  WebSocket,
  type ChannelDefinition,
  type Context,
  type Middleware,
} from 'coequal';
import { serve } from 'coequal/testing';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { z } from 'zod';
import { LONG } from '../support/long.js';

const Room = defineChannel<unknown>('rooms/:room', { history: 3 });
const Plain = defineChannel<unknown>('plain');
const Private = defineChannel<string>('private/:room', {
  history: 5,
  authorize: (ctx) => ctx.query['key'] === 'yes',
});
const Checked = defineChannel<{ n: number }>('checked', { schema: z.object({ n: z.number() }) });
const Closing = defineChannel<string>('closing');
const Dropping = defineChannel<string>('dropping', { overflow: 'drop-oldest' });
const Latest = defineChannel<{ key: string; n: number; pad: string }>('latest', {
  overflow: conflate(({ key }) => key),
});
const Present = defineChannel<string>('present', { presence: (user) => (user as { name: string }).name });

const codec = {
  encode: (value: unknown) => `c:${JSON.stringify(value)}`,
  decode: (data: string | Buffer): unknown => JSON.parse(String(data).slice(2)),
};

const named: Middleware = (ctx, next) => {
  const { name } = ctx.query;
  if (typeof name === 'string') ctx.user = { id: name, name };
  return next();
};

@Controller()
@UseMiddleware(named)
class Site {
  @Get('/rooms/:room') @Sse('/rooms/:room') @WebSocket('/rooms/:room') room(@Channel(Room) room: Channel) {
    return room;
  }
  @Post('/rooms/:room') say(@Channel(Room) room: Channel, @Body(String) text: string) {
    room.publish(text);
  }
  @Sse('/plain') @WebSocket('/plain') plain(@Channel(Plain) channel: Channel) {
    return channel;
  }
  @WebSocket('/coded', { codec }) coded(@Channel(Plain) channel: Channel) {
    return channel;
  }
  @Get('/private/:room') @Sse('/private/:room') @WebSocket('/private/:room') secret(
    @Channel(Private) channel: Channel<string>,
  ) {
    return channel;
  }
  @Sse('/closing') @WebSocket('/closing') closing(@Channel(Closing) channel: Channel<string>) {
    return channel;
  }
  @Sse('/dropping') @WebSocket('/dropping') dropping(@Channel(Dropping) channel: Channel<string>) {
    return channel;
  }
  @Sse('/latest') @WebSocket('/latest') latest(
    @Channel(Latest) channel: Channel<{ key: string; n: number; pad: string }>,
  ) {
    return channel;
  }
  @Sse('/present') @WebSocket('/present') present(
    @Ctx() ctx: Context,
    @Channel(Present) channel: Channel<string>,
    @Connection() connection: Connection,
  ) {
    channel.subscribe(connection);
    if (ctx.query['watch'] !== undefined) channel.presence.subscribe(connection);
  }
}

describe('a channel', () => {
  const server = serve({ controllers: [Site], logger: false, limits: { buffered: 262_144, value: 131_072 } });
  const channel = <T>(definition: ChannelDefinition<T>, params = {}): Channel<T> =>
    server.app.container.resolve(Channels).of(definition, params);

  it('reaches sockets and event streams by one publish, and is encoded once for each', async () => {
    const sockets = [await server.socket('/plain'), await server.socket('/plain')];
    const streams = [await server.sse('/plain'), await server.sse('/plain')];
    let encoded = 0;
    channel(Plain).publish({ toJSON: () => ({ count: ++encoded }) });
    for (const reader of [...sockets, ...streams]) expect(await reader.json()).to.have.keys('count');
    expect(encoded).to.equal(2);
    expect(channel(Plain).size).to.equal(4);
    for (const socket of sockets) socket.close();
    for (const stream of streams) stream.close();
  });

  it('speaks to each route in its codec', async () => {
    const [plain, coded] = [await server.socket('/plain'), await server.socket('/coded')];
    channel(Plain).publish({ a: 1 });
    expect(await plain.next()).to.equal('{"a":1}');
    expect(await coded.next()).to.equal('c:{"a":1}');
    plain.close();
    coded.close();
  });

  it('tells its publisher of a value without JSON, once, and serves those whose format takes it', async () => {
    const [plain, stream] = [await server.socket('/plain'), await server.sse('/plain')];
    expect(() => channel(Plain).publish(1n)).to.throw(TypeError);
    channel(Plain).publish('next');
    expect(await plain.next()).to.equal('next');
    expect((await stream.next()).data).to.equal('next');
    plain.close();
    stream.close();
  });

  it('refuses what its schema refuses', () => {
    expect(() => channel(Checked).publish({ n: 'x' } as never)).to.throw(TypeError, 'checked');
  });

  it('costs nothing while nobody reads it', () => {
    for (let i = 0; i < 10_000; i++) channel(Room, { room: `${i}` });
    expect(server.app.stats().channels).to.equal(0);
  });

  it('gives a GET what it has kept, within its bound', async () => {
    for (const n of [1, 2, 3, 4]) channel(Room, { room: 'kept' }).publish(n);
    expect(await (await server.fetch('/rooms/kept')).json()).to.deep.equal([2, 3, 4]);
  });

  it('gives a GET what has a JSON form, and counts the rest in its history by its size', async () => {
    const before = server.app.stats().history.bytes;
    for (const value of ['first', { large: 10n, pad: 'x'.repeat(10_000) }, 'last']) {
      channel(Room, { room: 'mixed' }).publish(value);
    }

    expect(await (await server.fetch('/rooms/mixed')).json()).to.deep.equal(['first', 'last']);
    expect(server.app.stats().history.bytes - before).to.be.above(10_000);
  });

  it('may be read by those only whom it authorizes, in each kind, with a cursor as without', async () => {
    expect((await server.fetch('/private/a')).status).to.equal(403);
    for (const open of [() => server.sse('/private/a'), () => server.socket('/private/a?lastEventId=x')]) {
      const refused = (await (open() as Promise<unknown>).catch((error: unknown) => error)) as HttpError;
      expect(refused.status).to.equal(403);
    }
    expect((await server.fetch('/private/a?key=yes')).status).to.equal(200);
  });

  it('is read in the server from the moment that its iterator is made', async () => {
    const values = channel(Plain)[Symbol.asyncIterator]();
    channel(Plain).publish('early');
    expect(await values.next()).to.deep.equal({ done: false, value: 'early' });
    await values.return?.();
    expect(channel(Plain).size).to.equal(0);
  });

  describe('resumed', () => {
    it('gives a stream what it missed, by Last-Event-ID', async () => {
      const room = channel(Room, { room: 'resumed' });
      room.publish('one');
      const stream = await server.sse('/rooms/resumed');
      const { id = '' } = await stream.next();
      expect(id.length).to.be.within(1, 64);
      stream.close();
      room.publish('two');
      room.publish('three');
      const again = await server.sse('/rooms/resumed', { headers: { 'last-event-id': id } });
      expect([(await again.next()).data, (await again.next()).data]).to.deep.equal(['two', 'three']);
      again.close();
    });

    it('gives a socket that speaks coequal.events what it missed, by lastEventId', async () => {
      const room = channel(Room, { room: 'socket' });
      const open = (query = '') => server.socket(`/rooms/socket${query}`, { protocols: ['coequal.events'] });
      const socket = await open();
      const top = await socket.json<{ id: string; data?: unknown }>();
      expect(top).to.have.keys('id');
      socket.close();
      room.publish({ a: 1 });
      const again = await open(`?lastEventId=${top.id}`);
      expect(await again.json()).to.deep.include({ data: { a: 1 } });
      again.close();
    });

    it('gives other sockets the bare values', async () => {
      channel(Room, { room: 'bare' }).publish('text');
      const socket = await server.socket('/rooms/bare');
      expect(await socket.next()).to.equal('text');
      socket.close();
    });

    const foreign = async (): Promise<string> => {
      channel(Room, { room: 'other' }).publish('x');
      const stream = await server.sse('/rooms/other');
      const { id = '' } = await stream.next();
      stream.close();
      return id;
    };
    for (const [reason, cursor] of [
      ['unknown', () => 'nonsense'],
      ['unknown', foreign],
      ['epoch', async () => (await foreign()).replace(/^.{8}/, 'AAAAAAAA')],
    ] as const) {
      it(`says that there is a gap, ${reason}, rather than hide it`, async () => {
        const room = channel(Room, { room: 'gap' });
        room.publish('kept');
        let id = await cursor();
        if (reason === 'epoch') {
          const own = await server.sse('/rooms/gap');
          id = ((await own.next()).id ?? '').replace(/^.{8}/, 'AAAAAAAA');
          own.close();
        }
        const stream = await server.sse('/rooms/gap', { headers: { 'last-event-id': id } });
        expect(await stream.next()).to.deep.include({ event: 'gap', data: JSON.stringify({ reason }) });
        expect((await stream.next()).data).to.equal('kept');
        stream.close();
      });
    }

    it('says that the oldest are gone: trimmed', async () => {
      const room = channel(Room, { room: 'trimmed' });
      room.publish(0);
      const stream = await server.sse('/rooms/trimmed');
      const { id = '' } = await stream.next();
      stream.close();
      for (const n of [1, 2, 3, 4]) room.publish(n);
      const again = await server.sse('/rooms/trimmed', { headers: { 'last-event-id': id } });
      expect(await again.next()).to.deep.include({ event: 'gap', data: '{"reason":"trimmed"}' });
      expect((await again.next()).data).to.equal('2');
      again.close();
    });
  });

  /** A socket or a stream whose client takes nothing more. */
  async function stuck(path: string, kind: 'sse' | 'websocket'): Promise<Socket> {
    const { port, host } = new URL(await server.url());
    const socket = connect(Number(port), '127.0.0.1');
    const more =
      kind === 'sse'
        ? 'Accept: text/event-stream\r\n'
        : 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
    socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n`);
    await once(socket, 'data');
    socket.pause();
    return socket;
  }

  describe('with a reader that stops reading', function () {
    this.timeout(20_000);
    const pad = 'x'.repeat(16_384);

    for (const kind of ['sse', 'websocket'] as const) {
      it(`gives up the reader of a ${kind} where the policy is to close, and others lose nothing`, async () => {
        const reader = await stuck('/closing', kind);
        const other = await server.socket('/closing');
        for (let i = 0; channel(Closing).size > 1; i++) {
          channel(Closing).publish(`${i} ${pad}`);
          expect(String(await other.next())).to.match(new RegExp(`^${i} `));
        }
        expect(server.app.stats().buffered).to.be.at.most(2 * (262_144 + 131_072));
        reader.destroy();
        other.close();
      });

      it(`drops the oldest for the reader of a ${kind}, and tells it how many`, async () => {
        const reader = await stuck('/dropping', kind);
        const before = server.app.stats().messages.dropped;
        let sent = 0;
        while (server.app.stats().messages.dropped < before + 10) {
          channel(Dropping).publish(`${sent++} ${pad}`);
          await new Promise((resolve) => setImmediate(resolve));
        }
        expect(server.app.stats().buffered).to.be.at.most(262_144 + 131_072);
        let text = '';
        reader.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
        reader.resume();
        while (!text.includes(`${sent - 1} x`)) await once(reader, 'data');
        expect(text).to.match(/"missed":\d+/);
        reader.destroy();
      });

      it(`keeps only the latest of each key for the reader of a ${kind}`, async () => {
        const reader = await stuck('/latest', kind);
        const before = server.app.stats().messages.conflated;
        let n = 0;
        while (server.app.stats().messages.conflated < before + 10) {
          for (const key of ['a', 'b']) channel(Latest).publish({ key, n, pad });
          n++;
          await new Promise((resolve) => setImmediate(resolve));
        }
        let text = '';
        reader.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
        reader.resume();
        for (const key of ['a', 'b']) {
          while (!text.includes(`{"key":"${key}","n":${n - 1},`)) await once(reader, 'data');
        }
        expect(channel(Latest).size).to.equal(1);
        reader.destroy();
      });
    }
  });

  const [stopped, reading] = LONG ? [100, 1_000] : [20, 80];
  it(`bounds what waits for ${stopped} readers that stop while ${reading} receive everything in order`, async function () {
    this.timeout(120_000);
    const pad = 'x'.repeat(65_000);
    const deaf = await Promise.all(Array.from({ length: stopped }, () => stuck('/closing', 'websocket')));
    const others = await Promise.all(Array.from({ length: reading }, () => server.socket('/closing')));
    let sent = 0;
    let most = 0;
    while (channel(Closing).size > others.length) {
      channel(Closing).publish(`${sent++} ${pad}`);
      most = Math.max(most, server.app.stats().buffered);
      const heard = await Promise.all(others.map((other) => other.next()));
      expect(heard.every((text) => String(text).startsWith(`${sent - 1} `))).to.equal(true);
    }
    expect(most).to.be.at.most((stopped + reading) * (262_144 + 131_072));
    expect(sent).to.be.greaterThan(3);
    for (const reader of deaf) reader.destroy();
    for (const other of others) other.close();
  });

  describe('with a presence', () => {
    it('tells who is there, and of each who comes and goes once, however many connections they have', async () => {
      const watcher = await server.socket('/present?name=ada&watch');
      expect(await watcher.json()).to.deep.equal({ type: 'present', members: [{ id: 'ada', info: 'ada' }] });
      const [one, two] = [await server.socket('/present?name=bob'), await server.sse('/present?name=bob')];
      expect(await watcher.json()).to.deep.equal({ type: 'join', id: 'bob', info: 'bob' });
      one.raw.terminate();
      two.close();
      expect(await watcher.json()).to.deep.equal({ type: 'leave', id: 'bob', info: 'bob' });
      expect(await channel(Present).members()).to.deep.equal([{ id: 'ada', info: 'ada' }]);
      watcher.close();
    });
  });
});

import { expect } from 'chai';
import { randomBytes } from 'node:crypto';
import { openAsBlob } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import vm from 'node:vm';
import {
  Body,
  Channel,
  Channels,
  Controller,
  Connection,
  Ctx,
  defineChannel,
  event,
  Get,
  Socket,
  Sse,
  WebSocket,
  type Context,
} from 'coequal';
import { serve } from 'coequal/testing';
import { deferred, until } from '../support/deferred.js';

const TEXT = 'hé\nlo';
const whole = new TextEncoder().encode(TEXT).slice();
const shared = new SharedArrayBuffer(whole.length);
new Uint8Array(shared).set(whole);
const padded = new Uint8Array([0, ...whole, 0]).buffer;

const FORMS: Record<string, unknown> = {
  Uint8Array: whole,
  Buffer: Buffer.from(whole),
  ArrayBuffer: whole.buffer,
  SharedArrayBuffer: shared,
  DataView: new DataView(padded, 1, whole.length),
  Int8Array: new Int8Array(padded, 1, whole.length),
  Uint8ClampedArray: new Uint8ClampedArray(whole),
  Uint16Array: new Uint16Array(whole.buffer.slice(0)),
  'an ArrayBuffer of another realm': vm.runInNewContext(`Uint8Array.of(${whole.join()}).buffer`),
  Blob: new Blob([whole]),
  File: new File([whole], 'a.txt'),
  'a Blob of another package': new (class {
    readonly [Symbol.toStringTag] = 'Blob';
    readonly size = whole.length;
    stream = () => new Blob([whole]).stream();
    arrayBuffer = () => Promise.resolve(whole.buffer);
  })(),
};

/** A Blob that is read when the test says so. */
function slowBlob(text: string): { blob: Blob; read: (failure?: Error) => void } {
  const blob = new Blob([text]);
  const ready = deferred<Error | undefined>();
  const arrayBuffer = blob.arrayBuffer.bind(blob);
  blob.arrayBuffer = async () => {
    const failure = await ready.promise;
    if (failure !== undefined) throw failure;
    return arrayBuffer();
  };
  return { blob, read: (failure) => ready.resolve(failure) };
}

describe('bytes', () => {
  for (const [name, value] of Object.entries(FORMS)) {
    it(`are sent of ${name} in every kind, returned, sent and yielded`, async () => {
      @Controller()
      class Bytes {
        @Get('/returned') @Sse('/returned') @WebSocket('/returned') returned() {
          return value;
        }
        @Get('/sent') @Sse('/sent') @WebSocket('/sent') sent(@Ctx() ctx: Context) {
          ctx.send(value);
        }
        @Get('/yielded') @Sse('/yielded') @WebSocket('/yielded') async *yielded() {
          yield value;
        }
        @WebSocket('/replied') replied(@Body() _message: string) {
          return value;
        }
        @Sse('/named') @WebSocket('/named', { protocols: ['coequal.events'] }) named(@Ctx() ctx: Context) {
          ctx.send(event(value, { event: 'data', id: '7' }));
        }
      }
      const server = serve({ controllers: [Bytes] });
      for (const path of ['/returned', '/sent', '/yielded']) {
        const got = Buffer.from(await (await server.fetch(path)).arrayBuffer());
        expect(got.toString(), `GET ${path}`).to.equal(TEXT);
        expect((await (await server.sse(path)).next()).data, `SSE ${path}`).to.equal(TEXT);
        expect(await (await server.socket(path)).next(), path).to.deep.equal(Buffer.from(whole));
      }
      const socket = await server.socket('/replied');
      socket.send('ask');
      expect(await socket.next()).to.deep.equal(Buffer.from(whole));
      const { data, event: type, id } = await (await server.sse('/named')).next();
      expect({ data, type, id }).to.deep.equal({ data: TEXT, type: 'data', id: '7' });
      const events = await server.socket('/named', { protocols: ['coequal.events'] });
      expect(await events.json()).to.deep.equal({ id: '7', event: 'data', data: TEXT });
      await server.close();
    });
  }
});

describe('a Blob', () => {
  const News = defineChannel<unknown>('blobs/:name');
  const Kept = defineChannel<unknown>('kept/:name', { history: 10 });
  const slow = new Map<string, ReturnType<typeof slowBlob>>();
  const errors: unknown[] = [];

  @Controller()
  class Blobs {
    @Sse('/order/:name')
    @WebSocket('/order/:name')
    order(@Connection() connection: Connection, @Ctx() ctx: Context) {
      const blob = slow.get(ctx.params.name ?? '')?.blob;
      connection.send('1');
      connection.send(blob);
      connection.send('3');
      ctx.send(new Blob(['4']));
      connection.send('5');
    }
    @WebSocket('/raw/:name') raw(@Socket() socket: Socket, @Ctx() ctx: Context) {
      const blob = slow.get(ctx.params.name ?? '')?.blob as never;
      socket.send('1');
      socket.raw.send(blob);
      socket.send('3');
      socket.raw.send('4');
      socket.send(new Blob(['5']));
      socket.raw.send(Buffer.from('6'), () => socket.send('7'));
    }
    @Sse('/close/:name')
    @WebSocket('/close/:name')
    close(@Connection() connection: Connection, @Ctx() ctx: Context) {
      connection.send(slow.get(ctx.params.name ?? '')?.blob);
      connection.send('last');
      connection.close(4000, 'bye');
      connection.send('never');
    }
    @WebSocket('/lone/:name') lone(@Ctx() ctx: Context) {
      ctx.send(slow.get(ctx.params.name ?? '')?.blob);
    }
    @WebSocket('/drained/:name') async drained(@Connection() connection: Connection, @Ctx() ctx: Context) {
      connection.send(slow.get(ctx.params.name ?? '')?.blob);
      const { needsDrain } = connection;
      await connection.drained();
      connection.send({ needsDrain, buffered: connection.buffered });
    }
    @WebSocket('/large') large(@Connection() connection: Connection) {
      const blob = new Blob([new Uint8Array(2_000)]);
      try {
        connection.send(blob);
      } catch (error) {
        connection.send(String(error));
      }
    }
    @Sse('/news/:name') @WebSocket('/news/:name') news(@Channel(News) news: Channel<unknown>) {
      return news;
    }
    @Sse('/kept/:name') @WebSocket('/kept/:name') kept(@Channel(Kept) kept: Channel<unknown>) {
      return kept;
    }
  }
  const onError = (error: unknown): void => void errors.push(error);
  const options = { controllers: [Blobs], logger: false as const, onError };
  const server = serve(options);
  const compressing = serve({ ...options, perMessageDeflate: { threshold: 0 } });

  const open = (path: string, compressed: boolean) => (compressed ? compressing : server).socket(path);
  const channel = (definition: typeof News, name: string) =>
    [server, compressing].map(({ app }) => app.container.resolve(Channels).of(definition, { name }));

  for (const compressed of [false, true]) {
    const how = compressed ? 'on a compressed socket' : 'on a socket';

    it(`keeps its place among the messages ${how}`, async () => {
      const late = slowBlob('2');
      slow.set('a', late);
      const socket = await open('/order/a', compressed);
      expect(String(await socket.next())).to.equal('1');
      late.read();
      const got = [await socket.next(), await socket.next(), await socket.next(), await socket.next()];
      expect(got.map(String).join()).to.equal('2,3,4,5');
    });

    it(`keeps its place among the messages of socket.raw ${how}`, async () => {
      const late = slowBlob('2');
      slow.set('a', late);
      const socket = await open('/raw/a', compressed);
      expect(String(await socket.next())).to.equal('1');
      late.read();
      const got: string[] = [];
      while (got.length < 6) got.push(String(await socket.next()));
      expect(got.join()).to.equal('2,3,4,5,6,7');
    });

    it(`arrives before the close that follows it ${how}`, async () => {
      const late = slowBlob('first');
      slow.set('a', late);
      const socket = await open('/close/a', compressed);
      late.read();
      expect([String(await socket.next()), await socket.next()]).to.deep.equal(['first', 'last']);
      expect(await socket.closed()).to.deep.include({ code: 4000, reason: 'bye' });
    });
  }

  it('keeps its place among the events of a stream', async () => {
    const late = slowBlob('2');
    slow.set('a', late);
    const stream = await server.sse('/order/a');
    expect((await stream.next()).data).to.equal('1');
    late.read();
    const got = [await stream.next(), await stream.next(), await stream.next(), await stream.next()];
    expect(got.map(({ data }) => data).join()).to.equal('2,3,4,5');
  });

  it('arrives before the end of a stream that follows it', async () => {
    const late = slowBlob('first');
    slow.set('a', late);
    const stream = await server.sse('/close/a');
    late.read();
    expect([(await stream.next()).data, (await stream.next()).data]).to.deep.equal(['first', 'last']);
    expect(await stream.next()).to.deep.include({ event: 'end', data: '{"code":4000,"reason":"bye"}' });
    await stream.closed();
  });

  it('counts as what waits, and is waited for by drained()', async () => {
    const late = slowBlob('x'.repeat(100_000));
    slow.set('a', late);
    const socket = await open('/drained/a', false);
    late.read();
    expect(String(await socket.next())).to.have.length(100_000);
    expect(await socket.json()).to.deep.equal({ needsDrain: true, buffered: 0 });
  });

  it('keeps its place in a channel, with and without a history, for readers of every kind', async () => {
    for (const definition of [News, Kept]) {
      const path = definition === News ? '/news/a' : '/kept/a';
      const [stream, socket, packed] = [
        await server.sse(path),
        await open(path, false),
        await open(path, true),
      ];
      const late = slowBlob('1');
      for (const room of channel(definition, 'a')) {
        room.publish(late.blob);
        room.publish('2');
        room.publish(new File(['3'], 'a'));
      }
      late.read();
      const events = [await stream.next(), await stream.next(), await stream.next()].map(({ data }) => data);
      expect(events.join()).to.equal('1,2,3');
      for (const reader of [socket, packed])
        expect([await reader.next(), await reader.next(), await reader.next()].map(String).join()).to.equal(
          '1,2,3',
        );
    }
  });

  it('is replayed from the history of a channel', async () => {
    const [kept] = channel(Kept, 'again');
    kept?.publish(new Blob(['old']));
    kept?.publish('new');
    const socket = await open('/kept/again', false);
    expect([await socket.next(), await socket.next()].map(String).join()).to.equal('old,new');
  });

  it('that cannot be read closes the socket, and its author learns of it', async () => {
    for (const compressed of [false, true]) {
      const late = slowBlob('1');
      slow.set('a', late);
      const socket = await open('/lone/a', compressed);
      late.read(new Error('the file has gone'));
      expect(await socket.closed()).to.deep.include({ code: 1011 });
      expect(String(errors.pop())).to.equal('Error: the file has gone');
    }
  });

  it('that cannot be read cuts a stream', async () => {
    const late = slowBlob('2');
    slow.set('a', late);
    const stream = await server.sse('/order/a');
    late.read(new Error('the file has gone'));
    expect((await stream.next()).data).to.equal('1');
    await stream.closed().catch(() => undefined);
    expect(String(errors.pop())).to.equal('Error: the file has gone');
  });

  it('that cannot be read is left out of a channel, and its publisher learns of it', async () => {
    const socket = await open('/news/gone', false);
    const file = join(tmpdir(), `coequal-${randomBytes(6).toString('hex')}`);
    await writeFile(file, 'before');
    const blob = await openAsBlob(file);
    await rm(file);
    const [room] = channel(News, 'gone');
    room?.publish(blob);
    room?.publish('after');
    expect(await socket.next()).to.equal('after');
  });

  it('of more than limits.value is the error of its sender, and nobody is affected', async () => {
    const small = serve({ controllers: [Blobs], limits: { value: 1_000 } });
    const socket = await small.socket('/large');
    expect(await socket.next()).to.contain('RangeError: a value of 2000 bytes cannot be sent');
    const reader = await small.socket('/news/a');
    const room = small.app.container.resolve(Channels).of(News, { name: 'a' });
    expect(() => room.publish(new Blob([new Uint8Array(2_000)]))).to.throw(RangeError);
    room.publish('still here');
    expect(await reader.next()).to.equal('still here');
  });

  it('that is never read holds no more than may wait for one reader', async () => {
    const bounded = serve({ controllers: [Blobs], limits: { value: 1_000, buffered: 4_000 } });
    const socket = await bounded.socket('/news/b');
    const room = bounded.app.container.resolve(Channels).of(News, { name: 'b' });
    room.publish(slowBlob('never').blob);
    for (let i = 0; i < 10; i++) room.publish('x'.repeat(900));
    expect(await socket.closed()).to.deep.include({ code: 1013 });
  });

  it('is not waited for when the client has left', async () => {
    const late = slowBlob('2');
    slow.set('a', late);
    const own = serve(options);
    const socket = await own.socket('/order/a');
    expect(await socket.next()).to.equal('1');
    socket.raw.terminate();
    await until(() => own.app.stats().connections.websocket === 0);
    late.read();
    expect(await own.app.close()).to.equal(undefined);
  });
});

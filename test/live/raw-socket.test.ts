import { once } from 'node:events';
import { expect } from 'chai';
import { Body, Connection, Controller, Get, Signal, Socket, Sse, WebSocket } from 'coequal';
import { serve } from 'coequal/testing';
import { deferred, until } from '../support/deferred.js';

describe('socket.raw', () => {
  @Controller()
  class Raw {
    @WebSocket('/raw-echo') echo(@Socket() socket: Socket) {
      socket.raw.on('message', (data: Buffer, binary: boolean) =>
        socket.raw.send(`${binary ? 'bytes' : 'text'} of ${data.length}`),
      );
    }
    @WebSocket('/raw-invalid') invalid(@Socket() socket: Socket) {
      socket.send(new Blob(['first']));
      Reflect.apply(socket.raw.send.bind(socket.raw), undefined, [{ a: 1 }]);
    }
    @WebSocket('/raw-late') async late(@Socket(String) socket: Socket<string>) {
      for await (const text of socket) {
        if (text !== 'switch') continue;
        socket.raw.addEventListener('message', ({ data }) => socket.send(`raw ${String(data)}`));
        socket.send('ready');
      }
    }
    @WebSocket('/raw-order') order(@Socket() socket: Socket) {
      socket.send('1');
      socket.raw.send('2');
      socket.send('3');
      socket.raw.send('4');
    }
  }

  let log: string[] = [];
  let paused: Socket;

  @Controller()
  class Pausing {
    @WebSocket('/raw-pause') pause(@Socket() socket: Socket) {
      paused = socket;
      socket.raw.on('message', (data: Buffer) => {
        log.push(data.toString());
        socket.raw.send('done');
      });
      socket.raw.pause();
      socket.send('paused');
    }
    @Get('/raw-resume') resume() {
      log.push('resumed');
      paused.raw.resume();
    }
  }

  const server = serve({ controllers: [Raw, Pausing] });

  it('closes with 1011 if what waits for a Blob cannot be sent', async () => {
    const socket = await server.socket('/raw-invalid');
    expect((await socket.closed()).code).to.equal(1011);
  });

  it('emits nothing while it is paused, from the opening on', async () => {
    log = [];
    const socket = await server.socket('/raw-pause');
    expect(await socket.next()).to.equal('paused');
    socket.send('early');
    await server.fetch('/raw-resume');
    expect(await socket.next()).to.equal('done');
    expect(log).to.deep.equal(['resumed', 'early']);
  });

  it('emits every message, short or long, text or bytes', async () => {
    const socket = await server.socket('/raw-echo');
    for (const data of ['short', 'x'.repeat(35_000), Buffer.from([1, 2, 3]), 'é']) socket.send(data);
    const got = [await socket.next(), await socket.next(), await socket.next(), await socket.next()];
    expect(got).to.deep.equal(['text of 5', 'text of 35000', 'bytes of 3', 'text of 2']);
  });

  it('emits more than wait for a method that does not ask', async () => {
    const socket = await server.socket('/raw-echo');
    for (let i = 0; i < 3_000; i++) socket.send('x');
    for (let i = 0; i < 3_000; i++) expect(await socket.next()).to.equal('text of 1');
  });

  it('emits messages in order from the moment that a listener is added', async () => {
    const socket = await server.socket('/raw-late');
    socket.send('before');
    socket.send('switch');
    expect(await socket.next()).to.equal('ready');
    for (let i = 0; i < 5; i++) socket.send(`${i}`.repeat(10 ** i));
    for (let i = 0; i < 5; i++) expect(await socket.next()).to.equal(`raw ${`${i}`.repeat(10 ** i)}`);
  });

  it('keeps the order between its messages and those of the socket', async () => {
    const socket = await server.socket('/raw-order');
    const got = [await socket.next(), await socket.next(), await socket.next(), await socket.next()];
    expect(got.join()).to.equal('1,2,3,4');
  });
});

describe('a socket whose method takes no messages', () => {
  const told = deferred<void>();
  const closes: unknown[] = [];

  @Controller()
  class Pushing {
    @WebSocket('/push') async push(@Connection() connection: Connection, @Signal() signal: AbortSignal) {
      connection.send('hello');
      await once(signal, 'abort');
      told.resolve();
    }
    @WebSocket('/push-socket') async pushSocket(@Socket() socket: Socket, @Signal() signal: AbortSignal) {
      socket.send('hello');
      await once(signal, 'abort');
    }
    @WebSocket('/own-close') async ownClose(@Socket(String) socket: Socket<string>) {
      for await (const text of socket) socket.close(4001, text);
      closes.push(socket.closed);
    }
  }

  const server = serve({ controllers: [Pushing] });

  for (const path of ['/push', '/push-socket']) {
    it(`answers the ping and the close frame behind many messages: ${path}`, async () => {
      const socket = await server.socket(path);
      await socket.next();
      for (let i = 0; i < 100; i++) socket.send('nobody reads this');
      const pong = once(socket.raw, 'pong');
      socket.raw.ping();
      await pong;
      socket.close(4000);
      expect((await socket.closed()).code).to.equal(4000);
    });
  }

  it('tells the method by its signal', async () => {
    await told.promise;
  });

  it('is closed, and says how, when its loop has ended after its own close()', async () => {
    const socket = await server.socket('/own-close');
    socket.send('bye');
    await socket.closed();
    await until(() => closes.length === 1);
    expect(closes).to.deep.equal([{ code: 4001, reason: 'bye' }]);
  });
});

describe('a source', () => {
  const returned = new Set<string>();
  const gates = new Map(['websocket', 'sse', 'http'].map((kind) => [kind, deferred<void>()]));

  function quiet(kind: string): AsyncIterable<string> {
    return {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise(() => undefined),
        return: () => {
          returned.add(kind);
          return Promise.resolve({ done: true, value: undefined });
        },
      }),
    };
  }

  @Controller()
  class Sources {
    @WebSocket('/quiet') async messages(@Signal() signal: AbortSignal) {
      return await this.#later('websocket', signal);
    }
    @Sse('/quiet') async events(@Signal() signal: AbortSignal) {
      return await this.#later('sse', signal);
    }
    @Get('/quiet') async values(@Signal() signal: AbortSignal) {
      return await this.#later('http', signal);
    }
    @WebSocket('/stuck') async *stuck() {
      yield 'first';
      await new Promise(() => undefined);
    }
    async #later(kind: string, signal: AbortSignal) {
      gates.get(kind)?.resolve();
      await once(signal, 'abort');
      return quiet(kind);
    }
  }

  const server = serve({ controllers: [Sources], logger: false });

  it('is told by return() where its client left before it was made, in every kind', async () => {
    const socket = await server.socket('/quiet');
    await gates.get('websocket')?.promise;
    socket.close();
    for (const [kind, accept] of [
      ['http', 'application/json'],
      ['sse', 'text/event-stream'],
    ] as const) {
      const client = new AbortController();
      const answer = server
        .fetch('/quiet', { headers: { accept }, signal: client.signal })
        .catch(() => undefined);
      await gates.get(kind)?.promise;
      client.abort();
      await answer;
    }
    await until(() => returned.size === 3);
  });

  it('that never settles does not keep the server from closing', async () => {
    const other = serve({ controllers: [Sources], logger: false });
    const socket = await other.socket('/stuck');
    await socket.next();
    await other.close();
  });
});

describe('bytes that are returned', () => {
  const bytes = new Uint8Array([1, 2, 3, 4]);
  const values: Record<string, unknown> = {
    ArrayBuffer: bytes.buffer,
    DataView: new DataView(bytes.buffer),
    Int16Array: new Int16Array(bytes.buffer),
    Uint8Array: bytes,
  };

  @Controller()
  class Bytes {
    @WebSocket('/bytes') bytes(@Body() name: string) {
      return values[name];
    }
  }

  const server = serve({ controllers: [Bytes] });

  for (const name of Object.keys(values)) {
    it(`are a binary message: ${name}`, async () => {
      const socket = await server.socket('/bytes');
      socket.send(name);
      expect(await socket.next()).to.deep.equal(Buffer.from(bytes));
    });
  }
});

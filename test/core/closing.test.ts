import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { expect } from 'chai';
import {
  Controller,
  createApp,
  Ctx,
  Get,
  HttpError,
  sessions,
  Socket,
  Sse,
  UseMiddleware,
  WebSocket,
  type AppOptions,
  type Context,
  type Middleware,
  type SessionStore,
} from 'coequal';
import { serve, type TestServer } from 'coequal/testing';
import { singleton } from 'tsyringe';
import { doors, Everywhere } from '../support/doors.js';
import { Journal } from '../support/journal.js';
import { HANDSHAKE, RawClient } from '../support/raw-client.js';

const MEBIBYTE = 'x'.repeat(1_048_576);

describe('close()', () => {
  /** What is under way, and waits until the journal says `go`. */
  function house(more: Partial<AppOptions> = {}): { server: TestServer; journal: Journal } {
    const journal = new Journal();
    const hanging: Middleware = () => {
      journal.note('guard');
      return new Promise(() => undefined);
    };
    const closed: Middleware = () => {
      throw new HttpError(403);
    };

    @singleton()
    class Pool {
      dispose(): void {
        journal.note('pool disposed');
      }
    }

    @Controller()
    class House {
      constructor(readonly pool: Pool) {}

      @Get('/slow')
      async slow(@Ctx() ctx: Context) {
        ctx.defer(async () => {
          await journal.until('clean');
          journal.note('cleaned');
        });
        journal.note('waiting');
        await journal.until('go');
        return MEBIBYTE;
      }

      @Get('/lines')
      async *lines() {
        yield 'first\n';
        await journal.until('go');
        yield 'last\n';
      }

      @Sse('/open')
      @WebSocket('/open')
      open(): void {
        // The connection stays open.
      }

      @Get('/text')
      text() {
        return MEBIBYTE.repeat(24);
      }

      @Get('/bytes')
      bytes() {
        return Buffer.alloc(24 * 1_048_576, 'x');
      }

      @Get('/never')
      never() {
        journal.note('waiting');
        return new Promise(() => undefined);
      }

      @Get('/flood')
      async *flood() {
        for (;;) {
          yield MEBIBYTE;
          journal.note('flooded');
        }
      }

      @Sse('/burst')
      burst(@Ctx() ctx: Context) {
        for (let i = 0; i < 8; i++) ctx.send('x'.repeat(1_000_000));
        journal.note('flooded');
      }

      @WebSocket('/burst')
      burstOnSocket(@Socket() socket: Socket) {
        for (let i = 0; i < 8; i++) socket.send('x'.repeat(1_000_000));
        journal.note('flooded');
      }

      @Everywhere('/hanging')
      @UseMiddleware(hanging)
      hanging(): void {
        journal.note('never');
      }

      @Everywhere('/closed')
      @UseMiddleware(closed)
      closed(): void {
        journal.note('never');
      }
    }

    const limits = { buffered: 64 * 1_048_576 };
    return { server: serve({ controllers: [House], logger: false, limits, ...more }), journal };
  }

  describe('answers', () => {
    it('a request in flight, whole, and closes its connection', async () => {
      const { server, journal } = house();
      const answer = server.fetch('/slow');
      await journal.until('waiting');
      const closing = server.app.close();
      journal.note('go');
      journal.note('clean');
      const { status, headers, text } = await answer.then(async (response) => ({
        status: response.status,
        headers: response.headers,
        text: await response.text(),
      }));
      expect([status, headers.get('connection'), text === MEBIBYTE]).to.deep.equal([200, 'close', true]);
      await closing;
    });

    it('a body that is being sent, whole', async () => {
      const { server, journal } = house();
      const response = await server.fetch('/lines');
      const closing = server.app.close();
      journal.note('go');
      expect(await response.text()).to.equal('first\nlast\n');
      await closing;
    });

    for (const path of ['/text', '/bytes']) {
      it(`a client that is still reading ${path}, whole, and then closes its connection`, async () => {
        const { server } = house();
        const client = await RawClient.connect(await server.url());
        client.head(`GET ${path} HTTP/1.1`, 'Host: localhost');
        await client.until((received) => received.includes('xxxx'));
        client.socket.pause();
        const closing = server.app.close();
        // Longer than it takes to look for idle connections again.
        await wait(150);
        client.socket.resume();
        await client.closed();
        await closing;
        const { received } = client;
        expect(received.length - received.indexOf('\r\n\r\n') - 4).to.equal(24 * 1_048_576);
      });
    }

    it('new requests of kept connections with 503 and Retry-After, after what is in flight', async () => {
      const { server, journal } = house();
      const client = await RawClient.connect(await server.url());
      client.head('GET /lines HTTP/1.1', 'Host: localhost');
      await client.until((received) => received.includes('first'));
      const closing = server.app.close();
      client.head('GET /slow HTTP/1.1', 'Host: localhost');
      journal.note('go');
      await client.closed();
      await closing;
      const [, last = ''] = client.received.toString().split('last\n');
      expect(last).to.match(/HTTP\/1\.1 503 /);
      expect(last).to.match(/\r\nretry-after: 1\r\n/i);
      expect(last).to.match(/\r\nconnection: close\r\n/i);
      expect(last).to.include('"status":503');
      expect(journal.count('waiting'), 'no handler ran').to.equal(0);
    });

    for (const { kind } of doors) {
      it(`a ${kind} whose head was on its way with 503 and Retry-After`, async () => {
        const { server } = house();
        const client = await RawClient.connect(await server.url());
        client.write('GET /open HTTP/1.1\r\n');
        // The server has read the line when it has answered a later connection's request.
        await (await server.fetch('/closed')).text();
        const closing = server.app.close();
        const accept = kind === 'sse' ? ['Accept: text/event-stream'] : [];
        client.head(...(kind === 'websocket' ? HANDSHAKE : ['Host: localhost', ...accept]));
        const { status, headers } = await client.answer();
        expect([status, headers['retry-after'], headers['connection']]).to.deep.equal([503, '1', 'close']);
        await closing;
      });
    }
  });

  describe('tells', () => {
    it('sockets 1012', async () => {
      const { server } = house();
      const sockets = await Promise.all(Array.from({ length: 5 }, () => server.socket('/open')));
      await server.app.close();
      for (const socket of sockets) {
        expect(await socket.closed()).to.deep.equal({ code: 1012, reason: 'the server restarts' });
      }
    });

    it('each stream its own time to come back', async () => {
      const { server } = house();
      const headers = { accept: 'text/event-stream' };
      const streams = await Promise.all(Array.from({ length: 50 }, () => server.fetch('/open', { headers })));
      await server.app.close();
      const times = await Promise.all(
        streams.map(async (stream) => Number(/^retry: (\d+)$/m.exec(await stream.text())?.[1])),
      );
      for (const time of times) expect(time).to.be.within(1_000, 6_000);
      expect(new Set(times).size).to.be.greaterThan(10);
    });

    it('a handshake that is let through only now that it is too late', async () => {
      const journal = new Journal();
      const gate: Middleware = async (_ctx, next) => {
        journal.note('waiting');
        await journal.until('go');
        await next();
      };
      const { server } = house({ middleware: [gate] });
      for (const { kind, open } of doors.filter((door) => door.kind !== 'http')) {
        const before = journal.count('waiting');
        const opening = open(server, '/open');
        await journal.until('waiting', before + 1);
        journal.note(kind);
        if (kind === 'sse') {
          const socket = doors[2]?.open(server, '/open');
          await journal.until('waiting', before + 2);
          const closing = server.app.close();
          journal.note('go');
          const [stream, late] = await Promise.all([opening, socket]);
          expect([stream.status, late?.status]).to.deep.equal([503, 503]);
          await closing;
          return;
        }
      }
    });
  });

  it('waits for what is deferred, and disposes the container last', async () => {
    const { server, journal } = house();
    const answer = server.fetch('/slow');
    await journal.until('waiting');
    const closing = server.app.close().then(() => journal.note('closed'));
    journal.note('go');
    await (await answer).text();
    journal.note('answered');
    journal.note('clean');
    await closing;
    expect(journal.entries).to.deep.equal([
      'waiting',
      'go',
      'answered',
      'clean',
      'cleaned',
      'pool disposed',
      'closed',
    ]);
  });

  it('runs what onClose() was given once nothing is open, the last first, and before the container is disposed', async () => {
    const { server, journal } = house();
    const { app } = server;
    const step = (name: string) => async () => {
      await Promise.resolve();
      journal.note(`${name}, ${app.stats().inFlight.exchanges} in flight`);
    };
    app.onClose(step('first'));
    app.onClose(() => {
      throw new Error('stuck');
    });
    app.onClose(step('last'));
    const answer = server.fetch('/slow');
    await journal.until('waiting');
    const closing = app.close();
    journal.note('go');
    journal.note('clean');
    await (await answer).text();
    await closing;
    await app.close();
    expect(journal.entries.slice(-3)).to.deep.equal([
      'last, 0 in flight',
      'first, 0 in flight',
      'pool disposed',
    ]);
    expect(() => app.onClose(step('late'))).to.throw('onClose() was called after the application had closed');
  });

  describe('cuts at the grace', () => {
    const head = (path: string, ...fields: string[]) => [
      `GET ${path} HTTP/1.1`,
      'Host: localhost',
      ...fields,
    ];
    const upgrade = (path: string) => [`GET ${path} HTTP/1.1`, ...HANDSHAKE];
    const stream = 'Accept: text/event-stream';
    const stuck: [name: string, head: string[], entry: string][] = [
      ['a handler that never settles', head('/never'), 'waiting'],
      ['a guard of a request that hangs', head('/hanging'), 'guard'],
      ['a guard of a stream that hangs', head('/hanging', stream), 'guard'],
      ['a guard of a handshake that hangs', upgrade('/hanging'), 'guard'],
      ['a reader of a body that reads nothing', head('/flood'), 'flooded'],
      ['a reader of a stream that reads nothing', head('/burst', stream), 'flooded'],
      ['a reader of a socket that reads nothing', upgrade('/burst'), 'flooded'],
    ];
    for (const [name, lines, entry] of stuck) {
      it(name, async () => {
        const { server, journal } = house();
        const client = await RawClient.connect(await server.url());
        client.socket.pause();
        client.head(...lines);
        await journal.until(entry);
        await server.app.close({ grace: 50 });
        expect(server.app.stats().connections).to.include({ sse: 0, websocket: 0 });
        client.socket.resume();
        await client.closed();
        expect(journal.count('pool disposed')).to.equal(1);
      });
    }

    it('a socket that does not answer the farewell', async () => {
      const { server } = house();
      const client = await RawClient.connect(await server.url());
      client.head(...upgrade('/open'));
      await client.opening();
      await server.app.close({ grace: 50 });
      await client.closed();
      expect(client.received.includes(Buffer.from([0x03, 0xf4])), '1012').to.equal(true);
    });

    it('a client that was refused and does not leave', async () => {
      const { server } = house();
      const client = await RawClient.connect(await server.url());
      client.head(...upgrade('/closed'));
      expect((await client.opening()).status).to.equal(403);
      await server.app.close({ grace: 50 });
      await client.closed();
    });

    it('work that was deferred and never ends', async () => {
      const { server, journal } = house();
      const answer = server.fetch('/slow');
      await journal.until('waiting');
      journal.note('go');
      await (await answer).text();
      await server.app.close({ grace: 50 });
      expect(journal.entries).to.not.include('cleaned');
      expect(journal.entries).to.include('pool disposed');
    });

    for (const door of doors.filter(({ kind }) => kind !== 'http')) {
      it(`a session of ${door.kind} that the store does not give, the second time`, async () => {
        const journal = new Journal();
        const record = { data: {}, created: Date.now(), seen: Date.now() };
        const store: SessionStore = {
          get: () => {
            journal.note('get');
            return journal.count('get') === 1 ? record : new Promise(() => undefined);
          },
          set: () => undefined,
          delete: () => undefined,
        };
        const { server } = house({ middleware: [sessions({ store })] });
        const cookie = `__Host-session=${'A'.repeat(43)}`;
        const opening = door.open(server, '/open', { cookie }).then(
          () => 'opened',
          () => 'cut',
        );
        await journal.until('get', 2);
        expect(server.app.stats().inFlight.exchanges + server.app.stats().inFlight.handshakes).to.equal(1);
        await server.app.close({ grace: 50 });
        expect(await opening).to.equal('cut');
      });
    }
  });

  it('may be called twice: the second waits for the first', async () => {
    const { server, journal } = house();
    const answer = server.fetch('/slow');
    await journal.until('waiting');
    const order: string[] = [];
    const both = [1, 2].map((call) => server.app.close().then(() => order.push(`close ${call}`)));
    journal.note('go');
    journal.note('clean');
    await (await answer).text();
    await Promise.all(both);
    await server.app.close();
    expect(order).to.have.members(['close 1', 'close 2']);
    expect(journal.count('pool disposed')).to.equal(1);
  });

  it('before listen() ends the application, which listens no more', async () => {
    const { server, journal } = house();
    await server.app.close();
    expect(journal.entries).to.deep.equal(['pool disposed']);
    const error = await server.app.listen().then(
      () => undefined,
      (reason: Error) => reason,
    );
    expect(error?.message).to.equal('the application has been closed');
    expect(server.app.server.listening).to.equal(false);
  });

  it('while listen() is under way ends the application, and listens no more', async () => {
    const { server } = house();
    const listening = server.app.listen().then(
      () => 'listening',
      () => 'refused',
    );
    await server.app.close();
    expect(await listening).to.equal('refused');
    expect(server.app.server.listening).to.equal(false);
  });
});

describe('listen() on a port that is taken', () => {
  it('rejects, and the application may listen elsewhere', async () => {
    @Controller()
    class Any {
      @Get()
      get() {
        return 'here';
      }
    }
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const app = createApp({ controllers: [Any] });
    try {
      const { port } = other.address() as AddressInfo;
      const error = await app.listen({ port, signals: true }).then(
        () => undefined,
        (reason: NodeJS.ErrnoException) => reason,
      );
      expect(error?.code).to.equal('EADDRINUSE');
      expect(process.listenerCount('SIGTERM')).to.equal(0);
      const { url } = await app.listen();
      expect(await (await fetch(url)).text()).to.equal('here');
    } finally {
      other.close();
      await app.close();
    }
  });
});

describe('health', () => {
  const closed: Middleware = () => {
    throw new HttpError(401);
  };

  function clinic(health?: boolean) {
    const journal = new Journal();
    @Controller()
    class Clinic {
      @Get('/lines')
      async *lines() {
        yield 'first\n';
        await journal.until('go');
        yield 'last\n';
      }
    }
    const guard: Middleware = (ctx, next) => (ctx.path === '/lines' ? next() : closed(ctx, next));
    const server = serve({ controllers: [Clinic], middleware: [guard], logger: false, health });
    return { server, journal };
  }

  it('is answered before any middleware', async () => {
    const { server } = clinic(true);
    for (const path of ['/livez', '/readyz']) {
      const response = await server.fetch(path);
      expect([response.status, response.headers.get('cache-control'), await response.text()]).to.deep.equal([
        200,
        'no-store',
        'ok',
      ]);
      expect((await server.fetch(path, { method: 'HEAD' })).status).to.equal(200);
      const post = await server.fetch(path, { method: 'POST' });
      expect([post.status, post.headers.get('allow')]).to.deep.equal([405, 'GET, HEAD']);
    }
    expect((await server.fetch('/other')).status).to.equal(401);
  });

  it('is not there unless it is asked for', async () => {
    const { server } = clinic();
    for (const path of ['/livez', '/readyz']) expect((await server.fetch(path)).status).to.equal(401);
  });

  for (const [path, status] of [
    ['/readyz', 503],
    ['/livez', 200],
  ] as const) {
    it(`answers ${path} with ${status} while the application ends`, async () => {
      const { server, journal } = clinic(true);
      const client = await RawClient.connect(await server.url());
      client.head('GET /lines HTTP/1.1', 'Host: localhost');
      await client.until((received) => received.includes('first'));
      const closing = server.app.close();
      client.head(`GET ${path} HTTP/1.1`, 'Host: localhost');
      journal.note('go');
      await client.closed();
      await closing;
      const [, last = ''] = client.received.toString().split('last\n');
      expect(/HTTP\/1\.1 (\d+)/.exec(last)?.[1]).to.equal(String(status));
      if (status === 503) expect(last).to.match(/\r\nretry-after: 1\r\n/i);
    });
  }
});

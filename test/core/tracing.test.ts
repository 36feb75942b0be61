import { AsyncLocalStorage } from 'node:async_hooks';
import { channel, tracingChannel } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import {
  Body,
  Channel,
  Controller,
  createApp,
  Ctx,
  defineChannel,
  Get,
  HttpError,
  Post,
  Rpc,
  Signal,
  Socket,
  Sse,
  WebSocket,
  type Context,
  type Middleware,
} from 'coequal';
import { doors, Everywhere, servers } from '../support/doors.js';
import { Journal, Recorder } from '../support/journal.js';

const News = defineChannel<string>('news');

/** Listens to a tracing channel while a test runs. */
class Listener {
  readonly journal = new Journal();
  readonly #stop: () => void;

  constructor(name: string) {
    const traced = tracingChannel<Told, Told>(name);
    const note = (event: string) => (told: Told) =>
      this.journal.note(
        `${event} ${told.name}${event === 'error' ? ` ${(told.error as Error).message}` : ''}`,
      );
    const subscribers = {
      start: note('start'),
      end: note('end'),
      asyncStart: note('asyncStart'),
      asyncEnd: note('asyncEnd'),
      error: note('error'),
    };
    traced.subscribe(subscribers);
    this.#stop = () => {
      traced.unsubscribe(subscribers);
    };
  }

  get entries(): string[] {
    return this.journal.entries.splice(0);
  }

  stop(): void {
    this.#stop();
  }
}

interface Told {
  ctx: Context;
  name: string;
  error?: unknown;
}

describe('tracing', () => {
  const serve = servers();
  const listeners: { stop(): void }[] = [];
  afterEach(() => {
    for (const listener of listeners.splice(0)) listener.stop();
  });

  function listen(name: string): Listener {
    const listener = new Listener(name);
    listeners.push(listener);
    return listener;
  }

  /** Listens to a plain channel. */
  function hear<T>(name: string): { heard: T[]; journal: Journal } {
    const heard: T[] = [];
    const journal = new Journal();
    const listener = (message: unknown): void => {
      heard.push(message as T);
      journal.note('heard');
    };
    channel(name).subscribe(listener);
    listeners.push({
      stop: () => {
        channel(name).unsubscribe(listener);
      },
    });
    return { heard, journal };
  }

  @Controller()
  class Desk {
    @Get('/now')
    now() {
      return 'now';
    }

    @Everywhere('/later')
    async later() {
      await turn();
      return { later: true };
    }

    @Everywhere('/broken')
    async *broken() {
      await turn();
      yield* [];
      throw new HttpError(409, 'broken');
    }

    @Get('/thrown')
    @Sse('/thrown')
    thrown() {
      throw new HttpError(409, 'thrown');
    }

    @WebSocket('/echo')
    async echo(@Body() text: unknown) {
      if (text === 'bad') throw new HttpError(422, 'bad');
      await turn();
      return { text };
    }

    @Rpc('add')
    add(@Body() { a, b }: { a: number; b: number }) {
      if (a < 0) throw new HttpError(422, 'negative');
      return a + b;
    }

    @Post('/news')
    publish(@Channel(News) news: Channel<string>) {
      news.publish('extra');
    }

    @Everywhere('/news')
    read(@Channel(News) news: Channel<string>) {
      return news;
    }
  }

  describe('coequal:exchange', () => {
    it('is told of an answer that is decided at once, as nothing later is', async () => {
      const app = createApp({ controllers: [Desk], logger: false });
      const { url } = await app.listen();
      try {
        const listener = listen('coequal:exchange');
        await fetch(`${url}/now`);
        expect(listener.entries).to.deep.equal(['start Desk.now', 'end Desk.now']);
        await fetch(`${url}/thrown`);
        const thrown = ['start Desk.thrown', 'error Desk.thrown thrown', 'end Desk.thrown'];
        expect(listener.entries).to.deep.equal(thrown);
      } finally {
        await app.close();
      }
    });

    for (const door of doors) {
      it(`is told of the making of the head of ${door.kind}`, async () => {
        const refuse: Middleware = async (ctx, next) => {
          await turn();
          if (ctx.path === '/later' && ctx.query['refused'] !== undefined)
            throw new HttpError(403, 'refused');
          await next();
        };
        const server = serve({ controllers: [Desk], middleware: [refuse] });
        const listener = listen('coequal:exchange');
        const visit = await door.open(server, '/later');
        expect(visit.status).to.equal(door.opened);
        visit.leave();
        const [start, end, asyncStart, asyncEnd] = ['start', 'end', 'asyncStart', 'asyncEnd'].map(
          (event) => `${event} Desk.later`,
        );
        expect(listener.entries).to.deep.equal([start, end, asyncStart, asyncEnd]);
        expect((await door.open(server, '/later?refused')).status).to.equal(403);
        expect(listener.entries).to.deep.equal([
          start,
          end,
          'error Desk.later refused',
          asyncStart,
          asyncEnd,
        ]);
      });
    }

    it('gives listeners a store of their own in all that the exchange does', async () => {
      const storage = new AsyncLocalStorage<Told>();
      const { start } = tracingChannel<Told, Told>('coequal:exchange');
      start.bindStore(storage);
      listeners.push({ stop: () => void start.unbindStore(storage) });
      @Controller()
      class Names {
        @Get()
        async name(@Ctx() ctx: Context) {
          await turn();
          return { name: storage.getStore()?.name, same: storage.getStore()?.ctx === ctx };
        }
      }
      const server = serve({ controllers: [Names] });
      expect(await (await server.fetch('/')).json()).to.deep.equal({ name: 'Names.name', same: true });
    });
  });

  describe('coequal:message', () => {
    it('is told of each message, and of what its method throws', async () => {
      const server = serve({ controllers: [Desk] });
      const listener = listen('coequal:message');
      const socket = await server.socket('/echo');
      socket.send('"good"');
      expect(await socket.json()).to.deep.equal({ text: 'good' });
      const whole = ['start Desk.echo', 'end Desk.echo', 'asyncStart Desk.echo', 'asyncEnd Desk.echo'];
      expect(listener.entries).to.deep.equal(whole);
      socket.send('"bad"');
      expect(await socket.json()).to.have.nested.property('error.status', 422);
      socket.send('{');
      expect(await socket.json()).to.have.nested.property('error.status', 400);
      const entries = listener.entries;
      expect(entries).to.include('error Desk.echo bad');
      expect(entries.filter((entry) => entry.startsWith('error'))).to.have.length(2);
      expect(entries.filter((entry) => entry.startsWith('start'))).to.have.length(2);
    });
  });

  describe('coequal:call', () => {
    it('is told of each call, and of what its method throws', async () => {
      const server = serve({ controllers: [Desk] });
      const listener = listen('coequal:call');
      const socket = await server.socket('/echo');
      socket.send({ jsonrpc: '2.0', id: 1, method: 'add', params: { a: 1, b: 2 } });
      expect(await socket.json()).to.include({ result: 3 });
      expect(listener.entries).to.include.members(['start Desk.add', 'end Desk.add']);
      socket.send({ jsonrpc: '2.0', id: 2, method: 'add', params: { a: -1, b: 2 } });
      expect(await socket.json()).to.have.nested.property('error.code', -32000);
      expect(listener.entries).to.include.members([
        'start Desk.add',
        'error Desk.add negative',
        'end Desk.add',
      ]);
    });
  });

  describe('coequal:connection', () => {
    for (const door of doors.filter(({ kind }) => kind !== 'http')) {
      it(`is told when a ${door.kind} opens and closes`, async () => {
        const server = serve({ controllers: [Desk] });
        const opened = hear<{ connection: { kind: string } }>('coequal:connection.open');
        const closed = hear<{ connection: { kind: string } }>('coequal:connection.close');
        const visit = await door.open(server, '/news');
        expect(opened.heard.map(({ connection }) => connection.kind)).to.deep.equal([door.kind]);
        expect(closed.heard).to.deep.equal([]);
        visit.leave();
        await closed.journal.until('heard');
        expect(closed.heard.map(({ connection }) => connection)).to.deep.equal(
          opened.heard.map(({ connection }) => connection),
        );
      });
    }
  });

  it('tells coequal:publish of each value', async () => {
    const server = serve({ controllers: [Desk] });
    const { heard } = hear<{ channel: { name: string }; value: unknown }>('coequal:publish');
    await server.fetch('/news', { method: 'POST' });
    expect(heard.map(({ channel: { name }, value }) => [name, value])).to.deep.equal([['news', 'extra']]);
  });

  describe('AsyncLocalStorage that middleware has run', () => {
    const storage = new AsyncLocalStorage<string>();
    const run: Middleware = (ctx, next) => storage.run(String(ctx.query['who']), next);

    @Controller()
    class Rooms {
      @Get('/handler')
      async handler() {
        await turn();
        return storage.getStore();
      }

      @Everywhere('/values')
      async *values() {
        for (let i = 0; i < 3; i++) {
          yield [i, storage.getStore()];
          await turn();
        }
      }

      @WebSocket('/once')
      async once(@Socket() socket: Socket, @Signal() signal: AbortSignal) {
        socket.send([storage.getStore()]);
        await turn();
        socket.send([storage.getStore()]);
        for await (const message of socket) socket.send([message, storage.getStore()]);
        if (!signal.aborted) await once(signal, 'abort');
      }

      @WebSocket('/messages')
      async messages(@Body() body: unknown) {
        const before = storage.getStore();
        await turn();
        return [body, before, storage.getStore()];
      }

      @Rpc('who')
      async who() {
        await turn();
        return storage.getStore();
      }
    }

    it('is there in a handler', async () => {
      const server = serve({ controllers: [Rooms], middleware: [run] });
      const answers = await Promise.all(
        ['ada', 'bea'].map(async (who) => (await server.fetch(`/handler?who=${who}`)).text()),
      );
      expect(answers).to.deep.equal(['ada', 'bea']);
    });

    for (const door of doors) {
      it(`is there in a generator of ${door.kind}, after the first value too`, async () => {
        const server = serve({ controllers: [Rooms], middleware: [run] });
        const visits = await Promise.all(
          ['ada', 'bea'].map((who) => door.open(server, `/values?who=${who}`)),
        );
        for (let i = 0; i < 3; i++) {
          expect(await visits[0]?.value()).to.deep.equal([i, 'ada']);
          expect(await visits[1]?.value()).to.deep.equal([i, 'bea']);
        }
      });
    }

    it('is there in a method that runs once for a socket', async () => {
      const server = serve({ controllers: [Rooms], middleware: [run] });
      const [ada, bea] = await Promise.all([server.socket('/once?who=ada'), server.socket('/once?who=bea')]);
      for (const [socket, who] of [
        [ada, 'ada'],
        [bea, 'bea'],
      ] as const) {
        expect(await socket.json()).to.deep.equal([who]);
        expect(await socket.json()).to.deep.equal([who]);
      }
      bea.send('1');
      ada.send('1');
      expect(await ada.json()).to.deep.equal([1, 'ada']);
      expect(await bea.json()).to.deep.equal([1, 'bea']);
    });

    it('is there in every message and every call', async () => {
      const server = serve({ controllers: [Rooms], middleware: [run] });
      const [ada, bea] = await Promise.all(
        ['ada', 'bea'].map((who) => server.socket(`/messages?who=${who}`)),
      );
      for (let i = 0; i < 3; i++) {
        for (const socket of [ada, bea]) {
          socket?.send(i);
          socket?.send({ jsonrpc: '2.0', id: i, method: 'who' });
        }
        for (const [socket, who] of [
          [ada, 'ada'],
          [bea, 'bea'],
        ] as const) {
          expect(await socket?.json()).to.deep.equal([i, who, who]);
          expect(await socket?.json()).to.include({ result: who });
        }
      }
    });
  });

  describe('traceparent', () => {
    const TRACE = '0af7651916cd43dd8448eb211c80319c';
    const PARENT = 'b7ad6b7169203331';

    @Controller()
    class Traces {
      @Everywhere('/trace')
      async *trace(@Ctx() ctx: Context) {
        yield { trace: ctx.trace ?? null };
      }

      @Everywhere('/broken')
      broken() {
        throw new Error('broken');
      }
    }

    for (const door of doors) {
      it(`of a ${door.kind} is ctx.trace, and a malformed one is none`, async () => {
        const server = serve({ controllers: [Traces] });
        const good = { traceId: TRACE, parentId: PARENT };
        const table: [string | undefined, unknown][] = [
          [undefined, null],
          [`00-${TRACE}-${PARENT}-01`, { ...good, sampled: true }],
          [`00-${TRACE}-${PARENT}-00`, { ...good, sampled: false }],
          [`00-${TRACE}-${PARENT}-02`, { ...good, sampled: false }],
          [`00-${TRACE}-${PARENT}-ff`, { ...good, sampled: true }],
          [`cc-${TRACE}-${PARENT}-01`, { ...good, sampled: true }],
          [`cc-${TRACE}-${PARENT}-01-what-the-future-holds`, { ...good, sampled: true }],
          [`cc-${TRACE}-${PARENT}-01.what-the-future-holds`, null],
          [`00-${TRACE}-${PARENT}-01-more`, null],
          [`00-${TRACE}-${PARENT}-01-`, null],
          [`ff-${TRACE}-${PARENT}-01`, null],
          [`00-${'0'.repeat(32)}-${PARENT}-01`, null],
          [`00-${TRACE}-${'0'.repeat(16)}-01`, null],
          [`00-${TRACE.toUpperCase()}-${PARENT}-01`, null],
          [`00-${TRACE.slice(1)}-${PARENT}-01`, null],
          [`00-${TRACE}-${PARENT}`, null],
          [`00-${TRACE}-${PARENT}-1`, null],
          [`00-${TRACE}-${PARENT}-0g`, null],
          [`00-${TRACE}-${PARENT}-01, 00-${TRACE}-${PARENT}-01`, null],
          ['', null],
        ];
        for (const [field, trace] of table) {
          const visit = await door.open(server, '/trace', field === undefined ? {} : { traceparent: field });
          expect(await visit.value(), String(field)).to.deep.equal({ trace });
        }
      });

      it(`of a ${door.kind} names the trace in the log`, async () => {
        const logger = new Recorder();
        const server = serve({ controllers: [Traces], logger });
        const logged = new Journal();
        logger.error = (fields: object) => {
          logger.lines.push({ level: 'error', fields: { ...fields }, message: '' });
          logged.note('error');
        };
        const visit = await door.open(server, '/broken', { traceparent: `00-${TRACE}-${PARENT}-01` });
        await logged.until('error');
        visit.leave();
        expect(logger.lines.map(({ fields }) => fields['traceId'])).to.deep.equal([TRACE]);
      });
    }
  });

  describe('stats()', () => {
    it('are zero for an application that nobody has used', () => {
      expect(serve({ controllers: [Desk] }).app.stats()).to.deep.equal({
        connections: { sse: 0, websocket: 0, opened: 0, refused: 0 },
        buffered: 0,
        inFlight: { exchanges: 0, handshakes: 0 },
        messages: { in: 0, out: 0, published: 0, dropped: 0, conflated: 0 },
        channels: 0,
        history: { bytes: 0, channels: 0 },
      });
    });

    it('count what is open, was opened, and was refused', async () => {
      const refuse: Middleware = (ctx, next) => {
        if (ctx.query['refused'] !== undefined) throw new HttpError(403);
        return next();
      };
      const server = serve({ controllers: [Desk], middleware: [refuse] });
      const closed = hear('coequal:connection.close');
      const [socket] = await Promise.all([
        server.socket('/news'),
        server.socket('/echo'),
        server.sse('/news'),
      ]);
      for (const door of doors) await door.open(server, '/news?refused');
      const { app } = server;
      expect(app.stats().connections).to.deep.equal({ sse: 1, websocket: 2, opened: 3, refused: 2 });
      expect(app.stats().channels).to.equal(1);
      socket.close();
      await closed.journal.until('heard');
      expect(app.stats().connections).to.deep.equal({ sse: 1, websocket: 1, opened: 3, refused: 2 });
    });

    it('count messages in and out, by whatever way they are taken and sent', async () => {
      @Controller()
      class Ways {
        @WebSocket('/loop')
        async loop(@Socket() socket: Socket<number>) {
          for await (const message of socket) socket.send(message);
        }

        @WebSocket('/body')
        body(@Body() value: unknown) {
          return value;
        }
      }
      for (const deflate of [false, true]) {
        const server = serve({ controllers: [Ways, Desk], perMessageDeflate: deflate });
        for (const path of ['/loop', '/body']) {
          const socket = await server.socket(path);
          for (let i = 0; i < 3; i++) {
            socket.send(i);
            expect(await socket.json()).to.equal(i);
          }
        }
        const readers = await Promise.all([server.socket('/news'), server.sse('/news')]);
        await server.fetch('/news', { method: 'POST' });
        await Promise.all(readers.map((reader) => reader.next()));
        const { messages } = server.app.stats();
        expect(messages, `deflate: ${deflate}`).to.deep.equal({
          in: 6,
          out: 8,
          published: 1,
          dropped: 0,
          conflated: 0,
        });
      }
    });

    it('count what is in flight', async () => {
      const journal = new Journal();
      const gate: Middleware = async (_ctx, next) => {
        journal.note('waiting');
        await journal.until('go');
        await next();
      };
      const server = serve({ controllers: [Desk], middleware: [gate] });
      const visits = doors.map((door) => door.open(server, '/later'));
      await journal.until('waiting', 3);
      expect(server.app.stats().inFlight).to.deep.equal({ exchanges: 2, handshakes: 1 });
      journal.note('go');
      for (const visit of await Promise.all(visits)) visit.leave();
      expect(server.app.stats().inFlight).to.deep.equal({ exchanges: 0, handshakes: 0 });
    });
  });
});

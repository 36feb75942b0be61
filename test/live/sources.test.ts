import { Readable } from 'node:stream';
import { ReadableStream } from 'node:stream/web';
import { expect } from 'chai';
import { Body, Controller, Ctx, Get, Socket, Sse, WebSocket, type Context, type Next } from 'coequal';
import { Refused, serve } from 'coequal/testing';
import { deferred, until } from '../support/deferred.js';

/** Sources of two values that then wait, and what tells that they were ended. */
const WAITING: Record<string, (ended: () => void) => object> = {
  'a generator': (ended) => {
    async function* values(): AsyncGenerator<string> {
      try {
        yield 'a';
        yield 'b';
        await new Promise((resolve) => setTimeout(resolve, 20));
        yield* values();
      } finally {
        ended();
      }
    }
    return values();
  },
  'an iterator that waits': (ended) => {
    const values = ['a', 'b'];
    return {
      [Symbol.asyncIterator]: () => ({
        next: () =>
          values.length > 0 ? Promise.resolve({ value: values.shift() }) : new Promise(() => undefined),
        return: () => {
          ended();
          return Promise.resolve({ done: true });
        },
      }),
    };
  },
  'a ReadableStream that waits': (ended) =>
    new ReadableStream({
      start: (controller) => {
        controller.enqueue('a');
        controller.enqueue('b');
      },
      cancel: ended,
    }),
  'a ReadableStream of another package': (ended) => {
    const values = ['a', 'b'];
    class Foreign {
      getReader() {
        return {
          read: () =>
            values.length > 0
              ? Promise.resolve({ done: false, value: values.shift() })
              : new Promise(() => undefined),
          cancel: async () => ended(),
        };
      }
    }
    return new Foreign();
  },
  'a Readable that waits': (ended) => {
    const stream = new Readable({
      objectMode: true,
      read: () => undefined,
      destroy: (_error, done) => (ended(), done(null)),
    });
    stream.push('a');
    stream.push('b');
    return stream;
  },
};

describe('ctx.send() of a source', () => {
  for (const [name, make] of Object.entries(WAITING)) {
    for (const way of ['returned', 'sent'] as const) {
      it(`pumps ${name}, ${way}, and ends it with its client, in every kind`, async () => {
        let ended = deferred();
        @Controller()
        class Sources {
          @Get('/x') @Sse('/x') @WebSocket('/x') x(@Ctx() ctx: Context) {
            const source = make(() => ended.resolve());
            return way === 'returned' ? source : void ctx.send(source);
          }
        }
        const server = serve({ controllers: [Sources], logger: false });
        const stream = await server.sse('/x');
        expect([(await stream.next()).data, (await stream.next()).data]).to.deep.equal(['a', 'b']);
        stream.close();
        await ended.promise;
        ended = deferred();
        const socket = await server.socket('/x');
        expect([String(await socket.next()), String(await socket.next())]).to.deep.equal(['a', 'b']);
        socket.raw.terminate();
        await ended.promise;
        ended = deferred();
        const abort = new AbortController();
        const { body } = await server.fetch('/x', { signal: abort.signal });
        await body?.getReader().read();
        abort.abort();
        await ended.promise;
      });
    }
  }

  it('ends the connection with the last of them, in the order in which they were sent', async () => {
    @Controller()
    class Several {
      @Sse('/x') @WebSocket('/x') x(@Ctx() ctx: Context) {
        ctx.send(Readable.from(['1', '2']));
        ctx.send(new Blob(['first']));
        ctx.send(ReadableStream.from(['3']));
        return Readable.from(['4']);
      }
    }
    const server = serve({ controllers: [Several] });
    const socket = await server.socket('/x');
    const got = [];
    for (let n = 0; n < 5; n++) got.push(String(await socket.next()));
    expect(got.filter((value) => value !== 'first').join()).to.equal('1,2,3,4');
    expect(await socket.closed()).to.deep.include({ code: 1000 });
    const stream = await server.sse('/x');
    const events = [];
    for await (const { event, data } of stream) if (event !== 'end') events.push(data);
    expect(events.filter((value) => value !== 'first').join()).to.equal('1,2,3,4');
  });

  it('goes at the pace of its reader', async () => {
    let made = 0;
    @Controller()
    class Fast {
      @Sse('/x') @WebSocket('/x') x(@Ctx() ctx: Context) {
        async function* values() {
          for (; made < 10_000; made++) yield 'x'.repeat(10_000);
        }
        ctx.send(values());
      }
    }
    const server = serve({ controllers: [Fast] });
    const socket = await server.socket('/x');
    socket.raw.pause();
    const { websocket } = server.app.stats().connections;
    expect(websocket).to.equal(1);
    let before = -1;
    await until(() => {
      const still = made === before;
      before = made;
      return still && made > 0;
    });
    expect(made).to.be.lessThan(10_000);
    socket.raw.terminate();
  });

  it('answers a failure before the first value by a problem, on a stream', async () => {
    @Controller()
    class Failing {
      @Sse('/x') x(@Ctx() ctx: Context) {
        ctx.send(
          new ReadableStream({
            start: (controller) => controller.error(Object.assign(new Error('no'), { status: 404 })),
          }),
        );
      }
    }
    const server = serve({ controllers: [Failing], logger: false });
    const refused = await server.sse('/x').catch((error: unknown) => error);
    expect((refused as Refused).status).to.equal(404);
  });

  it('of middleware is sent once the connection is open', async () => {
    @Controller()
    class Late {
      @Sse('/x') @WebSocket('/x') x() {}
    }
    const first = (ctx: Context, next: Next) => {
      ctx.send(Readable.from(['early']));
      return next();
    };
    const server = serve({ controllers: [Late], middleware: [first] });
    expect((await (await server.sse('/x')).next()).data).to.equal('early');
    const socket = await server.socket('/x');
    expect(await socket.next()).to.equal('early');
    expect(await socket.closed()).to.deep.include({ code: 1000 });
  });

  it('after the head is pumped, too', async () => {
    const contexts: Context[] = [];
    @Controller()
    class Open {
      @Sse('/x') @WebSocket('/x') x(@Ctx() ctx: Context) {
        contexts.push(ctx);
      }
    }
    const server = serve({ controllers: [Open] });
    const stream = await server.sse('/x');
    contexts[0]?.send(Readable.from(['late']));
    expect((await stream.next()).data).to.equal('late');
    expect((await stream.next()).event).to.equal('end');
    await stream.closed();
    const socket = await server.socket('/x');
    contexts[1]?.send(Readable.from(['late']));
    expect(await socket.next()).to.equal('late');
    expect(await socket.closed()).to.deep.include({ code: 1000 });
  });
});

describe('a source as the reply to a message', () => {
  @Controller()
  class Replies {
    @WebSocket('/x') async *x(@Body() text: string) {
      if (text === 'fail') throw new Error('failed');
      for (const letter of text) yield letter;
    }
    @WebSocket('/sent') sent(@Body() text: string, @Ctx() ctx: Context) {
      ctx.send(Readable.from(text.split('')));
    }
    @WebSocket('/response') response(@Body() _text: string) {
      return new Response('hi');
    }
    @WebSocket('/endless') async endless(@Socket() socket: Socket) {
      socket.close();
      async function* values() {
        for (;;) yield 'x';
      }
      return values();
    }
  }
  const server = serve({ controllers: [Replies], logger: false });

  for (const path of ['/x', '/sent']) {
    it(`is sent value by value before the next message is handled, and the socket stays open (${path})`, async () => {
      const socket = await server.socket(path);
      for (const text of ['ab', 'cd', 'ef']) socket.send(text);
      let got = '';
      while (got.length < 6) got += String(await socket.next());
      expect(got).to.equal('abcdef');
    });
  }

  it('that fails is answered by the problem, and the socket stays open', async () => {
    const socket = await server.socket('/x');
    socket.send('fail');
    expect(await socket.json()).to.have.nested.property('error.status', 500);
    socket.send('y');
    expect(await socket.next()).to.equal('y');
  });

  it('is no Response: its author is told', async () => {
    const socket = await server.socket('/response');
    socket.send('x');
    expect(await socket.json()).to.have.nested.property('error.status', 500);
  });

  it('does not spin while the socket closes', async () => {
    const socket = await server.socket('/endless');
    expect(await socket.closed()).to.deep.include({ code: 1000 });
  });
});

describe('ctx.send() of a Response in an @Sse method', () => {
  const errors: string[] = [];
  let context: Context | undefined;
  @Controller()
  class Answers {
    @Sse('/sent') sent(@Ctx() ctx: Context) {
      ctx.send(new Response('busy', { status: 503, headers: { 'retry-after': '5' } }));
    }
    @Sse('/later') async later(@Ctx() ctx: Context) {
      ctx.send('dropped');
      await Promise.resolve();
      ctx.send(Response.json({ a: 1 }));
    }
    @Sse('/twice') twice(@Ctx() ctx: Context) {
      ctx.send(new Response('one'));
      return 'two';
    }
    @Sse('/open') open(@Ctx() ctx: Context) {
      context = ctx;
    }
  }
  const server = serve({
    controllers: [Answers],
    logger: false,
    onError: (error) => void errors.push(String(error)),
  });

  it('is the response, and no stream opens', async () => {
    const response = await server.fetch('/sent', { headers: { accept: 'text/event-stream' } });
    expect([response.status, response.headers.get('retry-after'), await response.text()]).to.deep.equal([
      503,
      '5',
      'busy',
    ]);
    const later = await server.fetch('/later');
    expect([later.status, await later.json()]).to.deep.equal([200, { a: 1 }]);
    expect(server.app.stats().connections.sse).to.equal(0);
  });

  it('is an error where something is returned as well', async () => {
    expect((await server.fetch('/twice')).status).to.equal(500);
    expect(errors.pop()).to.contain('GET /twice has been answered already');
  });

  it('is an error once the stream has begun, and leaves it open', async () => {
    const stream = await server.sse('/open');
    expect(() => context?.send(new Response('late'))).to.throw(
      'GET /open has begun its event stream already',
    );
    context?.send('still here');
    expect((await stream.next()).data).to.equal('still here');
  });
});

import { expect } from 'chai';
import type { Response } from 'express';
import type { IncomingMessage } from 'node:http';
import {
  Channel,
  connect,
  Controller,
  defineChannel,
  event,
  Rpc,
  Signal,
  UseMiddleware,
  WebSocket,
  type Channel as Of,
  type Context,
  type Next,
} from 'coequal';
import { serve } from 'coequal/testing';
import { deferred } from '../support/deferred.js';
import { recorder } from '../support/recorder.js';

interface Answer {
  readonly result?: unknown;
  readonly error?: { readonly code: number; readonly data: Record<string, unknown> };
}

const News = defineChannel<string>('news', { history: 1 });

describe('the answer to a call', () => {
  let returned = deferred();

  @Controller('/calls')
  class Answers {
    @WebSocket() open() {}

    @Rpc()
    @UseMiddleware((ctx: Context) => ctx.send({ cached: true }))
    cached() {
      throw new Error('is not called');
    }

    @Rpc()
    @UseMiddleware((ctx: Context) => {
      ctx.status = 429;
      ctx.send({ limit: 3 });
    })
    limited() {
      throw new Error('is not called');
    }

    @Rpc()
    @UseMiddleware(({ response }: Context) => {
      response.statusCode = 403;
      response.setHeader('content-type', 'text/plain').end('not you');
    })
    refused() {
      throw new Error('is not called');
    }

    @Rpc()
    @UseMiddleware((ctx: Context) => {
      ctx.status = 302;
      ctx.send('/login');
    })
    moved() {
      throw new Error('is not called');
    }

    @Rpc()
    @UseMiddleware(connect((_: IncomingMessage, response: Response) => response.redirect('/login')))
    redirected() {
      throw new Error('is not called');
    }

    @Rpc()
    @UseMiddleware((ctx: Context, next: Next) => {
      ctx.setHeader('ratelimit', 'limit=3');
      return next();
    })
    counted() {
      return 'counted';
    }

    @Rpc() named() {
      return event({ price: 1 }, { event: 'price' });
    }

    @Rpc() read(@Channel(News) news: Of<string>) {
      news.publish('hello');
      return news;
    }

    @Rpc() text() {
      return 'x'.repeat(600);
    }

    @Rpc() fn() {
      return () => 1;
    }

    @Rpc() response() {
      return Response.json({});
    }

    @Rpc() values() {
      const never = () => new Promise(() => undefined);
      const iterator = { next: never, return: () => Promise.resolve(returned.resolve()) };
      return { [Symbol.asyncIterator]: () => iterator };
    }
  }

  const logger = recorder();
  const { lines } = logger;
  const server = serve({ controllers: [Answers], logger });
  after(() => server.close());

  async function call(method: string): Promise<Answer> {
    const socket = await server.socket('/calls');
    socket.send({ jsonrpc: '2.0', id: 1, method });
    return await socket.json<Answer>();
  }

  beforeEach(() => {
    returned = deferred();
    lines.length = 0;
  });

  it('is what its middleware sends', async () => {
    expect((await call('cached')).result).to.deep.equal({ cached: true });
  });

  it('is an error of the status that its middleware sets, with what it sends', async () => {
    const { error } = await call('limited');
    expect(error?.code).to.equal(-32000);
    expect(error?.data).to.include({ status: 429, limit: 3 });
  });

  it("is what its middleware sends by Node's response", async () => {
    expect((await call('refused')).error?.data).to.include({ status: 403, detail: 'not you' });
  });

  for (const method of ['moved', 'redirected']) {
    it(`is an error where its middleware redirects: ${method}`, async () => {
      const { error } = await call(method);
      expect(error?.code).to.equal(-32000);
      expect(error?.data).to.include({ status: 403 });
    });
  }

  it('has no header fields, and middleware may set them all the same', async () => {
    expect((await call('counted')).result).to.equal('counted');
  });

  it('is the value of an event', async () => {
    expect((await call('named')).result).to.deep.equal({ price: 1 });
  });

  it('is null for a channel, which its socket reads from then on', async () => {
    const socket = await server.socket('/calls');
    socket.send({ jsonrpc: '2.0', id: 1, method: 'read' });
    expect(await socket.next()).to.equal('hello');
    expect(await socket.json<Answer>()).to.have.property('result', null);
  });

  for (const [method, what] of [
    ['fn', 'a function'],
    ['response', 'a Response'],
    ['values', 'an iterable'],
  ] as const) {
    it(`is an error for ${what}, and the log says why`, async () => {
      expect((await call(method)).error?.code).to.equal(-32603);
      expect(lines.map(({ fields }) => String(fields['err'])).join()).to.include(
        `Answers.${method} has returned ${what}`,
      );
    });
  }

  it('is no iterable, which is told so', async () => {
    await call('values');
    await returned.promise;
  });

  it('is an error of its own for each call of a batch whose answers are too large together', async () => {
    const small = serve({ controllers: [Answers], logger: false, limits: { value: 1_000 } });
    try {
      const socket = await small.socket('/calls');
      socket.send([1, 2].map((id) => ({ jsonrpc: '2.0', id, method: 'text' })));
      const answers = await socket.json<(Answer & { id: number })[]>();
      expect(answers.map(({ id, error }) => [id, error?.code])).to.deep.equal([
        [1, -32603],
        [2, -32603],
      ]);
    } finally {
      await small.close();
    }
  });
});

describe('a call', () => {
  const Ticks = defineChannel<number>('ticks');
  const ended = deferred();
  const signals: AbortSignal[] = [];

  @Controller('/calls')
  class Loops {
    @WebSocket() open() {}

    @Rpc() loop(@Channel(Ticks) ticks: Of<number>, @Signal() signal: AbortSignal) {
      signals.push(signal);
      void (async () => {
        for await (const _ of ticks) expect.fail('nothing is published');
        ended.resolve();
      })();
      return 'begun';
    }
  }
  const server = serve({ controllers: [Loops], logger: false });
  after(() => server.close());

  it('ends the loops over channels that it began, and aborts its signal', async () => {
    const socket = await server.socket('/calls');
    socket.send({ jsonrpc: '2.0', id: 1, method: 'loop' });
    expect(await socket.json<Answer>()).to.have.property('result', 'begun');
    await ended.promise;
    expect(signals.pop()?.aborted).to.equal(true);
  });
});

describe('a call whose socket closes', () => {
  it('has its signal aborted', async () => {
    const [begun, aborted] = [deferred(), deferred()];
    @Controller('/calls')
    class Held {
      @WebSocket() open() {}
      @Rpc() held(@Signal() signal: AbortSignal) {
        signal.addEventListener('abort', () => aborted.resolve());
        begun.resolve();
        return aborted.promise;
      }
    }
    const server = serve({ controllers: [Held], logger: false });
    try {
      const socket = await server.socket('/calls');
      socket.send({ jsonrpc: '2.0', id: 1, method: 'held' });
      await begun.promise;
      socket.close();
      await aborted.promise;
    } finally {
      await server.close();
    }
  });
});

import { once } from 'node:events';
import { expect } from 'chai';
import {
  Channel,
  Channels,
  Connection,
  Connections,
  Controller,
  Ctx,
  defineChannel,
  event,
  Get,
  HttpError,
  Param,
  Post,
  Sse,
  UseMiddleware,
  type Context,
} from 'coequal';
import { Refused, serve } from 'coequal/testing';
import { EventSource } from 'eventsource';
import { deferred, turns, until } from '../support/deferred.js';
import { RawClient } from '../support/raw-client.js';
import { recorder } from '../support/recorder.js';

const Prices = defineChannel<{ price: number }>('prices');

const state = {
  gate: deferred(),
  made: 0,
  waiting: deferred(),
  returned: deferred(),
  opened: deferred<Connection>(),
  deferred: 0,
};

@Controller()
class Streams {
  @Sse('/count') async *count(@Ctx() ctx: Context) {
    yield 'one';
    yield await Promise.resolve({ two: 2 });
    yield 3;
    yield ctx.kind;
  }

  @Sse('/fields') async *fields() {
    yield event({ price: 1 }, { event: 'price', id: '7', retry: 5_000 });
    yield await Promise.resolve(event('plain'));
    yield event(undefined, { id: '8' });
    yield 'after';
  }

  @Sse('/lines') async *lines() {
    yield 'a\nb\r\nc\rd';
    yield await Promise.resolve('event: forged\n\ndata: too');
    yield '';
  }

  @Sse('/bad/:field/:index') async *bad(@Param('field') field: string, @Param('index') index: number) {
    yield 'good';
    await state.gate.promise;
    yield event('x', { [field]: ['a\nb', 'a\rb', 'a\0b'][index] });
  }

  @Sse('/endless') async *endless(@Ctx() ctx: Context) {
    ctx.defer(() => void state.deferred++);
    try {
      for (;;) {
        state.made++;
        yield await Promise.resolve('x'.repeat(16_384));
      }
    } finally {
      state.returned.resolve();
    }
  }

  @Sse('/waits') waits(@Ctx() ctx: Context): AsyncIterable<string> {
    ctx.defer(() => void state.deferred++);
    let first = true;
    return {
      [Symbol.asyncIterator]: () => ({
        next: () => {
          if (first) {
            first = false;
            return Promise.resolve({ done: false, value: 'first' });
          }
          state.waiting.resolve();
          return new Promise(() => undefined);
        },
        return: () => {
          state.returned.resolve();
          return Promise.resolve({ done: true, value: undefined });
        },
      }),
    };
  }

  @Sse('/refuses') refuses() {
    throw new HttpError(402, 'pay first', { headers: { 'x-price': '1' } });
  }

  @Sse('/refuses-later') async *refusesLater() {
    await state.gate.promise;
    if (state.made === 0) throw new HttpError(410, 'gone');
    yield 'never';
  }

  @Sse('/breaks') async *breaks() {
    yield 'first';
    await state.gate.promise;
    throw new Error('a secret');
  }

  @Sse('/connection') connection(@Connection() connection: Connection, @Ctx() ctx: Context): void {
    connection.send('by the connection');
    ctx.send('by the context');
    state.opened.resolve(connection);
  }

  @Sse('/value') value() {
    return { just: 'this' };
  }

  @Sse('/channel') @Get('/channel') channel(@Channel(Prices) prices: Channel<{ price: number }>) {
    return prices;
  }

  @Sse('/empty') async *empty() {}

  @Sse('/guarded')
  @UseMiddleware((ctx, next) => {
    if (ctx.headers.authorization === undefined) throw new HttpError(401);
    ctx.setHeader('x-guard', 'passed');
    return next();
  })
  async *guarded() {
    yield await Promise.resolve('welcome');
  }

  @Post('/made') made() {
    return state.made;
  }
}

describe('an event stream', () => {
  const log = recorder();
  const server = serve({ controllers: [Streams], logger: log, heartbeat: 32 });

  beforeEach(() => {
    state.gate = deferred();
    state.waiting = deferred();
    state.returned = deferred();
    state.opened = deferred();
    state.made = state.deferred = 0;
    log.lines.length = 0;
  });

  const errors = (): unknown[] => log.lines.filter(({ level }) => level === 'error');

  /** The stream as it stands on the wire, until it ends. */
  async function wire(path: string): Promise<string> {
    const response = await server.fetch(path, { headers: { accept: 'text/event-stream' } });
    return (await response.text()).replaceAll(':\n\n', '');
  }

  it('is what an async generator yields, and ends with it', async () => {
    expect(await wire('/count')).to.match(
      /^data: one\n\ndata: {"two":2}\n\ndata: 3\n\ndata: sse\n\nevent: end\nid: \S+\ndata: {"code":1000,"reason":""}\n\n$/,
    );
  });

  it('has the fields that keep it from being cached, changed or buffered', async () => {
    const { response } = await server.sse('/count');

    expect(response.status).to.equal(200);
    expect(response.headers.get('content-type')).to.equal('text/event-stream');
    expect(response.headers.get('cache-control')).to.equal('no-cache, no-transform');
    expect(response.headers.get('x-accel-buffering')).to.equal('no');
  });

  it('carries names, ids and the time to reconnect', async () => {
    expect((await wire('/fields')).split('event: end')[0]).to.equal(
      'event: price\nid: 7\nretry: 5000\ndata: {"price":1}\n\ndata: plain\n\nid: 8\n\ndata: after\n\n',
    );
  });

  it('splits data by line, so that no line of it is taken for a field', async () => {
    const stream = await server.sse('/lines');

    expect((await stream.next()).data).to.equal('a\nb\nc\nd');
    expect(await stream.next()).to.deep.equal({
      event: 'message',
      data: 'event: forged\n\ndata: too',
      id: undefined,
    });
    expect((await stream.next()).data).to.equal('');
    await stream.closed();
  });

  for (const field of ['id', 'event']) {
    for (const [index, name] of ['LF', 'CR', 'NUL'].entries()) {
      it(`refuses ${name} in the ${field} of an event, and is cut`, async () => {
        const stream = await server.sse(`/bad/${field}/${index}`);
        expect((await stream.next()).data).to.equal('good');
        state.gate.resolve();

        await stream.closed();

        expect(errors()).to.have.length(1);
        expect(String(log.lines[0]?.fields['err'])).to.contain(`the ${field} of an event`);
      });
    }
  }

  it('holds back its source while the reader does not read, and ends it when the reader leaves', async () => {
    const client = await RawClient.connect(await server.url());
    client.socket.pause();
    client.head('GET /endless HTTP/1.1', 'Host: localhost', 'Accept: text/event-stream');
    await until(() => state.made > 0);
    let before = -1;
    while (before !== state.made) {
      before = state.made;
      await turns(50);
    }
    // What is made fits into the buffers of both ends; an unbounded source would have gone on.
    expect(state.made * 16_384).to.be.lessThan(16_777_216);
    expect(state.deferred).to.equal(0);

    client.socket.resume();
    await until(() => state.made > before);
    client.socket.destroy();

    await state.returned.promise;
    await until(() => state.deferred === 1);
    expect(errors()).to.deep.equal([]);
  });

  it('tells its source that the reader has left, even while the source waits', async () => {
    const stream = await server.sse('/waits');
    expect((await stream.next()).data).to.equal('first');
    await state.waiting.promise;

    stream.close();

    await state.returned.promise;
    await until(() => state.deferred === 1);
    expect(errors()).to.deep.equal([]);
  });

  it('sends a comment for a heartbeat', async () => {
    const stream = await server.sse('/connection');

    await stream.comment();
    await stream.comment();
  });

  it('refuses by an ordinary answer what fails before its head', async () => {
    const refused = (await server.sse('/refuses').catch((error: unknown) => error)) as Refused;

    expect(refused).to.be.instanceOf(Refused);
    expect([refused.status, refused.headers.get('x-price')]).to.deep.equal([402, '1']);
    expect(refused.headers.get('content-type')).to.equal('application/problem+json');
    expect(refused.problem).to.include({ title: 'Payment Required', detail: 'pay first' });
  });

  it('refuses by an ordinary answer what a generator throws before its first event', async () => {
    const opening = server.sse('/refuses-later').catch((error: unknown) => error);
    await turns();
    state.gate.resolve();

    const refused = (await opening) as Refused;

    expect([refused.status, refused.problem.detail]).to.deep.equal([410, 'gone']);
  });

  it('is refused by the guard with its status, and has the fields that the guard sets', async () => {
    const refused = (await server.sse('/guarded').catch((error: unknown) => error)) as Refused;
    expect(refused.status).to.equal(401);

    const stream = await server.sse('/guarded', { headers: { authorization: 'Bearer x' } });
    expect(stream.response.headers.get('x-guard')).to.equal('passed');
  });

  it('is cut by what fails later, which is logged and tells nothing', async () => {
    const client = await RawClient.connect(await server.url());
    client.head('GET /breaks HTTP/1.1', 'Host: localhost', 'Accept: text/event-stream');
    await client.until((bytes) => bytes.includes('data: first\n\n'));
    state.gate.resolve();

    await client.closed();

    // The last chunk of an orderly end is missing.
    expect(client.received.toString()).not.to.contain('\r\n0\r\n\r\n');
    expect(client.received.toString()).not.to.contain('secret');
    expect(errors()).to.have.length(1);
  });

  it('takes what the connection and the context send, and stays open without a returned value', async () => {
    const stream = await server.sse('/connection');
    const connection = await state.opened.promise;

    expect((await stream.next()).data).to.equal('by the connection');
    expect((await stream.next()).data).to.equal('by the context');
    connection.send(event('later', { event: 'late' }));
    expect(await stream.next()).to.include({ event: 'late', data: 'later' });
    expect([...server.app.container.resolve(Connections)]).to.include(connection);
    connection.close();
    await stream.closed();
    expect(connection.closed).to.include({ code: 1000 });
    expect([...server.app.container.resolve(Connections)]).not.to.include(connection);
  });

  it('tells the reason of its end by an event', async () => {
    const stream = await server.sse('/connection');
    const connection = await state.opened.promise;
    await stream.next();
    await stream.next();

    connection.close(3000, 'expired');

    expect(await stream.next()).to.include({ event: 'end', data: '{"code":3000,"reason":"expired"}' });
    await stream.closed();
  });

  it('sends a plain value as one event', async () => {
    expect(await (await server.sse('/value')).json()).to.deep.equal({ just: 'this' });
  });

  it('reads the channel that its method returns, from when its head arrives', async () => {
    const stream = await server.sse('/channel');
    const prices = server.app.container.resolve(Channels).of(Prices, {});

    prices.publish({ price: 1 });
    prices.publish({ price: 2 });

    expect([await stream.json(), await stream.json()]).to.deep.equal([{ price: 1 }, { price: 2 }]);
    expect(prices.size).to.equal(1);
    stream.close();
    await until(() => prices.size === 0);
  });

  it('may end without an event', async () => {
    const stream = await server.sse('/empty');

    await stream.closed();
    expect(stream.response.status).to.equal(200);
  });

  describe('read by a browser', () => {
    async function open(path: string, use: (source: EventSource) => Promise<void>): Promise<void> {
      const source = new EventSource(`${await server.url()}${path}`);
      try {
        await use(source);
      } finally {
        source.close();
      }
    }

    it('gives named events with their ids, and messages', async () => {
      await open('/fields', async (source) => {
        const named = once(source, 'price') as Promise<[MessageEvent<string>]>;
        const message = once(source, 'message') as Promise<[MessageEvent<string>]>;
        const [price] = await named;
        const [plain] = await message;

        expect([price.data, price.lastEventId]).to.deep.equal(['{"price":1}', '7']);
        expect(plain.data).to.equal('plain');
      });
    });

    it('is an error with its status where it is refused, and is not tried again', async () => {
      await open('/refuses', async (source) => {
        const [failure] = (await once(source, 'error')) as [{ code?: number }];

        expect([failure.code, source.readyState]).to.deep.equal([402, EventSource.CLOSED]);
      });
    });
  });
});

import { Blob } from 'node:buffer';
import { Readable } from 'node:stream';
import { expect } from 'chai';
import {
  Channel,
  Channels,
  Controller,
  Ctx,
  defineChannel,
  event,
  Get,
  HttpCode,
  HttpError,
  Post,
  type Context,
} from 'coequal';
import { serve } from 'coequal/testing';
import { deferred } from '../support/deferred.js';

const News = defineChannel<string>('news', { history: 10 });

async function* values<T>(...items: T[]): AsyncGenerator<T> {
  for (const item of items) yield await Promise.resolve(item);
}

@Controller('/values')
class Values {
  @Get('/undefined') nothing(): void {}
  @Get('/later-undefined') async laterNothing(): Promise<void> {}
  @Get('/string') text() {
    return 'grüße';
  }
  @Get('/empty') emptyText() {
    return '';
  }
  @Get('/bytes') bytes() {
    return new Uint8Array([0, 255, 13, 10]);
  }
  @Get('/buffer') buffer() {
    return Buffer.from([1, 2]);
  }
  @Get('/array-buffer') arrayBuffer() {
    return new Uint8Array([3, 4]).buffer;
  }
  @Get('/null') null() {
    return null;
  }
  @Get('/number') number() {
    return 42;
  }
  @Get('/false') false() {
    return false;
  }
  @Get('/object') object() {
    return { name: 'ü', at: new Date(0) };
  }
  @Get('/promise') promise() {
    return Promise.resolve([1, 2]);
  }
  @Get('/readable') readable() {
    return Readable.from([Buffer.from('a'), Buffer.from('b')]);
  }
  @Get('/response') response() {
    const headers = new Headers({ 'content-type': 'text/css', 'x-own': '1' });
    headers.append('set-cookie', 'a=1');
    headers.append('set-cookie', 'b=2');
    return new Response('p{}', { status: 201, headers });
  }
  @Get('/response/empty') emptyResponse() {
    return new Response(null, { status: 304, headers: { etag: '"1"' } });
  }
  @Get('/blob') blob() {
    return new Blob(['<p>'], { type: 'text/html' });
  }
  @Get('/channel') channel(@Channel(News) news: Channel<string>) {
    return news;
  }
  @Get('/event') event() {
    return event({ price: 1 }, { event: 'price', id: '1' });
  }
  @Get('/typed') typed(@Ctx() ctx: Context) {
    ctx.setHeader('content-type', 'text/csv');
    return 'a,b';
  }
  @Get('/sent') sent(@Ctx() ctx: Context) {
    ctx.status = 202;
    ctx.send({ by: 'hand' });
  }
  @Get('/function') function() {
    return () => 1;
  }
  @Get('/circular') circular() {
    const self: { self?: unknown } = {};
    self.self = self;
    return self;
  }

  @Get('/stream/bytes') streamBytes() {
    return values(Buffer.from([1]), Buffer.from([2]));
  }
  @Get('/stream/strings') streamStrings() {
    return values('a', 'ü');
  }
  @Get('/stream/objects') streamObjects() {
    return values<unknown>({ n: 1 }, [2], null, 3);
  }
  @Get('/stream/none') streamNone() {
    return values();
  }

  @Post('/created') @HttpCode(201) created() {
    return { id: 1 };
  }
  @Get('/accepted') @HttpCode(202) accepted(): void {}
  @Get('/overruled') @HttpCode(201) overruled(@Ctx() ctx: Context) {
    ctx.status = 203;
    return 'by hand';
  }
  @Get('/coded-failure') @HttpCode(201) codedFailure() {
    throw new HttpError(409, 'taken');
  }
}

describe('a value that an HTTP method returns', () => {
  const server = serve({ controllers: [Values], logger: false });

  async function get(
    path: string,
  ): Promise<{ status: number; type: string | null; body: Buffer; headers: Headers }> {
    const response = await server.fetch(`/values${path}`);
    const body = Buffer.from(await response.arrayBuffer());
    return {
      status: response.status,
      type: response.headers.get('content-type'),
      body,
      headers: response.headers,
    };
  }

  const JSON_TYPE = 'application/json; charset=utf-8';
  const TEXT = 'text/plain; charset=utf-8';
  const BYTES = 'application/octet-stream';

  const table: [path: string, status: number, type: string | null, body: string | number[]][] = [
    ['/undefined', 204, null, ''],
    ['/later-undefined', 204, null, ''],
    ['/string', 200, TEXT, 'grüße'],
    ['/empty', 200, TEXT, ''],
    ['/bytes', 200, BYTES, [0, 255, 13, 10]],
    ['/buffer', 200, BYTES, [1, 2]],
    ['/array-buffer', 200, BYTES, [3, 4]],
    ['/null', 200, JSON_TYPE, 'null'],
    ['/number', 200, JSON_TYPE, '42'],
    ['/false', 200, JSON_TYPE, 'false'],
    ['/object', 200, JSON_TYPE, '{"name":"ü","at":"1970-01-01T00:00:00.000Z"}'],
    ['/promise', 200, JSON_TYPE, '[1,2]'],
    ['/readable', 200, BYTES, 'ab'],
    ['/blob', 200, 'text/html', '<p>'],
    ['/event', 200, JSON_TYPE, '{"price":1}'],
    ['/typed', 200, 'text/csv', 'a,b'],
    ['/sent', 202, JSON_TYPE, '{"by":"hand"}'],
    ['/stream/bytes', 200, BYTES, [1, 2]],
    ['/stream/strings', 200, TEXT, 'aü'],
    ['/stream/objects', 200, 'application/x-ndjson', '{"n":1}\n[2]\nnull\n3\n'],
    ['/stream/none', 200, null, ''],
    ['/accepted', 202, null, ''],
    ['/overruled', 203, TEXT, 'by hand'],
  ];

  for (const [path, status, type, body] of table) {
    it(`answers ${path} by ${status}${type === null ? '' : ` as ${type}`}`, async () => {
      const answer = await get(path);

      expect(answer.status).to.equal(status);
      expect(answer.type).to.equal(type);
      if (typeof body === 'string') expect(answer.body.toString()).to.equal(body);
      else expect([...answer.body]).to.deep.equal(body);
    });
  }

  it('is framed by a length where the length is known', async () => {
    expect((await get('/string')).headers.get('content-length')).to.equal('7');
    expect((await get('/object')).headers.get('content-length')).to.equal('45');
    expect((await get('/stream/strings')).headers.get('transfer-encoding')).to.equal('chunked');
  });

  it('is, as a web Response, sent with its status, its fields and each of its cookies', async () => {
    const { status, type, body, headers } = await get('/response');

    expect({ status, type, body: body.toString(), own: headers.get('x-own') }).to.deep.equal({
      status: 201,
      type: 'text/css',
      body: 'p{}',
      own: '1',
    });
    expect(headers.getSetCookie()).to.deep.equal(['a=1', 'b=2']);
  });

  it('is, as a web Response without a body, sent without one', async () => {
    const { status, body, headers } = await get('/response/empty');

    expect([status, body.length, headers.get('etag')]).to.deep.equal([304, 0, '"1"']);
  });

  it('is, as a channel, answered by the history of that channel', async () => {
    const news = server.app.container.resolve(Channels).of(News, {});
    news.publish('one');
    news.publish('two');

    const { type, body } = await get('/channel');

    expect([type, JSON.parse(body.toString())]).to.deep.equal([JSON_TYPE, ['one', 'two']]);
  });

  it('takes its status from @HttpCode', async () => {
    const response = await server.fetch('/values/created', { method: 'POST' });

    expect([response.status, await response.json()]).to.deep.equal([201, { id: 1 }]);
  });

  it('does not reach the status of an error by @HttpCode', async () => {
    expect((await get('/coded-failure')).status).to.equal(409);
  });

  for (const path of ['/function', '/circular']) {
    it(`is refused by a 500 that tells nothing where it has no JSON form (${path})`, async () => {
      const { status, type, body } = await get(path);

      expect([status, type]).to.deep.equal([500, 'application/problem+json']);
      expect(JSON.parse(body.toString())).to.have.all.keys('title', 'status', 'code', 'requestId');
    });
  }
});

describe('a stream that an HTTP method returns', () => {
  const gate = { next: deferred() };
  const returned = { count: 0, done: deferred() };

  @Controller()
  class Streams {
    @Get('/paced') async *paced() {
      yield 'first';
      await gate.next.promise;
      yield 'second';
    }

    @Get('/endless') async *endless() {
      try {
        for (;;) {
          returned.count++;
          yield Buffer.alloc(65_536);
        }
      } finally {
        returned.done.resolve();
      }
    }

    @Get('/late-failure') async *lateFailure() {
      yield 'some';
      await gate.next.promise;
      throw new HttpError(409, 'too late to say');
    }

    @Get('/early-failure') earlyFailure() {
      return {
        [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new HttpError(409, 'in time')) }),
      };
    }

    @Get('/early-secret') earlySecret() {
      return { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new Error('the password')) }) };
    }
  }

  const server = serve({ controllers: [Streams], logger: false });

  beforeEach(() => {
    gate.next = deferred();
    returned.count = 0;
    returned.done = deferred();
  });

  it('is sent chunk by chunk as it comes', async () => {
    const response = await server.fetch('/paced');
    const chunks = response.body!.pipeThrough(new TextDecoderStream()).getReader();

    expect((await chunks.read()).value).to.equal('first');
    gate.next.resolve();
    expect((await chunks.read()).value).to.equal('second');
    expect((await chunks.read()).done).to.equal(true);
  });

  it('is read no faster than the client reads, and is told to stop when the client leaves', async () => {
    const leaving = new AbortController();
    const response = await server.fetch('/endless', { signal: leaving.signal });
    const reader = response.body!.getReader();
    await reader.read();
    // A source that nothing held back would go on for as long as it is asked.
    let before = -1;
    while (before !== returned.count) {
      before = returned.count;
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(returned.count).to.be.lessThan(2_000);

    leaving.abort();

    await returned.done.promise;
  });

  it('that fails before its first chunk is answered by the error', async () => {
    const refused = await server.fetch('/early-failure');
    expect([refused.status, ((await refused.json()) as { detail: string }).detail]).to.deep.equal([
      409,
      'in time',
    ]);

    const secret = await server.fetch('/early-secret');
    expect(secret.status).to.equal(500);
    expect(await secret.text()).not.to.contain('password');
  });

  it('that fails later is cut, so that no half passes for a whole', async () => {
    const response = await server.fetch('/late-failure');
    const reader = response.body!.getReader();
    await reader.read();
    gate.next.resolve();

    const failure = await reader.read().catch((error: unknown) => error);

    expect(response.status).to.equal(200);
    expect(failure).to.be.instanceOf(Error);
  });
});

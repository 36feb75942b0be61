import { once } from 'node:events';
import { finished } from 'node:stream/promises';
import { expect } from 'chai';
import { Body, Controller, Ctx, Get, HttpError, Post, Multipart, Signal, type Context } from 'coequal';
import { serve } from 'coequal/testing';
import { deferred, turns, until } from '../support/deferred.js';
import { RawClient } from '../support/raw-client.js';
import { recorder } from '../support/recorder.js';

@Controller('/body')
class Bodies {
  @Post('/any') any(@Body() body: unknown) {
    return { body: body ?? 'none' };
  }
  @Post('/text') text(@Body() body: string) {
    return { text: body };
  }
  @Post('/bytes') bytes(@Body() body: Buffer) {
    return [...body];
  }
  @Post('/files') async files(@Body() form: Multipart) {
    const parts: unknown[] = [];
    for await (const part of form) {
      if (!('stream' in part)) {
        parts.push(part);
        continue;
      }
      let size = 0;
      for await (const chunk of part.stream) size += (chunk as Buffer).length;
      parts.push({ name: part.name, filename: part.filename, mediaType: part.mediaType, size });
    }
    return parts;
  }
  @Post('/unread') unread() {
    return 'not read';
  }
}

describe('@Body() of an HTTP method', () => {
  const server = serve({ controllers: [Bodies], logger: false, limits: { body: 1_000 } });

  async function post(path: string, type: string | undefined, body: BodyInit): Promise<unknown> {
    const headers: Record<string, string> = type === undefined ? {} : { 'content-type': type };
    const response = await server.fetch(`/body${path}`, { method: 'POST', headers, body });
    return response.ok ? response.json() : response.status;
  }

  it('is the value of JSON, whatever the spelling of its type', async () => {
    for (const type of [
      'application/json',
      'Application/JSON; charset=UTF-8',
      'application/vnd.api+json',
      'application/json;\tcharset=utf-8',
    ]) {
      expect(await post('/any', type, '{"a":[1]}')).to.deep.equal({ body: { a: [1] } });
    }
  });

  it('is text where it is declared as a string, though it be JSON', async () => {
    expect(await post('/text', 'application/json', '{"a":1}')).to.deep.equal({ text: '{"a":1}' });
    expect(await post('/text', 'text/plain', 'grüße')).to.deep.equal({ text: 'grüße' });
  });

  it('is bytes where it is declared as a Buffer', async () => {
    expect(await post('/bytes', 'application/octet-stream', Buffer.from([0, 255, 10]))).to.deep.equal([
      0, 255, 10,
    ]);
  });

  it('is the fields of a form', async () => {
    expect(await post('/any', 'application/x-www-form-urlencoded', 'a=1&b=%C3%BC+x&a=2')).to.deep.equal({
      body: { a: ['1', '2'], b: 'ü x' },
    });
  });

  it('is a 415 where a form with files is declared and something else comes, or nothing', async () => {
    expect(await post('/files', 'application/json', '{}')).to.equal(415);
    expect(await post('/files', 'application/x-www-form-urlencoded', 'a=1')).to.equal(415);
    expect((await server.fetch('/body/files', { method: 'POST' })).status).to.equal(415);
  });

  it('is the parts of a form with files, each as a stream', async () => {
    const form = new FormData();
    form.append('title', 'hello');
    form.append('file', new Blob(['x'.repeat(500)], { type: 'text/plain' }), 'x.txt');

    const response = await server.fetch('/body/files', { method: 'POST', body: form });

    expect(await response.json()).to.deep.equal([
      { name: 'title', value: 'hello' },
      { name: 'file', filename: 'x.txt', mediaType: 'text/plain', size: 500 },
    ]);
  });

  it('is undefined where nothing was sent', async () => {
    expect(await (await server.fetch('/body/any', { method: 'POST' })).json()).to.deep.equal({
      body: 'none',
    });
  });

  it('of a sort that is not known is a 415', async () => {
    expect(await post('/any', 'application/x-strange', 'x')).to.equal(415);
    expect(await post('/any', 'nonsense', 'x')).to.equal(415);
    expect(await post('/any', undefined, Buffer.from('x'))).to.equal(415);
  });

  it('that is malformed is a 400', async () => {
    expect(await post('/any', 'application/json', '{"a":')).to.equal(400);
    expect(await post('/any', 'application/json', '{"__proto__":{"x":1}}')).to.equal(400);
  });

  it('over the limit is a 413 with or without a length', async () => {
    expect(await post('/text', 'text/plain', 'x'.repeat(1_001))).to.equal(413);
    const client = await RawClient.connect(await server.url());
    client.head(
      'POST /body/text HTTP/1.1',
      'Host: localhost',
      'Content-Type: text/plain',
      'Transfer-Encoding: chunked',
    );
    const answer = client.answer();
    client.write(`3e9\r\n${'x'.repeat(1_001)}\r\n`);

    expect((await answer).status).to.equal(413);
  });

  it('at the limit is taken', async () => {
    expect(await post('/text', 'text/plain', 'x'.repeat(1_000))).to.deep.equal({ text: 'x'.repeat(1_000) });
  });

  for (const [path, type, body] of [
    ['/text', 'text/plain', 'hello'],
    ['/any', 'application/json', '{"a":'],
    [
      '/files',
      'multipart/form-data; boundary=x',
      '--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n',
    ],
  ] as const) {
    it(`as ${type} that is never whole ends with its client, and nothing waits for it`, async () => {
      const client = await RawClient.connect(await server.url());
      client.head(
        `POST /body${path} HTTP/1.1`,
        'Host: localhost',
        `Content-Type: ${type}`,
        'Content-Length: 500',
      );
      client.write(body);
      await until(() => server.app.stats().inFlight.exchanges === 1);
      client.socket.end();
      await client.closed();
      await until(() => server.app.stats().inFlight.exchanges === 0);
      expect(client.received.toString()).to.equal('');
    });
  }

  it('that nobody reads does not hold up the next request of the connection', async () => {
    const client = await RawClient.connect(await server.url());
    client.head('POST /body/unread HTTP/1.1', 'Host: localhost', 'Content-Length: 5').write('hello');
    client.head('POST /body/unread HTTP/1.1', 'Host: localhost', 'Content-Length: 0', 'Connection: close');

    await client.closed();

    expect(client.received.toString().match(/HTTP\/1\.1 200 OK/g)).to.have.length(2);
  });
});

describe('an HTTP client that leaves', () => {
  const state = {
    arrived: deferred<Context>(),
    go: deferred(),
    deferred: 0,
    aborted: 0,
    returned: deferred(),
  };

  function note(ctx: Context): void {
    ctx.defer(() => void state.deferred++);
    ctx.signal.addEventListener('abort', () => void state.aborted++);
    state.arrived.resolve(ctx);
  }

  @Controller()
  class Slow {
    @Post('/reads') async reads(@Ctx() ctx: Context, @Body() body: string) {
      return `${ctx.path} ${body}`;
    }
    @Get('/waits') async waits(@Ctx() ctx: Context) {
      note(ctx);
      await state.go.promise;
      return 'nobody hears';
    }
    @Get('/fails') async fails(@Ctx() ctx: Context, @Signal() signal: AbortSignal) {
      note(ctx);
      await once(signal, 'abort');
      throw signal.reason;
    }
    @Get('/writes') async *writes(@Ctx() ctx: Context) {
      note(ctx);
      try {
        for (;;) yield await Promise.resolve(Buffer.alloc(65_536));
      } finally {
        state.returned.resolve();
      }
    }
  }

  const watch = (ctx: Context, next: () => Promise<void>): unknown => {
    if (ctx.path === '/reads') note(ctx);
    return next();
  };
  const log = recorder();
  const server = serve({ controllers: [Slow], middleware: [watch], logger: log });

  beforeEach(() => {
    state.arrived = deferred();
    state.go = deferred();
    state.returned = deferred();
    state.deferred = state.aborted = 0;
    log.lines.length = 0;
  });

  async function leave(how: (client: RawClient) => void, ...lines: string[]): Promise<void> {
    const client = await RawClient.connect(await server.url());
    client.head(...lines, 'Host: localhost');
    await state.arrived.promise;
    how(client);
    await until(() => state.aborted > 0);
  }

  async function isOver(): Promise<void> {
    state.go.resolve();
    await turns();
    expect([state.deferred, state.aborted]).to.deep.equal([1, 1]);
    expect(log.lines.filter(({ level }) => level === 'error')).to.deep.equal([]);
    expect((await server.fetch('/nowhere')).status).to.equal(404);
  }

  const ways: [name: string, how: (client: RawClient) => void][] = [
    ['resets', (client) => client.reset()],
    ['closes', (client) => client.socket.destroy()],
  ];
  for (const [name, how] of ways) {
    it(`while its body is read ends the exchange once (${name})`, async () => {
      await leave(how, 'POST /reads HTTP/1.1', 'Content-Type: text/plain', 'Content-Length: 100');
      await isOver();
    });

    it(`while its handler runs ends the exchange once (${name})`, async () => {
      await leave(how, 'GET /waits HTTP/1.1');
      await isOver();
    });

    it(`while a handler waits for the signal ends the exchange once (${name})`, async () => {
      await leave(how, 'GET /fails HTTP/1.1');
      await isOver();
    });

    it(`while its answer is written ends the exchange once, and the source (${name})`, async () => {
      await leave(how, 'GET /writes HTTP/1.1');
      await state.returned.promise;
      await isOver();
    });
  }
});

describe('an HTTP method that misbehaves', () => {
  const log = recorder();

  @Controller()
  class Bad {
    @Get('/throws-after-send') throwsAfterSend(@Ctx() ctx: Context) {
      ctx.send('decided');
      throw new Error('after all');
    }
    @Get('/throws-after-head') throwsAfterHead(@Ctx() ctx: Context) {
      ctx.response.writeHead(200, { 'content-length': '10' });
      ctx.response.write('half');
      throw new Error('after the head');
    }
    @Get('/throws-after-end') throwsAfterEnd(@Ctx() ctx: Context) {
      ctx.response.end('whole');
      throw new Error('after the end');
    }
    @Get('/sends-twice') sendsTwice(@Ctx() ctx: Context) {
      ctx.send('one');
      ctx.send('two');
    }
    @Get('/sends-and-returns') sendsAndReturns(@Ctx() ctx: Context) {
      ctx.send('one');
      return 'two';
    }
    @Get('/ends-and-returns') endsAndReturns(@Ctx() ctx: Context) {
      ctx.response.end('by hand');
      return 'ignored';
    }
    @Get('/throws-text') throwsText() {
      // oxlint-disable-next-line typescript/only-throw-error -- that it is no Error is what is tested
      throw 'a secret';
    }
    @Get('/rejects-undefined') rejects() {
      return Promise.reject(undefined as never);
    }
    @Get('/bad-header') badHeader(@Ctx() ctx: Context) {
      ctx.setHeader('x-bad', 'a\r\nset-cookie: b=1');
    }
    @Get('/bad-name') badName(@Ctx() ctx: Context) {
      ctx.setHeader('x bad', '1');
    }
    @Get('/bad-status') badStatus(@Ctx() ctx: Context) {
      ctx.status = 99;
    }
    @Get('/bad-error-header') badErrorHeader() {
      throw new HttpError(400, 'x', { headers: { 'x-bad': '\n' } });
    }
    @Get('/hangs') hangs() {
      return new Promise(() => undefined);
    }
  }

  const server = serve({ controllers: [Bad], logger: log, timeouts: { handler: 20 } });

  beforeEach(() => {
    log.lines.length = 0;
  });

  const errors = (): number => log.lines.filter(({ level }) => level === 'error').length;

  const table = [
    'throws-after-send',
    'sends-twice',
    'sends-and-returns',
    'throws-text',
    'rejects-undefined',
    'bad-header',
    'bad-name',
    'bad-status',
  ];
  for (const path of table) {
    it(`is answered by a bare 500, logged once (${path})`, async () => {
      const response = await server.fetch(`/${path}`);
      const document = (await response.json()) as Record<string, unknown>;

      expect(document).to.deep.equal({
        title: 'Internal Server Error',
        status: 500,
        code: 'INTERNAL_SERVER_ERROR',
        requestId: document['requestId'],
      });
      expect(response.headers.get('set-cookie')).to.equal(null);
      expect(errors()).to.equal(1);
      expect(log.lines[0]?.fields['requestId']).to.equal(document['requestId']);
    });
  }

  it('after the head is cut, logged once', async () => {
    const failure = await server
      .fetch('/throws-after-head')
      .then((response) => response.text())
      .catch((error: unknown) => error);

    expect(failure).to.be.instanceOf(Error);
    expect(errors()).to.equal(1);
  });

  it('after the end keeps the answer that was sent, and is logged once', async () => {
    const response = await server.fetch('/throws-after-end');

    expect([response.status, await response.text(), errors()]).to.deep.equal([200, 'whole', 1]);
  });

  it("may answer by Node's own response, and is not answered again", async () => {
    expect(await (await server.fetch('/ends-and-returns')).text()).to.equal('by hand');
  });

  it('that never settles is a 503 once its time is over', async () => {
    const response = await server.fetch('/hangs');

    expect([response.status, ((await response.json()) as { title: string }).title]).to.deep.equal([
      503,
      'Service Unavailable',
    ]);
    expect(errors()).to.equal(1);
  });

  it('with an error whose fields cannot be sent frees the connection', async () => {
    const failure = await server.fetch('/bad-error-header').catch((error: unknown) => error);

    expect(failure instanceof Response ? failure.status : failure).to.satisfy(
      (outcome: unknown) => outcome === 500 || outcome instanceof Error,
    );
    expect(errors()).to.be.greaterThan(0);
  });
});

describe('a request that the server will not take', () => {
  const begun = deferred();
  const go = deferred();

  @Controller()
  class Plain {
    @Get() get() {
      return 'here';
    }
    @Get('/slow') async slow() {
      begun.resolve();
      await go.promise;
      return 'done';
    }
  }

  const server = serve({ controllers: [Plain], logger: false, limits: { headers: 20, query: 10 } });
  const draining = serve({ controllers: [Plain], logger: false });

  it('has more fields than the limit: 431, and none is cut off in silence', async () => {
    const fields = Array.from({ length: 20 }, (_, index) => `X-${index}: 1`);
    const client = await RawClient.connect(await server.url());
    const answer = await client.head('GET / HTTP/1.1', 'Host: localhost', ...fields).answer();

    expect([answer.status, answer.headers['connection']]).to.deep.equal([431, 'close']);
    expect(answer.headers['content-type']).to.equal('application/problem+json');
  });

  it('has a head over its limit: 431', async () => {
    const client = await RawClient.connect(await server.url());
    const answer = await client
      .head('GET / HTTP/1.1', 'Host: localhost', `X: ${'x'.repeat(17_000)}`)
      .answer();

    expect(answer.status).to.equal(431);
  });

  for (const path of ['/%', '/%c0%ae', '/%00', '/a%5cb']) {
    it(`has a malformed path: 400 (${path})`, async () => {
      expect((await server.fetch(path)).status).to.equal(400);
    });
  }

  it('has a target of another authority: 400, and its own is taken', async () => {
    const ask = async (target: string): Promise<number> => {
      const client = await RawClient.connect(await server.url());
      return (await client.head(`GET ${target} HTTP/1.1`, 'Host: localhost', 'Connection: close').answer())
        .status;
    };

    expect(await ask('http://evil.example/')).to.equal(400);
    expect(await ask('http://localhost/')).to.equal(200);
    expect(await ask('http://localhost')).to.equal(200);
  });

  it('comes when the server goes down: 503, while those in flight are answered', async () => {
    const url = await draining.url();
    const kept = await RawClient.connect(url);
    kept.head('GET / HTTP/1.1', 'Host: localhost');
    await kept.until((bytes) => bytes.toString().endsWith('here'));
    const slow = draining.fetch('/slow');
    await begun.promise;
    // Its second request is half there, so the connection is not idle when the server begins to close.
    kept.write('GET / HTTP/1.1\r\nHost: local');
    await turns();

    const closed = draining.app.close();
    kept.write('host\r\n\r\n');
    await kept.until((bytes) => bytes.toString().includes('HTTP/1.1 503'));
    go.resolve();

    expect(await (await slow).text()).to.equal('done');
    await kept.closed();
    await closed;
  });

  it('is not the one behind it: pipelined requests are answered in order', async () => {
    const client = await RawClient.connect(await server.url());
    client.write(
      'GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n',
    );
    await client.closed();
    expect(client.received.toString().match(/HTTP\/1\.1 \d+/g)).to.deep.equal([
      'HTTP/1.1 404',
      'HTTP/1.1 200',
    ]);
  });
});

describe('timeouts.handler', () => {
  const over = deferred();
  @Controller()
  class Slow {
    @Get('/under-way') async underWay(@Ctx() { response }: Context) {
      response.write('a');
      await over.promise;
      response.end('b');
    }
    @Get('/never') never() {
      return new Promise(() => undefined);
    }
    @Get('/ended') ended(@Ctx() { response }: Context) {
      response.end('ended by hand');
      return new Promise(() => undefined);
    }
  }
  const failed: string[] = [];
  const server = serve({
    controllers: [Slow],
    logger: false,
    timeouts: { handler: 50 },
    onError: (_, { path }) => void failed.push(path),
  });

  it('reports no error for a method that works on after its response has ended', async () => {
    expect(await (await server.fetch('/ended')).text()).to.equal('ended by hand');
    // Begun later, and over by the limit: the first has outlived it.
    expect((await server.fetch('/never')).status).to.equal(503);
    expect((await server.fetch('/never')).status).to.equal(503);
    expect(failed).to.deep.equal(['/never', '/never']);
  });

  it('does not cut an answer that is under way', async () => {
    const answer = await server.fetch('/under-way');
    // Begun later, and over by the limit: the first has outlived it.
    expect((await server.fetch('/never')).status).to.equal(503);
    expect((await server.fetch('/never')).status).to.equal(503);
    over.resolve();
    expect(await answer.text()).to.equal('ab');
  });
});

describe('a request that is resumed', () => {
  @Controller()
  class Drop {
    @Post('/drop') async drop(@Ctx() ctx: Context) {
      await finished(ctx.request.resume());
      return 'drained';
    }
  }
  const server = serve({ controllers: [Drop], logger: false });

  it('tells its end to who listens afterwards', async () => {
    const answer = await server.fetch('/drop', { method: 'POST', body: 'x'.repeat(200_000) });
    expect(await answer.text()).to.equal('drained');
  });
});

describe('Expect: 100-continue', () => {
  const server = serve({ controllers: [Bodies], logger: false, limits: { body: 10 } });
  const ask = (path: string, length: number): string =>
    `POST ${path} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: ${length}\r\n\r\n`;

  for (const [path, length, status] of [
    ['/body/none', 5, 404],
    ['/body/bytes', 11, 413],
  ] as const) {
    it(`is answered by the final status where the body is refused (${status})`, async () => {
      const client = await RawClient.connect(await server.url());
      client.write(ask(path, length));
      await client.closed();
      expect(client.received.toString().match(/HTTP\/1\.1 \d+/g)).to.deep.equal([`HTTP/1.1 ${status}`]);
    });
  }
});

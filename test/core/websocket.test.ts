import { decode, encode } from '@msgpack/msgpack';
import { expect } from 'chai';
import {
  Body,
  Channel,
  Channels,
  Controller,
  Ctx,
  defineChannel,
  event,
  HttpError,
  Param,
  Socket,
  UseMiddleware,
  WebSocket,
  type Codec,
  type Context,
  type Next,
} from 'coequal';
import { serve, type TestSocket } from 'coequal/testing';
import { deferred, turns, until, type Deferred } from '../support/deferred.js';
import { HANDSHAKE, maskedFrame, RawClient } from '../support/raw-client.js';
import { recorder } from '../support/recorder.js';

const News = defineChannel<string>('socket-news');

/** MessagePack in the place of JSON. */
const messagePack: Codec = {
  encode: (value) => encode(value),
  decode: (data) => decode(typeof data === 'string' ? Buffer.from(data) : data),
};

const state = {
  gates: new Map<string, Deferred<void>>(),
  log: [] as string[],
  opened: deferred<Socket<string, unknown>>(),
  gate: deferred(),
  returned: deferred(),
};

@Controller()
class Forms {
  @WebSocket('/echo') echo(@Body() text: string) {
    return text;
  }
  @WebSocket('/loop') async loop(@Socket() socket: Socket<{ n: number }>) {
    for await (const { n } of socket) socket.send({ twice: n * 2 });
    state.log.push('the loop has ended');
    state.returned.resolve();
  }
  @WebSocket('/once') once(@Socket(String) socket: Socket<string, unknown>): void {
    state.opened.resolve(socket);
  }
  @WebSocket('/generator') async *generator(@Ctx() ctx: Context) {
    yield ctx.kind;
    yield await Promise.resolve({ n: 1 });
    yield event('bare', { event: 'named', id: '1' });
  }
  @WebSocket('/waiting') waiting(): AsyncIterable<string> {
    return {
      [Symbol.asyncIterator]: () => ({
        next: () => {
          state.gate.resolve();
          return new Promise(() => undefined);
        },
        return: () => {
          state.returned.resolve();
          return Promise.resolve({ done: true, value: undefined });
        },
      }),
    };
  }
  @WebSocket('/channel') channel(@Channel(News) news: Channel<string>) {
    return news;
  }
  @WebSocket('/value') value() {
    return { hello: 'there' };
  }
  @WebSocket('/nothing') nothing(): void {}
  @WebSocket('/break') async break(@Socket(String) socket: Socket<string>) {
    for await (const text of socket) {
      if (text === 'enough') break;
      socket.send(text);
    }
  }
  @WebSocket('/silent') silent(@Body() text: string): void {
    state.log.push(text);
  }

  @WebSocket('/ordered') async ordered(@Body() text: string) {
    state.log.push(`begin ${text}`);
    await state.gates.get(text)?.promise;
    state.log.push(`end ${text}`);
    return text;
  }
}

describe('a socket', () => {
  const server = serve({ controllers: [Forms], logger: false });

  beforeEach(() => {
    state.gates.clear();
    state.log.length = 0;
    state.opened = deferred();
    state.gate = deferred();
    state.returned = deferred();
  });

  it('whose method takes @Body() runs it for each message, and replies what it returns', async () => {
    const socket = await server.socket('/echo');
    socket.send('one');
    socket.send('zwei ü');

    expect([await socket.next(), await socket.next()]).to.deep.equal(['one', 'zwei ü']);
  });

  it('is not answered where the method returns nothing', async () => {
    const silent = await server.socket('/silent');
    silent.send('heard');
    await until(() => state.log.includes('heard'));
    silent.close();

    const failure = await silent.next().catch((error: unknown) => String(error));
    expect(failure).to.contain('no further message');
  });

  it('whose method takes @Socket() runs it once, as a loop over the messages that ends with the socket', async () => {
    const socket = await server.socket('/loop');
    socket.send({ n: 1 });
    socket.send({ n: 2 });
    expect([await socket.json(), await socket.json()]).to.deep.equal([{ twice: 2 }, { twice: 4 }]);

    socket.close();

    await state.returned.promise;
    expect(await socket.closed()).to.include({ code: 1000 });
  });

  it('stays open when a method that runs once has returned', async () => {
    const client = await server.socket('/once');
    const socket = await state.opened.promise;
    await turns();

    socket.send('still here');
    expect(await client.next()).to.equal('still here');
    socket.close(4_001, 'done');
    expect(await client.closed()).to.deep.equal({ code: 4_001, reason: 'done' });
    await until(() => socket.closed !== undefined);
    expect(socket.closed).to.deep.equal({ code: 4_001, reason: 'done' });
  });

  it('is given what an async generator yields, and closes with it', async () => {
    const socket = await server.socket('/generator');

    expect([await socket.next(), await socket.next(), await socket.next()]).to.deep.equal([
      'websocket',
      '{"n":1}',
      'bare',
    ]);
    expect(await socket.closed()).to.include({ code: 1000 });
  });

  it('tells a source that waits when its client leaves', async () => {
    const socket = await server.socket('/waiting');
    await state.gate.promise;

    socket.raw.terminate();

    await state.returned.promise;
  });

  it('reads the channel that its method returns', async () => {
    const socket = await server.socket('/channel');
    const news = server.app.container.resolve(Channels).of(News, {});
    news.publish('first');
    news.publish('second');

    expect([await socket.next(), await socket.next()]).to.deep.equal(['first', 'second']);
    socket.close();
    await until(() => news.size === 0);
  });

  it('is sent a plain value as its first message, and stays open', async () => {
    const socket = await server.socket('/value');

    expect(await socket.json()).to.deep.equal({ hello: 'there' });
    await turns();
    expect(socket.raw.readyState).to.equal(socket.raw.OPEN);
  });

  it('drops messages that nobody takes, and still sees the close', async () => {
    const socket = await server.socket('/nothing');
    for (let i = 0; i < 100; i++) socket.send('x'.repeat(2_000));
    socket.close(4_002, 'bye');

    expect(await socket.closed()).to.deep.equal({ code: 4_002, reason: 'bye' });
  });

  it('is closed by leaving the loop over its messages', async () => {
    const socket = await server.socket('/break');
    socket.send('go on');
    socket.send('enough');
    socket.send('too late');

    expect(await socket.next()).to.equal('go on');
    expect(await socket.closed()).to.include({ code: 1000 });
  });

  it('handles one message at a time and in order, however long each takes', async () => {
    const names = ['a', 'b', 'c', 'd'];
    for (const name of names) state.gates.set(name, deferred());
    const socket = await server.socket('/ordered');
    for (const name of names) socket.send(name);
    await until(() => state.log.length > 0);

    // The gates open from the last to the first: a handler that overtook would be seen.
    for (const name of names.toReversed()) {
      await turns();
      expect(state.log).to.deep.equal(['begin a']);
      state.gates.get(name)?.resolve();
    }

    for (const name of names) expect(await socket.next()).to.equal(name);
    expect(state.log).to.deep.equal(names.flatMap((name) => [`begin ${name}`, `end ${name}`]));
  });

  describe('close()', () => {
    const bad: unknown[] = [999, 1004, 1005, 1006, 1015, 2_999, 5_000, 1.5, NaN, '1000'];
    for (const code of bad) {
      it(`refuses the code ${JSON.stringify(code)} to its caller`, async () => {
        await server.socket('/once');
        const socket = await state.opened.promise;

        expect(() => socket.close(code as number)).to.throw(TypeError);
        expect(socket.closed).to.equal(undefined);
      });
    }

    it('refuses a reason of more than 123 bytes, and takes one of 123', async () => {
      const client = await server.socket('/once');
      const socket = await state.opened.promise;

      expect(() => socket.close(1000, 'ü'.repeat(62))).to.throw(TypeError);
      socket.close(1000, 'x'.repeat(123));
      expect((await client.closed()).reason).to.have.length(123);
    });

    it('may be called again, and nothing is sent after it', async () => {
      const client = await server.socket('/once');
      const socket = await state.opened.promise;

      socket.send('before');
      socket.close();
      socket.close(4_000);
      expect(socket.send('after')).to.equal(false);

      expect(await client.next()).to.equal('before');
      expect(await client.closed()).to.include({ code: 1000 });
    });
  });

  it('answers what comes in one chunk with the close, before it closes', async () => {
    const client = await RawClient.connect(await server.url());
    client.head('GET /echo HTTP/1.1', ...HANDSHAKE);
    await client.opening();
    client.write(Buffer.concat([maskedFrame(1, 'hello'), maskedFrame(8, '')]));
    await client.closed();
    expect(client.received.toString('latin1').split('\r\n\r\n')[1]).to.equal('\x81\x05hello\x88\x00');
  });

  // From Node 22 on.
  const { WebSocket: Native } = globalThis as { WebSocket?: typeof globalThis.WebSocket };
  if (Native !== undefined) {
    it("speaks with Node's own WebSocket", async () => {
      const socket = new Native(`${(await server.url()).replace('http', 'ws')}/echo`);
      const answer = deferred<unknown>();
      const closed = deferred<number>();
      socket.onopen = () => socket.send('from a browser');
      socket.onmessage = ({ data }) => answer.resolve(data);
      socket.onclose = ({ code }) => closed.resolve(code);

      expect(await answer.promise).to.equal('from a browser');
      socket.close(1000);
      expect(await closed.promise).to.equal(1000);
    });
  }
});

describe('frames that come before the socket is open', () => {
  const entered = { promise: deferred() };
  const go = { promise: deferred() };

  @Controller()
  class Early {
    @WebSocket('/echo') echo(@Body() text: string) {
      return text;
    }
    @WebSocket('/slow-loop') async slow(@Socket(String) socket: Socket<string>) {
      entered.promise.resolve();
      await go.promise.promise;
      for await (const text of socket) socket.send(text);
    }
  }

  const server = serve({
    controllers: [Early],
    logger: false,
    middleware: [
      async (ctx, next) => {
        if (ctx.query['guard'] !== undefined) {
          entered.promise.resolve();
          await go.promise.promise;
        }
        await next();
      },
    ],
  });

  beforeEach(() => {
    entered.promise = deferred();
    go.promise = deferred();
  });

  /** Unmasked text frames of one digit, in order. */
  const DIGITS = '0123456789'
    .split('')
    .map((digit) => `\x81\x01${digit}`)
    .join('');
  const frames = (from: number, to: number): Buffer =>
    Buffer.concat(
      '0123456789'
        .slice(from, to)
        .split('')
        .map((digit) => maskedFrame(1, digit)),
    );

  for (const path of ['/echo?guard', '/slow-loop']) {
    it(`are kept in order, together with the handshake and after it (${path})`, async () => {
      const client = await RawClient.connect(await server.url());
      const head = [`GET ${path} HTTP/1.1`, ...HANDSHAKE, '', ''].join('\r\n');

      client.write(Buffer.concat([Buffer.from(head), frames(0, 3)]));
      await entered.promise.promise;
      client.write(frames(3, 6));
      await turns();
      go.promise.resolve();
      client.write(frames(6, 10));

      const received = await client.until((bytes) => bytes.includes('\x81\x019', 0, 'latin1'));
      expect(received.toString('latin1')).to.match(/^HTTP\/1\.1 101 /);
      expect(received.toString('latin1').split('\r\n\r\n')[1]).to.equal(DIGITS);
      client.reset();
    });
  }
});

describe('the messages of a socket', () => {
  const log = recorder();
  const mapped: unknown[] = [];

  @Controller()
  class Messages {
    @WebSocket('/json') json(@Body() body: unknown) {
      return { got: body };
    }
    @WebSocket('/text') text(@Body() body: string) {
      return `got ${body}`;
    }
    @WebSocket('/bytes') bytes(@Body() body: Buffer) {
      return Buffer.concat([Buffer.from([0]), body]);
    }
    @WebSocket('/array') array(@Body() body: Uint8Array) {
      return body.length;
    }
    @WebSocket('/number') number(@Body() body: number) {
      return body + 1;
    }
    @WebSocket('/packed', { codec: messagePack }) packed(@Body() body: unknown) {
      return { got: body };
    }
    @WebSocket('/packed-loop', { codec: messagePack }) async packedLoop(
      @Socket() socket: Socket<{ n: number }>,
    ) {
      for await (const { n } of socket) socket.send({ n: n + 1 });
    }
    @WebSocket('/json-loop') async jsonLoop(@Socket() socket: Socket) {
      for await (const value of socket) socket.send({ got: value });
    }
    @WebSocket('/fails') fails(@Body() body: string) {
      if (body === 'http') throw new HttpError(409, 'taken', { extensions: { by: 'me' } });
      if (body === 'secret') throw new Error('the password');
      if (body === 'function') return () => undefined;
      if (body === 'later') return Promise.reject(new HttpError(410));
      return body;
    }
    @WebSocket('/mapped', {
      onError: (error) => {
        mapped.push(error);
        return new HttpError(422, 'mapped');
      },
    })
    mapped(@Body() body: string) {
      throw new Error(body);
    }
  }

  const server = serve({ controllers: [Messages], logger: log, limits: { message: 1_000 } });

  beforeEach(() => {
    log.lines.length = 0;
    mapped.length = 0;
  });

  async function stillAnswers(socket: TestSocket, message: string, answer: unknown): Promise<void> {
    socket.send(message);
    expect(await socket.next()).to.deep.equal(answer);
  }

  it('are JSON unless something else is declared', async () => {
    const socket = await server.socket('/json');
    for (const value of [{ a: [1] }, null, 1, 'text', []]) {
      socket.raw.send(JSON.stringify(value));
      expect(await socket.json()).to.deep.equal({ got: value });
    }
  });

  it('are text for a string, though it be JSON', async () => {
    const socket = await server.socket('/text');
    socket.send('{"a":1}');
    expect(await socket.next()).to.equal('got {"a":1}');
  });

  it('are bytes for a Buffer or a Uint8Array, text as well as binary', async () => {
    const socket = await server.socket('/bytes');
    socket.send(Buffer.from([255, 254]));
    expect(await socket.next()).to.deep.equal(Buffer.from([0, 255, 254]));
    socket.send('a');
    expect(await socket.next()).to.deep.equal(Buffer.from([0, 97]));

    const array = await server.socket('/array');
    array.send(Buffer.alloc(7));
    expect(await array.next()).to.equal('7');
  });

  it('are what a codec makes of them', async () => {
    const socket = await server.socket('/packed');
    socket.send(encode({ a: [1, 'two'] }));
    expect(decode((await socket.next()) as Buffer)).to.deep.equal({ got: { a: [1, 'two'] } });

    const loop = await server.socket('/packed-loop');
    loop.send(encode({ n: 1 }));
    expect(decode((await loop.next()) as Buffer)).to.deep.equal({ n: 2 });
  });

  it('that a codec cannot read are answered by an error in that codec', async () => {
    const socket = await server.socket('/packed');
    socket.send(Buffer.from([0xc1]));

    expect(decode((await socket.next()) as Buffer)).to.have.nested.property('error.status', 400);
    socket.send(encode(1));
    expect(decode((await socket.next()) as Buffer)).to.deep.equal({ got: 1 });
  });

  it('that are malformed JSON are answered by an error, and the socket stays open', async () => {
    for (const path of ['/json', '/json-loop']) {
      const socket = await server.socket(path);
      for (const text of ['{', '', '{"__proto__":{}}', 'undefined']) {
        socket.send(text);
        expect(await socket.json(), text).to.have.nested.property('error.status', 400);
      }
      await stillAnswers(socket, '1', '{"got":1}');
    }
  });

  it('that are not what is declared are answered by an error that names them', async () => {
    const socket = await server.socket('/number');
    socket.send('"x"');

    const { error } = await socket.json<{ error: Record<string, unknown> }>();
    expect(error).to.include({ status: 400, detail: 'The body is not a number' });
    await stillAnswers(socket, '1', '2');
  });

  it('that are binary close a socket that takes text', async () => {
    for (const path of ['/json', '/text']) {
      const socket = await server.socket(path);
      socket.send(Buffer.from('{}'));
      expect((await socket.closed()).code).to.equal(1003);
    }
  });

  it('over the limit close the socket', async () => {
    const socket = await server.socket('/text');
    await stillAnswers(socket, 'x'.repeat(1_000), `got ${'x'.repeat(1_000)}`);
    socket.send('x'.repeat(1_001));
    expect((await socket.closed()).code).to.equal(1009);
  });

  it('that are not UTF-8 close the socket', async () => {
    const client = await RawClient.connect(await server.url());
    client.head('GET /text HTTP/1.1', ...HANDSHAKE).write(maskedFrame(1, Buffer.from([0xc0, 0xaf])));

    // A close frame of two bytes: 1007.
    await client.until((bytes) => bytes.includes(Buffer.from([0x88, 2, 0x03, 0xef])));
    client.reset();
  });

  it('that fail are answered by the problem, and the socket stays open', async () => {
    const socket = await server.socket('/fails');
    socket.send('http');
    expect((await socket.json<{ error: object }>()).error).to.include({
      status: 409,
      title: 'Conflict',
      detail: 'taken',
      by: 'me',
    });
    socket.send('later');
    expect((await socket.json<{ error: object }>()).error).to.include({ status: 410 });
    await stillAnswers(socket, 'fine', 'fine');
  });

  it('that fail unexpectedly are answered by a bare 500, and logged', async () => {
    const socket = await server.socket('/fails');
    for (const text of ['secret', 'function']) {
      log.lines.length = 0;
      socket.send(text);
      const { error } = await socket.json<{ error: Record<string, unknown> }>();

      expect(error).to.have.all.keys('title', 'status', 'code', 'requestId');
      expect(log.lines.filter(({ level }) => level === 'error')).to.have.length(1);
      expect(log.lines[0]?.fields['requestId']).to.equal(error['requestId']);
    }
    await stillAnswers(socket, 'fine', 'fine');
  });

  it("that fail are seen by the route's onError, which may answer otherwise", async () => {
    const socket = await server.socket('/mapped');
    socket.send('what happened');

    expect((await socket.json<{ error: object }>()).error).to.include({ status: 422, detail: 'mapped' });
    expect(String(mapped[0])).to.contain('what happened');
  });
});

describe('a socket method that throws', () => {
  const log = recorder();

  @Controller()
  class Throwing {
    @WebSocket('/sync/:status') sync(@Param('status') status: number) {
      throw new HttpError(status, 'the detail');
    }
    @WebSocket('/async/:status') async async(@Socket() _socket: Socket, @Param('status') status: number) {
      await Promise.resolve();
      throw new HttpError(status, 'the detail');
    }
    @WebSocket('/generator/:status') async *generator(@Param('status') status: number) {
      yield 'one';
      throw new HttpError(status, 'the detail');
    }
    @WebSocket('/loop/:status') async loop(@Socket() socket: Socket, @Param('status') status: number) {
      for await (const _message of socket) throw new HttpError(status, 'the detail');
    }
    @WebSocket('/unexpected-in-loop') async inLoop(@Socket() socket: Socket) {
      for await (const _message of socket) throw new Error('the password');
    }
    @WebSocket('/unexpected') unexpected() {
      throw new Error('the password');
    }
    @WebSocket('/long') long() {
      throw new HttpError(400, 'ü'.repeat(100));
    }
    @WebSocket('/mapped', { onError: () => new HttpError(403, 'no') }) mapped() {
      throw new Error('inner');
    }
  }

  const server = serve({ controllers: [Throwing], logger: log });

  const codes: [status: number, code: number][] = [
    [401, 3000],
    [403, 3003],
    [408, 3008],
    [503, 1013],
    [404, 4404],
    [418, 4418],
    [500, 4500],
  ];
  for (const [status, code] of codes) {
    it(`closes with ${code} for ${status}, and says the detail`, async () => {
      for (const path of ['sync', 'async', 'generator', 'loop']) {
        const socket = await server.socket(`/${path}/${status}`);
        socket.send({});
        expect(await socket.closed()).to.deep.equal({ code, reason: 'the detail' });
      }
    });
  }

  it('closes with 1011 for what is unexpected, without saying what', async () => {
    for (const path of ['/unexpected', '/unexpected-in-loop']) {
      log.lines.length = 0;
      const socket = await server.socket(path);
      socket.send({});

      expect(await socket.closed()).to.deep.equal({ code: 1011, reason: '' });
      expect(log.lines.filter(({ level }) => level === 'error')).to.have.length(1);
    }
  });

  it('says no more of the detail than a close frame holds', async () => {
    const socket = await server.socket('/long');

    expect(await socket.closed()).to.deep.equal({ code: 4400, reason: 'ü'.repeat(61) });
  });

  it("closes as the route's onError says", async () => {
    expect(await (await server.socket('/mapped')).closed()).to.deep.equal({ code: 3003, reason: 'no' });
  });
});

describe('a socket whose opening fails', () => {
  it('is closed alone: its method is not run, and no other socket notices', async () => {
    const run: string[] = [];
    @Controller()
    class Openings {
      @WebSocket('/bad')
      @UseMiddleware((ctx: Context, next: Next) => {
        ctx.send(() => 'a function cannot be sent');
        return next();
      })
      bad() {
        run.push('bad');
      }
      @WebSocket('/destroying')
      destroying(@Ctx() ctx: Context) {
        ctx.response.destroy();
        ctx.response.end('late');
      }
      @WebSocket('/good')
      good(@Ctx() ctx: Context) {
        ctx.defer(() => run.push('over'));
        return { aborted: ctx.signal.aborted, ended: ctx.response.writableEnded };
      }
    }
    const server = serve({ controllers: [Openings], logger: false });
    const first = await server.socket('/good');
    expect(await (await server.socket('/bad')).closed()).to.deep.equal({ code: 1011, reason: '' });
    await server.socket('/destroying');
    const second = await server.socket('/good');
    for (const socket of [first, second]) {
      expect(await socket.json()).to.deep.equal({ aborted: false, ended: false });
    }
    expect(run).to.deep.equal([]);
    await server.close();
    expect(run).to.deep.equal(['over', 'over']);
  });
});

import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import {
  Body,
  Controller,
  Ctx,
  Get,
  HttpError,
  Post,
  Socket,
  Sse,
  User,
  UseMiddleware,
  WebSocket,
  type Context,
  type Next,
} from 'coequal';
import { Refused, serve } from 'coequal/testing';
import { inject, singleton } from 'tsyringe';

@singleton()
class Clock {
  now() {
    return 'now';
  }
}

const signedIn = (ctx: Context, next: Next): unknown => {
  ctx.setHeader('x-guard', 'passed').setCookie('seen', '1');
  if (ctx.user === undefined)
    throw new HttpError(401, 'Sign in', { headers: { 'www-authenticate': 'Form' } });
  return next();
};

@Controller()
class Doors {
  constructor(
    private readonly clock: Clock,
    @inject('greeting') private readonly greeting: string,
  ) {}

  @Get('/time')
  time() {
    return `${this.greeting} ${this.clock.now()}`;
  }
  @Post('/echo')
  echo(@Ctx() ctx: Context, @Body() body: unknown) {
    return { type: ctx.headers['content-type'], method: ctx.method, body };
  }
  @Get('/away')
  away(@Ctx() ctx: Context) {
    ctx.status = 303;
    ctx.setHeader('location', '/time');
  }
  @UseMiddleware(signedIn)
  @Get('/me')
  @Sse('/me')
  @WebSocket('/me')
  me(@User() user: unknown, @Ctx() ctx: Context) {
    ctx.send({ user });
  }
  @Sse('/events')
  async *events() {
    yield 'one';
    yield { two: 2 };
  }
  @Sse('/silent')
  silent() {}
  @WebSocket('/socket', { protocols: ['chat'] })
  socket(@Body() body: unknown, @Ctx() ctx: Context) {
    if (body === 'close') return (ctx.connection as Socket).close(4001, 'as you wish');
    return { body };
  }
  @WebSocket('/bytes')
  bytes(@Body() bytes: Buffer) {
    return bytes.reverse();
  }
}

const ann = { id: '1', name: 'Ann' };
const bob = { id: '2', name: 'Bob' };
const failure = async (work: Promise<unknown>): Promise<Error> => {
  const outcome: unknown = await work.then(
    () => new Error('nothing failed'),
    (error: unknown) => error,
  );
  expect(outcome).to.be.instanceOf(Error);
  return outcome as Error;
};

describe('a test server', () => {
  const make = () => serve({ controllers: [Doors], logger: false }).override('greeting', 'it is');
  const server = make();

  describe('fetches', () => {
    it('by GET, and by POST where there is a body', async () => {
      expect(await (await server.fetch('/time')).text()).to.equal('it is now');
      const json = await (await server.fetch('/echo', { json: { a: 1 } })).json();
      expect(json).to.deep.equal({ type: 'application/json', method: 'POST', body: { a: 1 } });
      const text = await (await server.fetch('/echo', { body: 'a' })).json();
      expect(text).to.deep.include({ method: 'POST', body: 'a' });
    });

    it('with the fields of the test, and null as JSON', async () => {
      const headers = { 'content-type': 'application/vnd.own+json' };
      const answer = await (await server.fetch('/echo', { json: null, headers })).json();
      expect(answer).to.deep.equal({ type: 'application/vnd.own+json', method: 'POST', body: null });
    });

    it('without following redirects', async () => {
      const response = await server.fetch('/away');
      expect([response.status, response.headers.get('location')]).to.deep.equal([303, '/time']);
    });

    it('from the address that it tells', async () => {
      expect(await server.url()).to.match(/^http:\/\/localhost:\d+$/);
      expect(await (await fetch(`${await server.url()}/time`)).text()).to.equal('it is now');
    });
  });

  describe('signs in', () => {
    it('by as(user), in every kind, and each view for itself', async () => {
      const asAnn = server.as(ann);
      const asBob = asAnn.as(bob);
      expect(await (await asAnn.fetch('/me')).json()).to.deep.equal({ user: ann });
      expect(await (await asBob.fetch('/me')).json()).to.deep.equal({ user: bob });
      expect(await (await asAnn.sse('/me')).json()).to.deep.equal({ user: ann });
      expect(await (await asAnn.socket('/me')).json()).to.deep.equal({ user: ann });
      expect((await server.fetch('/me')).status).to.equal(401);
    });

    it('nobody who guesses the field', async () => {
      const headers = { 'x-coequal-test-user': JSON.stringify(ann) };
      expect((await server.fetch('/me', { headers })).status).to.equal(401);
    });
  });

  describe('tells what was refused', () => {
    for (const [kind, open] of [
      ['stream', () => server.sse('/me')],
      ['socket', () => server.socket('/me')],
    ] as const) {
      it(`instead of a ${kind}: status, header fields, problem`, async () => {
        const error = (await failure(open())) as Refused;
        expect(error).to.be.instanceOf(Refused);
        expect(error.name).to.equal('Refused');
        expect(error.message).to.match(new RegExp(`^the ${kind} /me was refused with 401: \\{.*Sign in`));
        expect(error.status).to.equal(401);
        expect(error.headers.get('www-authenticate')).to.equal('Form');
        expect(error.headers.get('x-guard')).to.equal('passed');
        expect(error.headers.getSetCookie()).to.have.lengthOf(1);
        expect(error.problem).to.deep.include({ status: 401, detail: 'Sign in' });
      });
    }

    it('where there is no such path, and no stream on it', async () => {
      expect(((await failure(server.socket('/nowhere'))) as Refused).status).to.equal(404);
      expect(((await failure(server.sse('/nowhere'))) as Refused).status).to.equal(404);
      const error = (await failure(server.sse('/time'))) as Refused;
      expect([error.status, error.body]).to.deep.equal([200, 'it is now']);
      expect(() => error.problem).to.throw(SyntaxError);
    });
  });

  describe('opens a stream', () => {
    it('whose events come one by one, or in a loop', async () => {
      const stream = await server.sse('/events');
      expect(stream.response.status).to.equal(200);
      expect(await stream.next()).to.deep.equal({ event: 'message', data: 'one', id: undefined });
      expect(await stream.json()).to.deep.equal({ two: 2 });
      await stream.closed();
      const all: string[] = [];
      for await (const { event } of await server.sse('/events')) all.push(event);
      // A stream that ends normally says so last.
      expect(all).to.deep.equal(['message', 'message', 'end']);
    });

    it('whose waits end with an error that says what did arrive', async () => {
      const silent = await server.sse('/silent');
      expect((await failure(silent.next({ timeout: 10 }))).message).to.equal(
        'no event within 10 ms; nothing has arrived',
      );
      expect((await failure(silent.comment({ timeout: 10 }))).message).to.contain('no comment within 10 ms');
      const stream = await server.sse('/events');
      for (let i = 0; i < 3; i++) await stream.next();
      expect((await failure(stream.next())).message).to.match(
        /^no further event: the stream has ended; 3 arrived, the last: \{"event":"message","data":"one"\} \| .* \| \{"event":"end",/,
      );
    });
  });

  describe('opens a socket', () => {
    it('that sends text, bytes and JSON, and reads them', async () => {
      const socket = await server.socket('/socket', { protocols: ['other', 'chat'] });
      expect([socket.protocol, socket.headers.get('upgrade')]).to.deep.equal(['chat', 'websocket']);
      socket.send({ a: 1 });
      expect(await socket.json()).to.deep.equal({ body: { a: 1 } });
      socket.send('"text"');
      expect(await socket.next()).to.equal('{"body":"text"}');
      const bytes = await server.socket('/bytes');
      bytes.send(Buffer.from([1, 2, 3]));
      expect(await bytes.next()).to.deep.equal(Buffer.from([3, 2, 1]));
    });

    it('whose messages come in a loop that ends with it', async () => {
      const socket = await server.socket('/socket');
      for (const body of ['1', '2', '"close"']) socket.send(body);
      const all: string[] = [];
      for await (const message of socket) all.push(message.toString());
      expect(all).to.deep.equal(['{"body":1}', '{"body":2}']);
      expect(await socket.closed()).to.deep.equal({ code: 4001, reason: 'as you wish' });
    });

    it('whose waits end with an error that says what did arrive', async () => {
      const socket = await server.socket('/socket');
      expect((await failure(socket.next({ timeout: 10 }))).message).to.equal(
        'no message within 10 ms; nothing has arrived',
      );
      expect((await failure(socket.closed({ timeout: 10 }))).message).to.contain('within 10 ms');
      socket.send('1');
      await socket.next();
      expect((await failure(socket.next({ timeout: 10 }))).message).to.equal(
        'no message within 10 ms; 1 arrived, the last: "{\\"body\\":1}"',
      );
      socket.send('"close"');
      expect((await failure(socket.next())).message).to.contain(
        'no further message: the socket has closed with 4001 (as you wish); 1 arrived',
      );
    });
  });

  describe('overrides', () => {
    it('what a token stands for, classes included, for itself alone', async () => {
      const fake = make().override(Clock, { now: () => 'then' });
      expect(await (await fake.fetch('/time')).text()).to.equal('it is then');
      expect(await (await make().fetch('/time')).text()).to.equal('it is now');
    });

    it('a service that has private members by what others can see of it', async () => {
      @singleton()
      class Till {
        private readonly currency: string = 'EUR';
        #sum = 0;
        sum() {
          return `${++this.#sum} ${this.currency}`;
        }
      }
      @Controller('/till')
      class TillController {
        constructor(private readonly till: Till) {}
        @Get() sum() {
          return this.till.sum();
        }
      }
      const fake = serve({ controllers: [TillController] }).override(Till, { sum: () => 'nothing' });
      expect(await (await fake.fetch('/till')).text()).to.equal('nothing');
      // @ts-expect-error what others can see is asked for
      serve({ controllers: [TillController] }).override(Till, { sum: () => 7 });
    });

    it('nothing once the application is made', async () => {
      const late = make();
      await late.url();
      expect(() => late.override('greeting', 'too late')).to.throw(
        'the application has been created: call override() before its first use',
      );
    });
  });

  describe('closes', () => {
    it('once, however often it is told, and takes what it opened with it', async () => {
      const own = make();
      const socket = await own.socket('/socket');
      const stream = await own.sse('/silent');
      const url = await own.url();
      await Promise.all([own.close(), own.close()]);
      await own.close();
      await Promise.all([socket.closed(), stream.closed()]);
      expect(await failure(fetch(url))).to.have.nested.property('cause.code', 'ECONNREFUSED');
    });

    it('where nothing was ever served, and does not start for it', async () => {
      const own = make();
      await own.close();
      expect(own.override('greeting', 'still free')).to.equal(own);
    });

    it('by itself when the suite of mocha is over, so that the process ends', async function () {
      this.timeout(20_000);
      const mocha = createRequire(import.meta.url).resolve('mocha/bin/mocha.js');
      const suite = fileURLToPath(new URL('fixtures/suite.js', import.meta.url));
      const told = await new Promise<string>((resolve) => {
        const options = { timeout: 15_000, cwd: fileURLToPath(new URL('.', import.meta.url)) };
        execFile(process.execPath, [mocha, '--no-config', suite], options, (error, out, err) => {
          resolve(error === null ? out : `${error.message}${out}${err}`);
        });
      });
      expect(told).to.contain('2 passing').and.not.contain('failing');
    });
  });
});

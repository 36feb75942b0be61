import { expect } from 'chai';
import {
  Body,
  Controller,
  HttpError,
  Param,
  Post,
  Rpc,
  Sse,
  Unguarded,
  UseMiddleware,
  WebSocket,
} from 'coequal';
import { serve } from 'coequal/testing';
import createError from 'http-errors';

const THROWN: Record<string, () => Error> = {
  made: () => createError(404, 'No such cat', { headers: { 'x-hint': 'dogs' } }),
  statusCode: () => Object.assign(new Error('secret'), { statusCode: 403 }),
  server: () => createError(503, 'secret'),
  success: () => Object.assign(new Error('secret'), { status: 200, statusCode: 204, expose: true }),
  text: () => Object.assign(new Error('secret'), { status: '404', expose: true }),
  hostile: () =>
    Object.assign(new Error('shown'), {
      status: 409,
      expose: true,
      headers: {
        'content-length': 1,
        'transfer-encoding': 'x',
        'keep-alive': 'timeout=99',
        trailer: 'x-sum',
        'bad name': 1,
        'x-split': 'a\r\nb: c',
        'x-kept': 'yes',
      },
    }),
  upstream: () =>
    Object.assign(new Error('secret'), {
      status: 404,
      headers: { 'www-authenticate': 'Basic', 'set-cookie': 'a=1', connection: 'close' },
    }),
  unavailable: () => createError(503, { headers: { 'retry-after': '3', 'set-cookie': 'a=1' } }),
  bug: () => new Error('secret'),
};

function fail(what: string): never {
  throw THROWN[what]?.() ?? new Error(what);
}

@Controller()
class Failing {
  @Post('/do') do(@Body() what: string) {
    fail(what);
  }
  @Sse('/events/:what') events(@Param('what') what: string) {
    fail(what);
  }
  @WebSocket('/guarded') @UseMiddleware(() => fail('made')) guarded() {}
  @WebSocket('/messages') message(@Body() what: string) {
    fail(what);
  }
  @WebSocket('/once/:what') async once(@Param('what') what: string) {
    await Promise.resolve();
    fail(what);
  }
  @Unguarded('calls are answered on every socket here') @Rpc('do') call(@Body() { what }: { what: string }) {
    fail(what);
  }
  @WebSocket('/calls') calls() {}
}

/** `[status, detail]` of a problem document. */
function shown({ status, detail }: { status?: number; detail?: string }): unknown[] {
  return [status, detail];
}

describe('errors with a status of their own', () => {
  const server = serve({ controllers: [Failing], logger: false });

  for (const [what, status, detail] of [
    ['made', 404, 'No such cat'],
    ['statusCode', 403, undefined],
    ['server', 503, undefined],
    ['success', 500, undefined],
    ['text', 500, undefined],
    ['hostile', 409, 'shown'],
    ['bug', 500, undefined],
  ] as const) {
    it(`keep the status, and show the message only where it is exposed: ${what}`, async () => {
      const response = await server.fetch('/do', {
        method: 'POST',
        headers: { 'content-type': 'text/plain' },
        body: what,
      });
      const messages = await server.socket('/messages');
      messages.send(what);
      const calls = await server.socket('/calls');
      calls.send({ jsonrpc: '2.0', id: 1, method: 'do', params: { what } });

      expect([response.status, ...shown((await response.json()) as object)]).to.deep.equal([
        status,
        status,
        detail,
      ]);
      expect(shown((await messages.json<{ error: object }>()).error)).to.deep.equal([status, detail]);
      expect(shown((await calls.json<{ error: { data: object } }>()).error.data)).to.deep.equal([
        status,
        detail,
      ]);
    });
  }

  it('keep their fields, without those that would break the response', async () => {
    const ask = (body: string) =>
      server.fetch('/do', { method: 'POST', headers: { 'content-type': 'text/plain' }, body });
    const made = await ask('made');
    const hostile = await ask('hostile');

    expect(made.headers.get('x-hint')).to.equal('dogs');
    expect([hostile.headers.get('x-kept'), hostile.headers.get('x-split')]).to.deep.equal(['yes', null]);
    expect(await hostile.json()).to.include({ detail: 'shown' });
  });

  it('keep their header fields, but no cookie or connection of an upstream', async () => {
    const ask = (body: string) =>
      server.fetch('/do', { method: 'POST', headers: { 'content-type': 'text/plain' }, body });
    const upstream = await ask('upstream');
    expect(upstream.headers.get('www-authenticate')).to.equal('Basic');
    expect(upstream.headers.get('set-cookie')).to.equal(null);
    expect(upstream.headers.get('connection')).to.equal('keep-alive');
    const { headers } = await ask('unavailable');
    expect([headers.get('retry-after'), headers.get('set-cookie')]).to.deep.equal(['3', null]);
  });

  it('refuse streams and sockets', async () => {
    for (const opening of [server.sse('/events/made'), server.socket('/guarded')]) {
      const refusal = await opening.then(
        () => undefined,
        (error: { status?: number }) => error.status,
      );
      expect(refusal).to.equal(404);
    }
  });

  it('close a socket by the code of their status', async () => {
    expect(await (await server.socket('/once/statusCode')).closed()).to.deep.equal({
      code: 3003,
      reason: '',
    });
    expect(await (await server.socket('/once/made')).closed()).to.deep.equal({
      code: 4404,
      reason: 'No such cat',
    });
    expect(await (await server.socket('/once/bug')).closed()).to.deep.equal({ code: 1011, reason: '' });
  });
});

describe('an asynchronous onError', () => {
  const server = serve({
    controllers: [Failing],
    logger: false,
    async onError(error) {
      await Promise.resolve();
      if ((error as Error).message === 'broken') throw new Error('onError is broken');
      return (error as Error).message === 'duplicate' ? new HttpError(409, 'It exists') : undefined;
    },
  });
  const ask = (body: string) =>
    server.fetch('/do', { method: 'POST', headers: { 'content-type': 'text/plain' }, body });

  it('is awaited in every kind', async () => {
    const messages = await server.socket('/messages');
    messages.send('duplicate');
    const calls = await server.socket('/calls');
    calls.send({ jsonrpc: '2.0', id: 1, method: 'do', params: { what: 'duplicate' } });
    const stream = await server.sse('/events/duplicate').then(
      () => undefined,
      (error: { status?: number }) => error.status,
    );

    expect((await ask('duplicate')).status).to.equal(409);
    expect(stream).to.equal(409);
    expect((await messages.json<{ error: object }>()).error).to.include({ status: 409, detail: 'It exists' });
    expect((await calls.json<{ error: { data: object } }>()).error.data).to.include({ status: 409 });
    expect(await (await server.socket('/once/duplicate')).closed()).to.deep.equal({
      code: 4409,
      reason: 'It exists',
    });
  });

  it('that maps nothing, or fails, leaves the error as it was', async () => {
    expect([(await ask('other')).status, (await ask('broken')).status]).to.deep.equal([500, 500]);
  });

  it('keeps the order of replies', async () => {
    const messages = await server.socket('/messages');
    messages.send('first');
    messages.send('duplicate');

    const statuses = [
      await messages.json<{ error: { status: number } }>(),
      await messages.json<{ error: { status: number } }>(),
    ];
    expect(statuses.map(({ error }) => error.status)).to.deep.equal([500, 409]);
  });
});

describe("a socket route's onError", () => {
  @Controller()
  class Mapped {
    @WebSocket('/mapped', {
      onError: () => Promise.resolve(new HttpError(422)),
    })
    mapped(@Body() _message: string) {
      throw new Error('inner');
    }
  }
  const server = serve({ controllers: [Mapped], logger: false });

  it('may be asynchronous as well', async () => {
    const socket = await server.socket('/mapped');
    socket.send('a');

    expect((await socket.json<{ error: object }>()).error).to.include({ status: 422 });
  });
});

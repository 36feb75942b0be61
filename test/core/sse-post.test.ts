import { once } from 'node:events';
import { expect } from 'chai';
import {
  Body,
  Controller,
  Ctx,
  Get,
  Headers,
  Param,
  Post,
  sessions,
  Signal,
  Sse,
  Unguarded,
  UseMiddleware,
  type Context,
  type Next,
} from 'coequal';
import { Refused, serve } from 'coequal/testing';
import { z } from 'zod';
import { deferred } from '../support/deferred.js';

const Prompt = z.object({ prompt: z.string().min(1) });
const token = (ctx: Context, next: Next) => {
  if (ctx.headers.authorization === undefined) ctx.status = 401;
  else return next();
};

describe('@Sse by POST', () => {
  const left = deferred();
  let runs = 0;

  @Controller('/chats')
  class Chats {
    @Sse('/:chat/completions', { method: 'POST' })
    async *complete(@Param('chat') chat: string, @Body(Prompt) { prompt }: z.infer<typeof Prompt>) {
      runs++;
      for (const word of prompt.split(' ')) yield { chat, word };
    }
    @Sse('/wait', { method: 'POST' })
    async *wait(@Body() text: string, @Signal() signal: AbortSignal) {
      yield text;
      try {
        await once(signal, 'abort');
      } finally {
        left.resolve();
      }
    }
    @Sse('/both', { method: 'POST' }) stream(@Body() body: unknown, @Ctx() ctx: Context) {
      ctx.send({ streamed: body });
    }
    @Post('/both') answer(@Body() body: unknown) {
      return { answered: body };
    }
    @Get('/read') read() {
      return 'read';
    }
    @Sse('/read', { method: 'POST' }) write(@Body() body: Buffer) {
      return body;
    }
  }
  const server = serve({ controllers: [Chats], logger: false });
  const json = { prompt: 'one two' };

  it('takes the body as a parameter, and streams its events', async () => {
    const stream = await server.sse('/chats/a/completions', { json });
    expect([await stream.json(), await stream.json()]).to.deep.equal([
      { chat: 'a', word: 'one' },
      { chat: 'a', word: 'two' },
    ]);
    expect((await stream.next()).event).to.equal('end');
    await stream.closed();
  });

  it('is chosen without an Accept field, too, where the path has no other POST', async () => {
    const response = await server.fetch('/chats/a/completions', { json });
    expect(response.headers.get('content-type')).to.equal('text/event-stream');
    expect(await response.text()).to.contain('data: {"chat":"a","word":"one"}\n\n');
  });

  it('answers bad input by a problem, before any event', async () => {
    const before = runs;
    for (const [init, status] of [
      [{ json: { prompt: '' } }, 400],
      [{ method: 'POST', body: '{', headers: { 'content-type': 'application/json' } }, 400],
      [{ method: 'POST', body: 'x', headers: { 'content-type': 'image/png' } }, 415],
      [{ json: { prompt: 'x'.repeat(2_000_000) } }, 413],
    ] as const) {
      const refused = await server.sse('/chats/a/completions', init).catch((error: unknown) => error);
      expect(refused).to.be.instanceOf(Refused);
      expect((refused as Refused).status).to.equal(status);
    }
    expect(runs).to.equal(before);
  });

  it('shares its path with a @Post: Accept decides, and caches are told', async () => {
    const stream = await server.sse('/chats/both', { json: 1 });
    expect(await stream.json()).to.deep.equal({ streamed: 1 });
    expect(stream.response.headers.get('vary')).to.equal('Accept');
    const response = await server.fetch('/chats/both', { json: 1 });
    expect(response.headers.get('vary')).to.equal('Accept');
    expect(await response.json()).to.deep.equal({ answered: 1 });
  });

  it('shares its path with a @Get, which stays what it was', async () => {
    expect(await (await server.fetch('/chats/read')).text()).to.equal('read');
    expect((await server.fetch('/chats/read')).headers.get('vary')).to.equal(null);
    const stream = await server.sse('/chats/read', { method: 'POST', body: 'bytes' });
    expect((await stream.next()).data).to.equal('bytes');
  });

  it('is in Allow, and answers no other method', async () => {
    const response = await server.fetch('/chats/a/completions', { headers: { accept: 'text/event-stream' } });
    expect([response.status, response.headers.get('allow')]).to.deep.equal([405, 'POST, OPTIONS']);
    const both = await server.fetch('/chats/read', { method: 'OPTIONS' });
    expect(both.headers.get('allow')).to.equal('GET, HEAD, POST, OPTIONS');
  });

  it('ends its source when the client leaves', async () => {
    const stream = await server.sse('/chats/wait', { method: 'POST', body: 'hello' });
    expect((await stream.next()).data).to.equal('hello');
    stream.close();
    await left.promise;
  });

  it('stays ended: a client that returns with the id of the last event gets 204', async () => {
    const stream = await server.sse('/chats/a/completions', { json });
    let last = await stream.next();
    while (last.event !== 'end') last = await stream.next();
    const headers = { 'last-event-id': last.id ?? '' };
    const before = runs;
    expect((await server.fetch('/chats/a/completions', { json, headers })).status).to.equal(204);
    expect(runs).to.equal(before);
  });

  it('is listed by its method', () => {
    expect(server.app.explain()).to.match(/SSE POST +\/chats\/read +Chats\.write/);
  });

  it('from a page of another site is refused as a POST is', async () => {
    const guarded = serve({ controllers: [Chats], middleware: [sessions()], logger: false });
    const headers = { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' };
    const refused = await guarded.sse('/chats/both', { json: 1, headers }).catch((error: unknown) => error);
    expect((refused as Refused).status).to.equal(403);
    expect(await (await guarded.sse('/chats/both', { json: 1 })).json()).to.deep.equal({ streamed: 1 });
  });

  it('is compared with the other methods of its path by the guard audit', async () => {
    @Controller('/guarded')
    class Guarded {
      @Post() @UseMiddleware(token) post() {}
      @Sse('', { method: 'POST' }) stream() {}
    }
    expect(() => serve({ controllers: [Guarded] }).app).to.throw(
      'Guarded.stream (SSE POST /guarded) lacks token, which Guarded.post (POST /guarded) on the same path has',
    );
    @Controller('/open')
    class Open {
      @Post() @UseMiddleware(token) post() {}
      @Sse('', { method: 'POST' }) @Unguarded('a demo') stream() {
        return 'open';
      }
    }
    const stream = await serve({ controllers: [Open] }).sse('/open', { method: 'POST' });
    expect((await stream.next()).data).to.equal('open');
  });

  it('passes the same guard as a GET of its class', async () => {
    @Controller('/guarded')
    @UseMiddleware(token)
    class Guarded {
      @Get() get() {}
      @Sse('', { method: 'POST' }) stream(@Body() body: unknown, @Headers('authorization') who: string) {
        return { body, who };
      }
    }
    const own = serve({ controllers: [Guarded] });
    const refused = await own.sse('/guarded', { json: 1 }).catch((error: unknown) => error);
    expect((refused as Refused).status).to.equal(401);
    const stream = await own.sse('/guarded', { json: 1, headers: { authorization: 'me' } });
    expect(await stream.json()).to.deep.equal({ body: 1, who: 'me' });
  });

  it('is refused twice on one path, and by another method than GET and POST', () => {
    @Controller('/twice')
    class Twice {
      @Sse('', { method: 'POST' }) one() {}
      @Sse('', { method: 'POST' }) two() {}
    }
    expect(() => serve({ controllers: [Twice] }).app).to.throw(
      'Twice.two and Twice.one both answer SSE POST /twice',
    );
    expect(() => {
      class Wrong {
        @Sse('/x', { method: 'PUT' as never }) one() {}
      }
      return Wrong;
    }).to.throw("Wrong.one: @Sse('/x')");
  });

  it('may stand beside an @Sse by GET on one method, which then takes no body', async () => {
    @Controller('/pair')
    class Pair {
      @Sse() @Sse('', { method: 'POST' }) one(@Ctx() ctx: Context) {
        return ctx.method;
      }
    }
    const own = serve({ controllers: [Pair] });
    expect((await (await own.sse('/pair')).next()).data).to.equal('GET');
    expect((await (await own.sse('/pair', { method: 'POST' })).next()).data).to.equal('POST');
    class Bodies {
      @Sse() @Sse('', { method: 'POST' }) one(@Body() body: string) {
        return body;
      }
    }
    Controller('/bodies')(Bodies);
    expect(() => serve({ controllers: [Bodies] }).app).to.throw(
      "is @Body(), which has no meaning in an @Sse method: it works in an HTTP method and a @WebSocket method, and with @Sse(path, { method: 'POST' })",
    );
  });
});

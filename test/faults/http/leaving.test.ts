import { once } from 'node:events';
import type { Server } from 'node:http';
import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import {
  Body,
  Controller,
  Ctx,
  Get,
  Post,
  Signal,
  UseMiddleware,
  type Context,
  type Middleware,
  Multipart,
} from 'coequal';
import { mistreated } from '../../support/canary.js';
import { deferred, until, type Deferred } from '../../support/deferred.js';
import { Journal } from '../../support/journal.js';
import { RawClient } from '../../support/raw-client.js';

let journal: Journal;
let go: Deferred<void>;

/** Notes how the exchange ends; each of its notes is to be there once. */
const watch: Middleware = (ctx, next) => {
  if (ctx.path === '/canary') return next();
  ctx.defer(() => journal.note(ctx.signal.aborted ? 'ended, aborted' : 'ended'));
  ctx.signal.addEventListener('abort', () => journal.note('aborted'));
  return next();
};

const waits: Middleware = async (_ctx, next) => {
  journal.note('begun');
  await go.promise;
  await next();
};

const begins: Middleware = (_ctx, next) => {
  journal.note('begun');
  return next();
};

@Controller()
class Working {
  @Get('/guard') @UseMiddleware(waits) guarded() {
    journal.note('method');
  }
  @Post('/text') @UseMiddleware(begins) text(@Body() text: string) {
    journal.note('method');
    return text;
  }
  @Post('/form') async form(@Body() form: Multipart) {
    for await (const part of form) {
      if (!('stream' in part)) continue;
      for await (const chunk of part.stream) if ((chunk as Buffer).length > 0) journal.note('begun');
    }
    journal.note('method');
  }
  @Post('/stream') async stream(@Ctx() ctx: Context) {
    for await (const chunk of ctx.request) if ((chunk as Buffer).length > 0) journal.note('begun');
    journal.note('method');
  }
  @Get('/method') async method() {
    journal.note('begun');
    await go.promise;
    return 'nobody hears';
  }
  @Get('/signal') async signal(@Signal() signal: AbortSignal) {
    journal.note('begun');
    await once(signal, 'abort');
    signal.throwIfAborted();
  }
  @Get('/answer') async *answer() {
    try {
      for (;;) {
        yield Buffer.alloc(65_536);
        journal.note('begun');
        await turn();
      }
    } finally {
      journal.note('source told');
    }
  }
  @Get('/large') large() {
    journal.note('begun');
    return Buffer.alloc(16_777_216);
  }
}

const PART = '--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\nhello';

describe('HTTP', () => {
  describe('clients that leave', () => {
    const { server, log, holds } = mistreated({ controllers: [Working], middleware: [watch] });
    beforeEach(() => {
      journal = new Journal();
      go = deferred();
    });

    const stages: [name: string, notes: string[], ...lines: string[]][] = [
      ['while middleware waits', [], 'GET /guard HTTP/1.1', 'Host: localhost', '', ''],
      [
        'while a body of a length is read',
        [],
        'POST /text HTTP/1.1',
        'Host: localhost',
        'Content-Type: text/plain',
        'Content-Length: 10',
        '',
        'hello',
      ],
      [
        'while a body of chunks is read',
        [],
        'POST /text HTTP/1.1',
        'Host: localhost',
        'Content-Type: text/plain',
        'Transfer-Encoding: chunked',
        '',
        '5',
        'hel',
      ],
      [
        'while a file of a form is read',
        [],
        'POST /form HTTP/1.1',
        'Host: localhost',
        'Content-Type: multipart/form-data; boundary=b',
        'Content-Length: 1000',
        '',
        PART,
      ],
      [
        "while the method reads Node's own request",
        [],
        'POST /stream HTTP/1.1',
        'Host: localhost',
        'Content-Length: 10',
        '',
        'hello',
      ],
      ['while the method runs', [], 'GET /method HTTP/1.1', 'Host: localhost', '', ''],
      ['while the method waits for the signal', [], 'GET /signal HTTP/1.1', 'Host: localhost', '', ''],
      ['while the answer is written', ['source told'], 'GET /answer HTTP/1.1', 'Host: localhost', '', ''],
      ['while one large answer is written', [], 'GET /large HTTP/1.1', 'Host: localhost', '', ''],
    ];
    const ways: [name: string, leave: (client: RawClient) => void][] = [
      ['by a reset', (client) => client.reset()],
      ['by closing the connection', (client) => client.socket.destroy()],
    ];
    for (const [stage, notes, ...lines] of stages) {
      for (const [way, leave] of ways) {
        holds(`${stage}, ${way}, end the exchange once, with nothing to log`, async () => {
          const client = await RawClient.connect(await server.url());
          client.socket.pause();
          client.write(lines.join('\r\n'));
          await journal.until('begun');
          leave(client);
          await journal.until('ended, aborted');
          go.resolve();
          for (const note of notes) await journal.until(note);
          await until(() => server.app.stats().inFlight.exchanges === 0);

          const counted = ['aborted', 'ended', 'ended, aborted', 'method', ...notes].map(
            (note) => [note, journal.count(note)] as const,
          );
          expect(Object.fromEntries(counted)).to.deep.equal({
            aborted: 1,
            ended: 0,
            'ended, aborted': 1,
            method: 0,
            ...Object.fromEntries(notes.map((note) => [note, 1])),
          });
          expect(log.lines).to.deep.equal([]);
        });
      }
    }

    holds('behind an answer, with a second request half there, cost nothing', async () => {
      const client = await RawClient.connect(await server.url());
      client.write('GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\nGET /method HT');
      await client.opening();
      client.reset();
      await journal.until('ended, aborted');

      expect([journal.count('begun'), log.lines]).to.deep.equal([0, []]);
    });

    holds('with many requests in one packet end the one that runs, and the others never run', async () => {
      const client = await RawClient.connect(await server.url());
      client.write('GET /method HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(20));
      await journal.until('begun');
      client.reset();
      await journal.until('ended, aborted');
      go.resolve();
      await until(() => server.app.stats().inFlight.exchanges === 0);

      expect([journal.count('begun'), journal.count('aborted'), log.lines]).to.deep.equal([1, 1, []]);
    });
  });

  describe('early refusals', () => {
    const { server, holds } = mistreated({
      controllers: [Working],
      limits: { body: 1_000 },
      middleware: [
        (ctx, next) => {
          if (ctx.path.startsWith('/canary')) return next();
          journal.note('entered');
          ctx.defer(() => journal.note('ended'));
          return next();
        },
      ],
    });
    beforeEach(() => {
      journal = new Journal();
    });

    const body = 'Content-Length: 100000';
    const refused: [status: number, first: string, ...fields: string[]][] = [
      [404, 'POST /nowhere HTTP/1.1', body],
      [405, 'DELETE /text HTTP/1.1', body],
      [413, 'POST /text HTTP/1.1', 'Content-Type: text/plain', body],
      [415, 'POST /text HTTP/1.1', 'Content-Type: text/plain; charset=none', 'Content-Length: 10'],
      [400, 'POST /% HTTP/1.1', body],
      [431, 'POST /text HTTP/1.1', ...Array.from({ length: 201 }, (_, index) => `X-${index}: 1`)],
    ];
    for (const [status, first, ...fields] of refused) {
      holds(`end the answer before the body has come, and free the socket (${status})`, async () => {
        const url = await server.url();
        const before = await connectionsOf(server.app.server);
        const client = await RawClient.connect(url);
        client.head(first, 'Host: localhost', 'Connection: close', ...fields);
        const answer = await client.answer();

        expect([answer.status, answer.headers['connection']]).to.deep.equal([status, 'close']);
        expect(answer.headers['content-type']).to.equal('application/problem+json');
        await journal.until('ended', journal.count('entered'));
        while ((await connectionsOf(server.app.server)) > before) await turn();
      });
    }

    function connectionsOf(http: Server): Promise<number> {
      return new Promise((resolve, reject) => {
        http.getConnections((error, count) => (error === null ? resolve(count) : reject(error)));
      });
    }
  });
});

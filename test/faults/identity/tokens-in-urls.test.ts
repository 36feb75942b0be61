import { expect } from 'chai';
import { inspect } from 'node:util';
import {
  Body,
  type Context,
  Controller,
  Ctx,
  Get,
  HttpError,
  type Next,
  Rpc,
  Unguarded,
  UseMiddleware,
  WebSocket,
} from 'coequal';
import { injectable, Lifecycle, scoped } from 'tsyringe';
import { mistreated } from '../../support/canary.js';
import { deferred } from '../../support/deferred.js';
import { asks, doors, Everywhere, servers } from '../../support/doors.js';
import { eventually } from '../../support/eventually.js';
import { Recorder, type LogLine } from '../../support/journal.js';
import { RawClient } from '../../support/raw-client.js';

const TOKEN = 'in-the-query';
const QUERY = `?access_token=${TOKEN}&%61ccess_token=${TOKEN}`;

function fails(): never {
  throw new Error('no reason to tell');
}

@scoped(Lifecycle.ContainerScoped)
@injectable()
class Undisposable {
  dispose(): void {
    fails();
  }
}

@Controller('/scoped')
class Scoped {
  constructor(readonly service: Undisposable) {}
  @Everywhere() call() {
    return ['value'];
  }
}

const late = deferred<Next>();

@Controller()
class Failing {
  @Everywhere('/method') method() {
    fails();
  }
  @Everywhere('/guard')
  @UseMiddleware(fails)
  guard() {}

  @Everywhere('/stuck')
  @UseMiddleware(() => new Promise(() => undefined))
  stuck() {}

  @Everywhere('/deferred') deferred(@Ctx() ctx: Context) {
    ctx.defer(fails);
    return [];
  }
  @Everywhere('/unawaited')
  @UseMiddleware(
    (_, next) => void next(),
    async (_, next) => {
      await Promise.resolve();
      await next();
    },
  )
  unawaited() {
    return ['value'];
  }
  @Everywhere('/late')
  @UseMiddleware(async (_, next) => {
    await next();
    late.resolve(next);
  })
  late() {
    return ['value'];
  }
  @Everywhere('/mapped') mapped() {
    throw new RangeError('onError fails');
  }
  @Everywhere('/unanswerable') unanswerable() {
    throw new HttpError(500, 'unanswerable', { headers: { 'x-bad': 'a\nb' } });
  }
  @Everywhere('/flow') async *flow() {
    yield 'first';
    await Promise.resolve();
    fails();
  }
  @WebSocket('/message') message(@Body() text: string) {
    if (text !== 'go on') fails();
  }
  @WebSocket('/calls') calls() {}
  @Unguarded('the other sockets fail in their middleware') @Rpc('call') call() {
    fails();
  }
}

/** Lines as they can be printed at most, with what errors carry. */
function printed(lines: readonly LogLine[]): string {
  return inspect(lines, { depth: 20, showHidden: true });
}

describe('Identity', () => {
  describe('tokens in URLs', () => {
    const { server, log, holds } = mistreated({
      controllers: [Failing, Scoped],
      timeouts: { handler: 50, handshake: 50 },
      onError: (error) => {
        if (error instanceof RangeError) fails();
      },
    });

    /** Waits for a line of the log, and sees that none of them tells the token. */
    const toldOf = async (message: RegExp | string): Promise<void> => {
      const tells = ({ message: told }: LogLine) =>
        typeof message === 'string' ? told === message : message.test(told);
      await eventually(() => log.lines.some(tells));
      expect(printed(log.lines)).not.to.include(TOKEN);
    };

    for (const door of doors) {
      for (const [what, path, message] of [
        ['a method that fails', '/method', 'GET /method failed'],
        ['a guard that fails', '/guard', 'GET /guard failed'],
        ['a guard that never decides', '/stuck', 'GET /stuck failed'],
        ['deferred work that fails', '/deferred', 'deferred work failed'],
        ['middleware that does not await next()', '/unawaited', /did not await next\(\)/],
        ['onError that fails', '/mapped', 'onError failed'],
        ['an error that cannot be answered', '/unanswerable', 'GET /unanswerable failed'],
        ['a service that cannot be disposed', '/scoped', 'disposing Undisposable failed'],
        ['a path in another spelling', '//%6dethod/', 'GET /method failed'],
        ['a stream or body that fails', '/flow', 'GET /flow failed'],
      ] as const) {
        holds(`are not in the log of ${what}, by ${door.kind}`, async () => {
          const client = await RawClient.connect(await server.url());
          client.head(`GET ${path}${QUERY} HTTP/1.1`, 'Host: localhost', ...asks[door.kind]);
          // What runs at the end of what stays open runs when the client leaves.
          if (path === '/scoped' || path === '/deferred') {
            await client.opening();
            client.reset();
          }
          await toldOf(message);
          expect(String(client.received)).not.to.include(TOKEN);
          client.socket.destroy();
        });
      }
    }

    holds('are not in the log of a next() that comes too late', async () => {
      await server.fetch(`/late${QUERY}`);
      const next = await late.promise;
      await next().catch((error: Error) => expect(error.message).to.include('next()'));
      await toldOf(/called next\(\)/);
    });

    holds('are not in the log of a message that fails', async () => {
      const socket = await server.socket(`/message${QUERY}`);
      socket.send('fail');
      expect(String(await socket.next())).not.to.include(TOKEN);
      await toldOf('GET /message failed');
      socket.raw.terminate();
    });

    holds('are not in the log of a call that fails', async () => {
      const socket = await server.socket(`/calls${QUERY}`);
      socket.send({ jsonrpc: '2.0', id: 1, method: 'call' });
      expect(String(await socket.next())).not.to.include(TOKEN);
      await toldOf('GET /calls failed');
      socket.raw.terminate();
    });

    holds('are not in the log of a socket that breaks the protocol', async () => {
      const client = await RawClient.connect(await server.url());
      client.head(`GET /message${QUERY} HTTP/1.1`, 'Host: localhost', ...asks.websocket);
      await client.until((bytes) => bytes.includes('\r\n\r\n'));
      client.write(Buffer.from([0xff, 0x80, 0, 0, 0, 0]));
      await toldOf('the socket failed');
      client.reset();
    });

    for (const [what, target, status] of [
      ['a malformed path', `/%ff${QUERY}`, 400],
      ['an unknown path', `/nowhere${QUERY}`, 404],
      ['a target of another host', `http://elsewhere/method${QUERY}`, 400],
    ] as const) {
      holds(`are neither in the answer nor in the log of ${what}`, async () => {
        const client = await RawClient.connect(await server.url());
        client.head(`GET ${target} HTTP/1.1`, 'Host: localhost', 'Connection: close');
        const answer = await client.answer();
        expect(answer.status).to.equal(status);
        expect(answer.body).not.to.include(TOKEN);
        expect(printed(log.lines)).not.to.include(TOKEN);
      });
    }
  });

  describe('tokens in URLs of an application that is closing', () => {
    const serve = servers();

    for (const { kind } of doors) {
      it(`are not in the log of what is refused, by ${kind}`, async () => {
        const log = new Recorder();
        const entered = deferred();
        const gate = deferred();
        @Controller()
        class Slow {
          @Get('/slow') async slow() {
            entered.resolve();
            await gate.promise;
            return 'slow';
          }
          @Everywhere('/any') any() {
            return ['value'];
          }
        }
        const server = serve({ controllers: [Slow], logger: log });
        const slow = server.fetch('/slow');
        await entered.promise;
        const client = await RawClient.connect(await server.url());
        // A request that has begun: its connection is not idle, and is not closed as such.
        client.write(`GET /any${QUERY} HTTP/1.1\r\nHost: localhost\r\n`);
        await server.fetch('/any');
        const closed = server.app.close();
        client.head(...asks[kind]);
        const answer = await client.answer();
        gate.resolve();
        await Promise.all([slow, closed]);
        expect(answer.status).to.equal(503);
        expect(log.lines.map(({ message }) => message)).to.include('limit reached');
        expect(printed(log.lines) + answer.body).not.to.include(TOKEN);
      });
    }
  });

  describe('tokens in URLs of an application with the default log', () => {
    const serve = servers();

    it('are not on standard error', async () => {
      const lines: unknown[][] = [];
      const { error } = console;
      console.error = (...values: unknown[]) => void lines.push(values);
      try {
        const server = serve({ controllers: [Failing], logger: undefined });
        await server.fetch(`/method${QUERY}`);
      } finally {
        console.error = error;
      }
      expect(lines.join('\n'))
        .to.match(/^error: GET \/method failed/)
        .and.not.to.include(TOKEN);
    });
  });
});

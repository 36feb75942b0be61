import { expect } from 'chai';
import {
  Body,
  Controller,
  Ctx,
  Get,
  HttpError,
  param,
  Rpc,
  Unguarded,
  UseMiddleware,
  WebSocket,
  type Context,
  type Logger,
} from 'coequal';
import { mistreated } from '../../support/canary.js';
import { doors, Everywhere } from '../../support/doors.js';
import { eventually } from '../../support/eventually.js';

const broken = new Error('broken');
const fail = (): never => {
  throw broken;
};

const Later = param('Later', () => Promise.resolve('read'));

@Controller()
class Broken {
  @Everywhere('/handler')
  handler() {
    return fail();
  }

  @Everywhere('/unawaited')
  @UseMiddleware((_ctx, next) => void next())
  unawaited(@Later() value: unknown) {
    return { value };
  }

  @Get('/deferred')
  deferred(@Ctx() ctx: Context) {
    ctx.defer(fail);
    return 'answered';
  }

  @WebSocket('/messages')
  message(@Body() later: boolean) {
    return later ? Promise.reject(broken) : fail();
  }

  @Unguarded('every socket of this class may call it')
  @Rpc('call')
  call() {
    return fail();
  }

  @WebSocket('/once')
  once() {
    return Promise.reject(broken);
  }
}

describe('Process', () => {
  describe('loggers and onError that fail', () => {
    const told: string[] = [];
    const loggers: [name: string, logger: Logger][] = [
      ['throws', { info: fail, warn: fail, error: fail }],
      ['rejects', rejecting()],
    ];
    // What could not be logged is told on standard error instead.
    const { error, warn } = console;
    const keep = (line: string): void => void told.push(line);
    before(() => Object.assign(console, { error: keep, warn: keep }));
    after(() => Object.assign(console, { error, warn }));
    beforeEach(() => void told.splice(0));

    for (const [how, logger] of loggers) {
      const { server, holds } = mistreated({ controllers: [Broken], logger });

      for (const door of doors) {
        holds(`answer a ${door.kind} though the logger ${how}, and tell standard error`, async () => {
          const visit = await door.open(server, '/handler');
          if (visit.status === 101) await visit.ended();
          else expect(visit.status).to.equal(500);
          await eventually(() => told.some((line) => line.includes('GET /handler failed')));
          expect(told.join()).to.include('broken');
        });

        holds(`warn of a ${door.kind} though the logger ${how}`, async () => {
          const visit = await door.open(server, '/unawaited');
          expect(visit.status).to.equal(door.opened);
          await eventually(() => told.some((line) => line.includes('did not await next()')));
          visit.leave();
        });
      }

      holds(`run what is deferred though the logger ${how}`, async () => {
        expect(await (await server.fetch('/deferred')).text()).to.equal('answered');
        await eventually(() => told.some((line) => line.includes('deferred work failed')));
      });

      holds(`answer messages and calls though the logger ${how}`, async () => {
        const socket = await server.socket('/messages');
        for (const later of [false, true]) {
          socket.send(later);
          expect(await socket.json()).to.have.nested.property('error.status', 500);
        }
        socket.send({ jsonrpc: '2.0', id: 1, method: 'call' });
        expect(await socket.json()).to.have.nested.property('error.code', -32603);
      });

      holds(`close a socket with 1011 though the logger ${how}`, async () => {
        expect((await (await server.socket('/once')).closed()).code).to.equal(1011);
      });
    }
  });

  describe("a route's onError that fails", () => {
    @Controller()
    class Mapped {
      @WebSocket('/messages', { onError: fail })
      message(@Body() later: boolean) {
        const error = new HttpError(409, 'Taken');
        if (!later) throw error;
        return Promise.reject(error);
      }

      @WebSocket('/messages/later', { onError: () => Promise.reject(broken) })
      failing(@Body() _later: boolean) {
        throw new HttpError(409, 'Taken');
      }

      @WebSocket('/once', { onError: fail })
      once() {
        throw new HttpError(403);
      }

      @WebSocket('/later', { onError: fail })
      later() {
        return Promise.reject(new HttpError(403));
      }
    }
    const { server, log, holds } = mistreated({ controllers: [Mapped] });

    holds('is told, and the message is answered by its own error', async () => {
      const socket = await server.socket('/messages');
      for (const later of [false, true]) {
        socket.send(later);
        expect(await socket.json()).to.have.nested.property('error.status', 409);
      }
      expect(log.lines.map(({ fields, message }) => [message, fields['err']])).to.deep.equal([
        ['onError failed', broken],
        ['onError failed', broken],
      ]);
    });

    holds('is told though it fails later, when nobody waits for it', async () => {
      const socket = await server.socket('/messages/later');
      socket.send(true);
      expect(await socket.json()).to.have.nested.property('error.status', 409);
      await eventually(() => log.lines.length > 0);
      expect(log.lines.map(({ fields, message }) => [message, fields['err']])).to.deep.equal([
        ['onError failed', broken],
      ]);
    });

    for (const path of ['/once', '/later']) {
      holds(`is told, and the socket is closed by the code of its own error (${path})`, async () => {
        expect((await (await server.socket(path)).closed()).code).to.equal(3003);
        expect(log.lines.map(({ message }) => message)).to.deep.equal(['onError failed']);
      });
    }
  });
});

function rejecting(): Logger {
  const reject = (): Promise<never> => Promise.reject(new Error('the log is full'));
  return { info: reject, warn: reject, error: reject } as unknown as Logger;
}

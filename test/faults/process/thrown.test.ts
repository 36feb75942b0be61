import { expect } from 'chai';
import {
  Body,
  Controller,
  Ctx,
  param,
  Rpc,
  Sse,
  Unguarded,
  UseMiddleware,
  WebSocket,
  type Context,
  type Middleware,
} from 'coequal';
import { mistreated } from '../../support/canary.js';
import { deferred } from '../../support/deferred.js';
import { doors, Everywhere } from '../../support/doors.js';
import { eventually } from '../../support/eventually.js';

/** What JavaScript lets one throw, and no code that handles errors thinks of. */
const THROWN: [name: string, make: () => unknown][] = [
  ['undefined', () => undefined],
  ['null', () => null],
  ['a symbol', () => Symbol('thrown')],
  ['a frozen Error', () => Object.freeze(new Error('frozen'))],
  ['an object without a prototype', () => Object.create(null)],
  ['a proxy that cannot be looked at', () => new Proxy(new Error('behind'), SHY)],
  ['a proxy that was revoked', revoked],
  ['an Error whose fields cannot be read', unreadable],
  ['an Error that is its own cause', circular],
  ['an AbortError of its own', () => new DOMException('not ours', 'AbortError')],
];

const SHY: ProxyHandler<Error> = {
  get: () => fail('read'),
  has: () => fail('asked'),
  getPrototypeOf: () => fail('asked for its prototype'),
  ownKeys: () => fail('listed'),
};

function fail(what: string): never {
  throw new TypeError(`it may not be ${what}`);
}

function revoked(): unknown {
  const { proxy, revoke } = Proxy.revocable(new Error('revoked'), {});
  revoke();
  return proxy;
}

function unreadable(): unknown {
  const fields = ['name', 'message', 'stack', 'cause', 'toString', 'status', 'then'];
  const throwing = (name: string) => [name, { get: () => fail(`read (${name})`) }] as const;
  return Object.create(Error.prototype, Object.fromEntries(fields.map(throwing)));
}

function circular(): Error {
  const error = new Error('circular');
  error.cause = error;
  return error;
}

/** What the case at hand throws, and when what has begun is to throw it. */
let thrown: unknown;
let go = deferred();
/** As JavaScript allows; linters do not. */
const raise = (): never => {
  throw thrown as Error;
};
// A promise of the reason as it is, whatever that may be.
const reject = (): Promise<never> => Promise.reject(thrown as Error);

const throwing: Middleware = () => raise();
const rejecting: Middleware = async (_ctx, next) => {
  await next();
  return reject();
};
const Broken = param('Broken', () => reject());

@Controller()
class Thrower {
  @Everywhere('/guard')
  @UseMiddleware(throwing)
  guard(): void {}

  @Everywhere('/after')
  @UseMiddleware(rejecting)
  after(): void {}

  @Everywhere('/reader')
  reader(@Broken() value: unknown) {
    return value;
  }

  @Everywhere('/source')
  async *source() {
    yield { at: 'the start' };
    await go.promise;
    await reject();
  }

  @Everywhere('/deferred')
  async *deferred(@Ctx() ctx: Context) {
    ctx.defer(() => raise());
    ctx.defer(() => reject());
    yield { at: 'the start' };
  }

  @WebSocket('/messages')
  message(@Body() body: { later: boolean }) {
    return body.later ? reject() : raise();
  }

  @WebSocket('/once')
  once() {
    return reject();
  }

  @Unguarded('every socket of this class may call it')
  @Rpc('call')
  call(@Body() { later }: { later: boolean }) {
    return later ? reject() : raise();
  }

  @Sse('/method')
  method() {
    return reject();
  }
}

describe('Process', () => {
  describe('what user code throws', () => {
    const { server, log, holds } = mistreated({ controllers: [Thrower] });

    /** Nothing is known of the cause to the client, and one line says to the operator what has failed. */
    const told = (lines = 1): void => {
      expect(log.at('error')).to.have.length(lines);
      for (const { fields } of log.at('error')) expect(Object.is(fields['err'], thrown)).to.equal(true);
    };

    for (const [name, make] of THROWN) {
      for (const door of doors) {
        for (const path of ['/guard', '/after', '/reader']) {
          holds(`is answered by a bare 500, in a ${door.kind} by ${path}: ${name}`, async () => {
            thrown = make();
            const visit = await door.open(server, path);
            expect(visit.status).to.equal(500);
            expect(visit.problem).to.deep.equal({
              title: 'Internal Server Error',
              status: 500,
              code: 'INTERNAL_SERVER_ERROR',
              requestId: visit.problem.requestId,
            });
            told();
          });
        }

        holds(`cuts a ${door.kind} whose source throws: ${name}`, async () => {
          thrown = make();
          go = deferred();
          const visit = await door.open(server, '/source');
          expect(await visit.value()).to.deep.equal({ at: 'the start' });
          go.resolve();
          await visit.ended();
          told();
        });

        holds(`keeps no other deferred work of a ${door.kind} from running: ${name}`, async () => {
          thrown = make();
          const visit = await door.open(server, '/deferred');
          await visit.ended();
          await eventually(() => log.lines.length >= 2);
          told(2);
        });
      }

      holds(`is answered to a message, and the socket stays open: ${name}`, async () => {
        thrown = make();
        const socket = await server.socket('/messages');
        for (const later of [false, true]) {
          log.lines.length = 0;
          socket.send({ later });
          expect(await socket.json()).to.have.nested.property('error.status', 500);
          told();
        }
      });

      holds(`is answered to a call, and the socket stays open: ${name}`, async () => {
        thrown = make();
        const socket = await server.socket('/messages');
        for (const later of [false, true]) {
          log.lines.length = 0;
          socket.send({ jsonrpc: '2.0', id: 7, method: 'call', params: { later } });
          const { id, error } = await socket.json<{ id: number; error: { code: number; message: string } }>();
          expect([id, error.code, error.message]).to.deep.equal([7, -32603, 'Internal error']);
          told();
        }
      });

      holds(`closes a socket whose method runs once with 1011: ${name}`, async () => {
        thrown = make();
        const socket = await server.socket('/once');
        expect(await socket.closed()).to.deep.equal({ code: 1011, reason: '' });
        told();
      });
    }
  });
});

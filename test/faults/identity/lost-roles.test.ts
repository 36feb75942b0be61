import { expect } from 'chai';
import {
  Body,
  Connections,
  Controller,
  HttpError,
  Post,
  Rpc,
  Session,
  sessions,
  Socket,
  UseMiddleware,
  WebSocket,
  type Middleware,
} from 'coequal';
import type { TestSocket } from 'coequal/testing';
import { mistreated, type Mistreated } from '../../support/canary.js';
import { asks } from '../../support/doors.js';
import { maskedFrame, RawClient } from '../../support/raw-client.js';
import { Shelf, Visitor } from '../../support/site.js';

interface Held {
  user: { id: string };
  role: 'operator' | 'guest';
}

const acted: string[] = [];
const DENIED = { title: 'Forbidden', status: 403, code: 'FORBIDDEN', detail: 'Operators only' };

const signedIn: Middleware = async (ctx, next) => {
  const user = (ctx.session as Session<Held>).get('user');
  if (user === undefined) throw new HttpError(401, 'Sign in first');
  ctx.user = user;
  await next();
};

const operator: Middleware = async (ctx, next) => {
  mustBeOperator(ctx.session as Session<Held>);
  await next();
};

@Controller()
class Doorman {
  @Post('/sign-in') async signIn(@Session() session: Session<Held>) {
    await session.regenerate();
    await session.set('user', { id: 'ada' });
    await session.set('role', 'operator');
  }
  @Post('/sign-out') async signOut(@Session() session: Session<Held>) {
    await session.destroy();
  }
  @Post('/role') async role(@Session() session: Session<Held>, @Body() { role }: { role: Held['role'] }) {
    await session.set('role', role);
  }
}

@Controller('/desk')
@UseMiddleware(signedIn)
class Desk {
  @WebSocket('/text') text(@Body() text: string, @Session() session: Session<Held>) {
    mustBeOperator(session);
    return act(text);
  }
  @WebSocket('/loop') async loop(@Socket(String) socket: Socket<string>, @Session() session: Session<Held>) {
    for await (const text of socket) {
      mustBeOperator(session);
      socket.send(act(text));
    }
  }
  @WebSocket('/calls') calls(): void {}
  @Rpc() @Post('/act') @UseMiddleware(operator) act() {
    return act('call');
  }
  @Rpc('act.at.once', { concurrent: true }) @UseMiddleware(operator) actAtOnce() {
    return act('concurrent call');
  }
}

const call = (method: string, id?: unknown) => ({ jsonrpc: '2.0', method, id });

describe('Identity', () => {
  beforeEach(() => void (acted.length = 0));

  describe('a role that is taken away', () => {
    const suite = mistreated({
      controllers: [Doorman, Desk],
      middleware: [sessions({ store: new Shelf() })],
    });

    /** A visitor who has signed in, with a socket. */
    const arrive = async (path: string): Promise<{ visitor: Visitor; socket: TestSocket }> => {
      const visitor = new Visitor(suite.server);
      await visitor.post('/sign-in');
      return { visitor, socket: await visitor.socket(path) };
    };

    /** Gives the visitor a role, by a request of its own. */
    const become = async (visitor: Visitor, role: Held['role']): Promise<void> => {
      const answer = await suite.server.fetch('/role', { headers: await visitor.headers(), json: { role } });
      expect(answer.status).to.equal(204);
    };

    suite.holds('is missed by the next message, and the socket goes on', async () => {
      const { visitor, socket } = await arrive('/desk/text');
      socket.send('one');
      expect(await socket.next()).to.equal('one');
      await become(visitor, 'guest');
      socket.send('two');
      expect(denied((await socket.json<{ error: object }>()).error)).to.deep.equal(DENIED);
      await become(visitor, 'operator');
      socket.send('three');
      expect(await socket.next()).to.equal('three');
      expect(acted).to.deep.equal(['one', 'three']);
    });

    suite.holds('is missed by the next message of a loop, which ends with 3003', async () => {
      const { visitor, socket } = await arrive('/desk/loop');
      socket.send('one');
      expect(await socket.next()).to.equal('one');
      await become(visitor, 'guest');
      socket.send('two');
      expect(await socket.closed()).to.deep.equal({ code: 3003, reason: 'Operators only' });
      expect(acted).to.deep.equal(['one']);
    });

    for (const path of ['/desk/calls', '/desk/text', '/desk/loop']) {
      for (const method of ['act', 'act.at.once']) {
        suite.holds(`is missed by the next call of ${method} on ${path}, alone and in a batch`, async () => {
          const { visitor, socket } = await arrive(path);
          socket.send(call(method, 1));
          expect(await socket.json()).to.have.property('result');
          await become(visitor, 'guest');
          acted.length = 0;
          socket.send(call(method));
          socket.send([call(method), call(method, 2)]);
          const [inBatch, ...more] = await socket.json<Failed[]>();
          expect(more).to.deep.equal([]);
          socket.send(call(method, 3));
          for (const { error } of [inBatch as Failed, await socket.json<Failed>()]) {
            expect([error.code, error.message]).to.deep.equal([-32000, 'Operators only']);
            expect(denied(error.data)).to.deep.equal(DENIED);
          }
          expect(acted).to.deep.equal([]);
          await become(visitor, 'operator');
          socket.send(call(method, 4));
          expect(await socket.json()).to.have.property('result');
        });
      }
    }

    suite.holds('is missed by the POST of the same method', async () => {
      const { visitor } = await arrive('/desk/calls');
      expect((await visitor.post('/desk/act')).status).to.equal(200);
      await become(visitor, 'guest');
      const refused = await visitor.post('/desk/act');
      expect(refused.status).to.equal(403);
      expect(denied((await refused.json()) as object)).to.deep.equal(DENIED);
      expect(acted).to.deep.equal(['call']);
    });
  });

  describe('a visitor whose session has ended', () => {
    const suite = mistreated({
      controllers: [Doorman, Desk],
      middleware: [sessions({ store: new Shelf() })],
    });

    const ends: [name: string, end: (visitor: Visitor) => Promise<unknown>][] = [
      ['signs out elsewhere', (visitor) => visitor.post('/sign-out')],
      ['signs in anew elsewhere', (visitor) => visitor.post('/sign-in')],
      [
        'is revoked',
        () => suite.server.app.container.resolve(Connections).revoke({ user: 'ada' }, 'signed out'),
      ],
    ];
    const messages: [path: string, message: string][] = [
      ['/desk/text', 'hello'],
      ['/desk/loop', 'hello'],
      ['/desk/calls', JSON.stringify(call('act', 1))],
      ['/desk/text', JSON.stringify(call('act', 1))],
      ['/desk/loop', JSON.stringify(call('act', 1))],
      ['/desk/loop', JSON.stringify(call('act.at.once', 1))],
      ['/desk/loop', JSON.stringify([call('act', 1), call('act')])],
    ];
    for (const [name, end] of ends) {
      for (const [path, message] of messages) {
        const what = message === 'hello' ? 'messages' : message;
        suite.holds(`runs nothing by going on, who ${name}: ${what} on ${path}`, async () => {
          const visitor = new Visitor(suite.server);
          await visitor.post('/sign-in');
          const client = await opened(suite, path, await visitor.headers());
          const tab = visitor.another(visitor.cookie);
          await end(tab);
          await client.until((received) => /signed (?:out|in anew)/.test(received.toString('latin1')));
          for (let i = 0; i < 3; i++) client.write(maskedFrame(1, message));
          client.write(maskedFrame(8, Uint8Array.of(0x0b, 0xb8)));
          await client.closed();
          expect(acted).to.deep.equal([]);
        });
      }
    }

    suite.holds('neither opens a socket nor calls by POST with what is left of it', async () => {
      const visitor = new Visitor(suite.server);
      await visitor.post('/sign-in');
      const old = visitor.another(visitor.cookie);
      await visitor.post('/sign-out');
      for (const path of ['/desk/text', '/desk/loop', '/desk/calls']) {
        const refused = await old.socket(path).catch((error: unknown) => error);
        expect(refused, path).to.include({ status: 401 });
      }
      const answer = await suite.server.fetch('/desk/act', { method: 'POST', headers: await old.headers() });
      expect(answer.status).to.equal(401);
      expect(acted).to.deep.equal([]);
    });
  });
});

interface Failed {
  error: { code: number; message: string; data: object };
}

/** Opens a socket of which the test writes each byte. */
async function opened(
  { server }: Mistreated,
  path: string,
  fields: Record<string, string>,
): Promise<RawClient> {
  const url = await server.url();
  const client = await RawClient.connect(url);
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}`);
  client.head(`GET ${path} HTTP/1.1`, `Host: ${new URL(url).host}`, ...asks.websocket, ...lines);
  expect((await client.opening()).status).to.equal(101);
  return client;
}

/** The problem without the id of its request. */
function denied(problem: object): object {
  const { requestId, ...rest } = problem as Record<string, unknown>;
  expect(requestId).to.be.a('string');
  return rest;
}

function mustBeOperator(session: Session<Held>): void {
  if (session.get('role') !== 'operator') throw new HttpError(403, 'Operators only');
}

function act(what: string): string {
  acted.push(what);
  return what;
}

import { expect } from 'chai';
import {
  Body,
  Connection,
  Connections,
  Controller,
  HttpError,
  Post,
  Rpc,
  sessions,
  Sse,
  UseMiddleware,
  WebSocket,
  type Middleware,
} from 'coequal';
import { Refused, type ServeOptions, type TestServer } from 'coequal/testing';
import { doors, knock, servers, type Door } from '../support/doors.js';
import { eventually } from '../support/eventually.js';
import { openReader, readerKinds, type Reader, type ReaderKind } from '../support/reader.js';

/** A bearer token names a user and how long it is good: `ada 60000`. */
const bearer: Middleware = (ctx, next) => {
  const [name = '', life] = (ctx.headers.authorization ?? '').split(' ');
  if (name === 'mallory') throw new HttpError(403, 'Not you');
  if (name !== '') ctx.user = { id: name };
  if (life !== undefined) ctx.expires(new Date(Date.now() + Number(life)));
  return next();
};

@Controller('/live')
@UseMiddleware(bearer)
class Live {
  constructor(private readonly connections: Connections) {}

  @Sse()
  @WebSocket()
  open(@Connection() connection: Connection) {
    return { id: connection.id };
  }

  @Rpc('renew')
  async renewed(@Connection() connection: Connection, @Body() { authorization }: { authorization: string }) {
    await connection.renew({ authorization });
    return 'renewed';
  }

  @Post('/renew')
  async renew(@Body() { id, authorization }: { id: string; authorization: string }) {
    await this.connections.get(id)?.renew({ authorization });
  }
}

describe('the index of connections', () => {
  const serve = servers();
  const start = (options: Partial<ServeOptions> = {}) => serve({ controllers: [Live], ...options });
  const index = (server: TestServer) => server.app.container.resolve(Connections);
  const open = (server: TestServer, kind: ReaderKind, authorization = '') =>
    openReader(server, kind, '/live', { headers: authorization === '' ? {} : { authorization } });
  const doorOf = (kind: ReaderKind) => doors.find((door) => door.kind === kind) as Door;

  /** The status by which an opening was refused. */
  async function status(server: TestServer, kind: ReaderKind, authorization = ''): Promise<Refused> {
    const init = { headers: { authorization } };
    const failure = await (kind === 'sse' ? server.sse('/live', init) : server.socket('/live', init)).catch(
      (error: unknown) => error,
    );
    if (failure instanceof Refused) return failure;
    throw new Error('it was not refused');
  }

  /** How a reader was ended: a close code, or what its `end` event says. */
  async function ended(reader: Reader): Promise<unknown> {
    await reader.until(({ closed }) => closed !== undefined);
    const end = reader.received.find(({ event }) => event === 'end');
    return reader.closed === 0 ? (end?.data as { code: number } | undefined)?.code : reader.closed;
  }

  it('counts and lists what is open, of both kinds', async () => {
    const server = start();
    const readers = [
      await open(server, 'sse'),
      await open(server, 'websocket'),
      await open(server, 'websocket'),
    ];
    expect(index(server).count).to.equal(3);
    expect([...index(server)].map(({ kind }) => kind)).to.deep.equal(['sse', 'websocket', 'websocket']);
    expect(server.app.stats().connections).to.deep.equal({ sse: 1, websocket: 2, opened: 3, refused: 0 });
    for (const reader of readers) reader.leave();
    await eventually(() => index(server).count === 0);
    expect([...index(server)]).to.deep.equal([]);
  });

  it('finds connections by their id and by their user', async () => {
    const server = start();
    for (const kind of readerKinds) await open(server, kind, 'ada');
    const other = await open(server, 'sse', 'bob');
    await other.until(({ data }) => data.length === 1);
    const { id } = other.data[0] as { id: string };
    expect(index(server).get(id)?.userId).to.equal('bob');
    expect(index(server).get('none')).to.equal(undefined);
    expect(
      index(server)
        .of('ada')
        .map(({ kind }) => kind),
    ).to.deep.equal(['sse', 'websocket']);
    expect(index(server).of('nobody')).to.deep.equal([]);
  });

  it('sends to all connections of a user', async () => {
    const server = start();
    const readers = await Promise.all(readerKinds.map((kind) => open(server, kind, 'ada')));
    const other = await open(server, 'sse', 'bob');
    expect(index(server).send('ada', 'for ada')).to.equal(2);
    expect(index(server).send('nobody', 'x')).to.equal(0);
    for (const reader of readers) await reader.until(({ data }) => data.includes('for ada'));
    index(server).send('bob', 'for bob');
    await other.until(({ data }) => data.includes('for bob'));
    expect(other.data).to.not.include('for ada');
  });

  for (const kind of readerKinds) {
    describe(`of ${kind}`, () => {
      it('ends those of a user: 3000, or an end event', async () => {
        const server = start();
        const [ada, bob] = [await open(server, kind, 'ada'), await open(server, kind, 'bob')];
        await index(server).revoke({ user: 'ada' }, 'gone');
        expect(await ended(ada)).to.equal(3000);
        if (kind === 'sse') {
          expect(ada.received.at(-1)).to.deep.include({ event: 'end', data: { code: 3000, reason: 'gone' } });
        }
        await eventually(() => index(server).count === 1);
        expect(bob.closed).to.equal(undefined);
      });

      it('ends all of them however long the reason is', async () => {
        const server = start();
        const readers = [await open(server, kind, 'ada'), await open(server, kind, 'ada')];
        await index(server).revoke({ user: 'ada' }, 'ü'.repeat(1_000));
        for (const reader of readers) expect(await ended(reader)).to.equal(3000);
      });

      it('ends those of a session', async () => {
        let id: string | undefined;
        const begin: Middleware = async (ctx, next) => {
          await ctx.session.set('n', 1);
          ({ id } = ctx.session);
          return next();
        };
        const server = start({ middleware: [sessions(), begin] });
        const [first, second] = [await open(server, kind), await open(server, kind)];
        await index(server).revoke({ session: id ?? '' }, 'signed out');
        expect(await ended(second)).to.equal(3000);
        expect(first.closed).to.equal(undefined);
      });

      it('refuses more than there may be with 503, before the head', async () => {
        const server = start({ limits: { connections: 2 } });
        const readers = [await open(server, 'sse'), await open(server, 'websocket')];
        const refused = await status(server, kind);
        expect([refused.status, refused.headers.get('retry-after')]).to.deep.equal([503, '5']);
        readers[0]?.leave();
        await eventually(() => index(server).count === 1);
        await open(server, kind);
      });

      it('refuses more of one user, and from one address, with 429', async () => {
        const server = start({ limits: { connectionsPerUser: 1 } });
        await open(server, 'sse', 'ada');
        expect((await status(server, kind, 'ada')).status).to.equal(429);
        await open(server, kind, 'bob');
        const crowded = start({ limits: { connectionsPerAddress: 2 } });
        for (const user of ['ada', 'bob']) await open(crowded, kind, user);
        expect((await status(crowded, kind, 'eve')).status).to.equal(429);
        expect(crowded.app.stats().connections.refused).to.equal(1);
      });

      it('is told when its time is over, as ctx.expires has said', async () => {
        const server = start();
        const reader = await open(server, kind, 'ada 20');
        expect(await ended(reader)).to.equal(3000);
        await eventually(() => index(server).count === 0);
      });

      it('ends one whose time was over before it opened', async () => {
        const server = start();
        expect(await ended(await open(server, kind, 'ada -1000'))).to.equal(3000);
      });

      it('does not take a deadline beyond the reach of a timer for one that has passed', async () => {
        const server = start();
        const reader = await open(server, kind, `ada ${2 ** 40}`);
        index(server).send('ada', 'still here');
        await reader.until(({ data }) => data.includes('still here'));
        expect(reader.closed).to.equal(undefined);
      });

      it('ends one as its method has said before the head was sent', async () => {
        @Controller('/brief')
        class Brief {
          @Sse()
          @WebSocket()
          open(@Connection() connection: Connection) {
            connection.send('bye');
            connection.close(4000, 'enough');
            connection.send('never');
          }
        }
        const server = serve({ controllers: [Brief] });
        const reader = await openReader(server, kind, '/brief');
        expect(await ended(reader)).to.equal(4000);
        expect(reader.data[0]).to.equal('bye');
        expect(reader.data).to.not.include('never');
        await eventually(() => index(server).count === 0);
      });

      describe('with fresh credentials', () => {
        async function renew(server: TestServer, reader: Reader, authorization: string): Promise<unknown> {
          await reader.until(({ data }) => data.length > 0);
          const { id } = reader.data[0] as { id: string };
          const answer = await server.fetch('/live/renew', { json: { id, authorization } });
          return answer.status;
        }

        it('lives on with another deadline', async () => {
          const server = start();
          const reader = await open(server, kind, 'ada 200');
          expect(await renew(server, reader, 'ada 60000')).to.equal(204);
          const short = await open(server, kind, 'bob 200');
          expect(await ended(short)).to.equal(3000);
          index(server).send('ada', 'still here');
          await reader.until(({ data }) => data.includes('still here'));
          expect(await renew(server, reader, 'ada 1')).to.equal(204);
          expect(await ended(reader)).to.equal(3000);
        });

        it('ends where they are refused', async () => {
          const server = start();
          const reader = await open(server, kind, 'ada 60000');
          expect(await renew(server, reader, 'mallory 60000')).to.equal(403);
          expect(await ended(reader)).to.equal(3003);
        });

        it("ends where they are another user's", async () => {
          const server = start();
          const reader = await open(server, kind, 'ada 60000');
          expect(await renew(server, reader, 'bob 60000')).to.equal(403);
          expect(await ended(reader)).to.equal(3003);
        });
      });

      it('is not miscounted by readers that leave while they are let in', async () => {
        const held: (() => void)[] = [];
        const hold: Middleware = async (_ctx, next) => {
          await new Promise<void>((resolve) => held.push(resolve));
          return next();
        };
        const server = start({ middleware: [hold], limits: { connections: 1 } });
        const client = await knock(server, doorOf(kind), '/live');
        client.on('error', () => client.destroy());
        await eventually(() => held.length === 1);
        client.resetAndDestroy();
        await eventually(() => client.closed);
        held.shift()?.();
        const opening = open(server, kind);
        await eventually(() => held.length === 1);
        held.shift()?.();
        await opening;
        expect(index(server).count).to.equal(1);
      });
    });
  }

  it('renews by a call on the socket itself', async () => {
    const server = start();
    const socket = await server.socket('/live', { headers: { authorization: 'ada 200' } });
    await socket.next();
    socket.send({ jsonrpc: '2.0', id: 1, method: 'renew', params: { authorization: 'ada 60000' } });
    expect(await socket.json()).to.deep.equal({ jsonrpc: '2.0', id: 1, result: 'renewed' });
    expect(await ended(await open(server, 'websocket', 'bob 200'))).to.equal(3000);
    expect(index(server).of('ada')).to.have.length(1);
    socket.send({ jsonrpc: '2.0', id: 2, method: 'renew', params: { authorization: 'bob' } });
    expect((await socket.closed()).code).to.equal(3003);
  });

  it('is not miscounted by handshakes that are refused for their extensions', async () => {
    const server = start({ limits: { connections: 1 }, perMessageDeflate: true });
    for (let i = 0; i < 3; i++) {
      const headers = { 'sec-websocket-extensions': 'permessage-deflate; =unheard_of' };
      const opening = openReader(server, 'websocket', '/live', { headers, perMessageDeflate: false });
      const failure = await opening.catch((error: unknown) => error);
      expect(String(failure)).to.include('400');
    }
    await open(server, 'websocket');
  });
});

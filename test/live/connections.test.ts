import { expect } from 'chai';
import {
  Body,
  Connection,
  Connections,
  Controller,
  Ctx,
  Headers,
  HttpError,
  Param,
  Post,
  Rpc,
  Sse,
  UseMiddleware,
  WebSocket,
  type Context,
  type Middleware,
} from 'coequal';
import { serve, type Refused, type TestServer } from 'coequal/testing';
import { injectable } from 'tsyringe';

/** A token of this test: `name` or `name:milliseconds`, for as long as it is good. */
const guard: Middleware = (ctx, next) => {
  const [name = '', life] = (ctx.headers.authorization ?? '').split(':');
  if (name === '' || name === 'bad') throw new HttpError(401, 'Whose is it?');
  ctx.user = { id: name };
  if (life !== undefined) ctx.expires(new Date(Date.now() + Number(life)));
  return next();
};

@injectable()
@Controller()
@UseMiddleware(guard)
class Site {
  constructor(private readonly connections: Connections) {}

  @Sse('/open') @WebSocket('/open') open(@Ctx() ctx: Context, @Connection() connection: Connection) {
    if (ctx.kind === 'sse') connection.send(connection.id);
  }

  @Rpc('renew') async renew(@Connection() connection: Connection, @Body() { token }: { token: string }) {
    await connection.renew({ Authorization: token });
  }

  @Post('/renew/:id') async renewStream(@Param('id') id: string, @Headers('authorization') token: string) {
    const connection = this.connections.get(id);
    if (connection === undefined) throw new HttpError(404);
    await connection.renew({ authorization: token });
  }
}

const as = (authorization: string) => ({ headers: { authorization } });

describe('the connections', () => {
  const server = serve({ controllers: [Site], logger: false });
  const connections = (of: TestServer = server): Connections => of.app.container.resolve(Connections);

  const refusal = async (opening: Promise<unknown>): Promise<number> =>
    ((await opening.catch((error: unknown) => error)) as Refused).status;

  it('are counted and listed, of both kinds, and forgotten when they end', async () => {
    const [socket, stream] = [await server.socket('/open', as('ada')), await server.sse('/open', as('ada'))];
    expect(connections().count).to.equal(2);
    expect([...connections()].map(({ kind }) => kind).sort()).to.deep.equal(['sse', 'websocket']);
    expect(connections().of('ada')).to.have.length(2);
    expect(connections().get([...connections()][0]?.id ?? '')).to.equal([...connections()][0]);
    socket.close();
    stream.close();
    while (connections().count > 0) await new Promise((resolve) => setImmediate(resolve));
    expect(connections().of('ada')).to.deep.equal([]);
  });

  it('of one user are sent to, and are ended, and no others', async () => {
    const [socket, stream] = [await server.socket('/open', as('bob')), await server.sse('/open', as('bob'))];
    const other = await server.socket('/open', as('eve'));
    await stream.next();
    expect(connections().send('bob', { hello: 'bob' })).to.equal(2);
    expect(await socket.json()).to.deep.equal({ hello: 'bob' });
    expect(await stream.json()).to.deep.equal({ hello: 'bob' });

    await connections().revoke({ user: 'bob' }, 'out');
    expect(await socket.closed()).to.deep.equal({ code: 3000, reason: 'out' });
    expect(await stream.next()).to.include({ event: 'end', data: '{"code":3000,"reason":"out"}' });
    await stream.closed();
    expect(connections().send('eve', 'still here')).to.equal(1);
    expect(await other.next()).to.equal('still here');
    other.close();
  });

  it('end when their credentials do', async () => {
    const socket = await server.socket('/open', as('tim:60'));
    const stream = await server.sse('/open', as('tim:60'));
    expect(await socket.closed()).to.deep.equal({ code: 3000, reason: 'expired' });
    await stream.next();
    expect(await stream.next()).to.include({ event: 'end' });
  });

  it('of sockets are renewed by a call: the deadline moves', async () => {
    const socket = await server.socket('/open', as('ann:60000'));
    const [connection] = connections().of('ann');
    const first = connection?.context.deadline;
    socket.send({ jsonrpc: '2.0', id: 1, method: 'renew', params: { token: 'ann:90000' } });
    expect(await socket.json()).to.deep.include({ id: 1, result: null });
    expect(connection?.context.deadline?.getTime()).to.be.greaterThan(first?.getTime() ?? Infinity);
    socket.send({ jsonrpc: '2.0', id: 2, method: 'renew', params: { token: 'ann:1' } });
    expect(await socket.json()).to.deep.include({ id: 2 });
    expect(await socket.closed()).to.deep.equal({ code: 3000, reason: 'expired' });
  });

  it('of streams are renewed by a POST', async () => {
    const stream = await server.sse('/open', as('pat:60000'));
    const { data: id } = await stream.next();
    const response = await server.fetch(`/renew/${id}`, { method: 'POST', ...as('pat:20') });
    expect(response.status).to.equal(204);
    expect(await stream.next()).to.include({ event: 'end', data: '{"code":3000,"reason":"expired"}' });
  });

  for (const [what, token, code] of [
    ['that the guard refuses', 'bad', 3000],
    ['of another user', 'eve', 3003],
  ] as const) {
    it(`end when they are renewed by credentials ${what}`, async () => {
      const socket = await server.socket('/open', as('sam:60000'));
      socket.send({ jsonrpc: '2.0', id: 1, method: 'renew', params: { token } });
      expect((await socket.closed()).code).to.equal(code);
    });
  }

  it('are limited for one user: 429 before the head, for both kinds together', async () => {
    const limited = serve({ controllers: [Site], logger: false, limits: { connectionsPerUser: 2 } });
    const socket = await limited.socket('/open', as('ada'));
    await limited.sse('/open', as('ada'));
    expect(await refusal(limited.socket('/open', as('ada')))).to.equal(429);
    expect(await refusal(limited.sse('/open', as('ada')))).to.equal(429);
    (await limited.socket('/open', as('bob'))).close();
    socket.close();
    await socket.closed();
    while (connections(limited).of('ada').length > 1) await new Promise((resolve) => setImmediate(resolve));
    (await limited.socket('/open', as('ada'))).close();
    await limited.close();
  });

  it('are limited for one address, 429, and in all, 503, with Retry-After', async () => {
    const address = serve({ controllers: [Site], logger: false, limits: { connectionsPerAddress: 1 } });
    (await address.socket('/open', as('ada'))).send('');
    expect(await refusal(address.socket('/open', as('bob')))).to.equal(429);
    const all = serve({ controllers: [Site], logger: false, limits: { connections: 1 } });
    await all.socket('/open', as('ada'));
    const refused = (await all.sse('/open', as('bob')).catch((error: unknown) => error)) as Refused;
    expect([refused.status, refused.headers.get('retry-after')]).to.deep.equal([503, '5']);
    await Promise.all([address.close(), all.close()]);
  });
});

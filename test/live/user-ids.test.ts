import { expect } from 'chai';
import { Connections, Controller, WebSocket, type Context, type Next } from 'coequal';
import { Refused } from 'coequal/testing';
import { servers } from '../support/doors.js';
import { recorder, type Recorder } from '../support/recorder.js';

class ObjectId {
  constructor(private readonly hex: string) {}
  toString() {
    return this.hex;
  }
}

@Controller()
class Feed {
  @WebSocket('/feed') feed() {}
}

const warnings = ({ lines }: Recorder) => lines.filter(({ level }) => level === 'warn');

const signIn = (user: unknown) => (ctx: Context, next: Next) => {
  ctx.user = user as never;
  return next();
};

describe("a user's id", () => {
  const serve = servers();

  for (const [name, id] of [
    ['a string', '7'],
    ['a number', 7],
    ['a bigint', 7n],
    ['an object with its own toString', new ObjectId('7')],
  ] as const) {
    it(`is known by its text where it is ${name}`, async () => {
      const limits = { connectionsPerUser: 1 };
      const server = serve({ controllers: [Feed], middleware: [signIn({ id })], limits });
      const socket = await server.socket('/feed');
      const second: unknown = await server.socket('/feed').catch((error: unknown) => error);
      expect(second).to.be.instanceOf(Refused).with.property('status', 429);
      const connections = server.app.container.resolve(Connections);
      for (const same of ['7', 7, 7n, new ObjectId('7')]) expect(connections.of(same)).to.have.length(1);
      expect(connections.send(id, 'hello')).to.equal(1);
      expect(await socket.next()).to.equal('hello');
      await connections.revoke({ user: id }, 'locked');
      expect(await socket.closed()).to.deep.equal({ code: 3000, reason: 'locked' });
    });
  }

  it('may be any of those where userId gives it', async () => {
    const userId = (user: unknown) => (user as { key: ObjectId }).key;
    const middleware = [signIn({ key: new ObjectId('x') })];
    const server = serve({ controllers: [Feed], middleware, userId });
    await server.socket('/feed');
    expect(server.app.container.resolve(Connections).of('x')).to.have.length(1);
  });

  for (const id of [
    undefined,
    null,
    true,
    Number.NaN,
    {},
    ['7'],
    Buffer.from('7'),
    Object.create(null),
  ] as unknown[]) {
    it(`is logged once at the handshake where it names nobody: ${Object.prototype.toString.call(id)}`, async () => {
      const logger = recorder();
      const server = serve({ controllers: [Feed], middleware: [signIn({ id })], logger });
      await server.socket('/feed');
      await server.socket('/feed');
      expect(warnings(logger)).to.have.length(1);
    });
  }

  it('is not missed where nobody has signed in, or userId says that there is none', async () => {
    const logger = recorder();
    await serve({ controllers: [Feed], logger }).socket('/feed');
    await serve({ controllers: [Feed], middleware: [signIn({})], userId: () => undefined, logger }).socket(
      '/feed',
    );
    expect(warnings(logger)).to.deep.equal([]);
  });

  it('that names nobody is a TypeError of those who ask by it', async () => {
    const connections = serve({ controllers: [Feed] }).app.container.resolve(Connections);
    expect(() => connections.of({})).to.throw(TypeError);
    expect(await connections.revoke({ user: {} }).catch((error: unknown) => error)).to.be.instanceOf(
      TypeError,
    );
  });
});

import { expect } from 'chai';
import { Connections, Controller, Post, Session, type Middleware, type SessionStore } from 'coequal';
import { Refused } from 'coequal/testing';
import { doors, servers } from '../support/doors.js';
import { Journal } from '../support/journal.js';
import { LONG } from '../support/long.js';
import { Shelf, Site, siteOf } from '../support/site.js';

/** Each has five sign-outs, and ten handshakes against each of them. */
const BATCHES = LONG ? 20 : 5;

describe('sessions', () => {
  const serve = servers();

  describe('the end of a session', () => {
    it('ends its sockets and streams, and no others', async () => {
      const visitor = siteOf(serve);
      const other = visitor.another();
      await Promise.all([visitor.post('/sign-in'), other.post('/sign-in')]);
      const [socket, stream] = await Promise.all([visitor.socket('/me'), visitor.sse('/me')]);
      const [kept, keptStream] = await Promise.all([other.socket('/count'), other.sse('/me')]);
      await Promise.all([stream.next(), keptStream.next()]);
      await visitor.post('/sign-out');
      expect(await socket.closed()).to.deep.equal({ code: 3000, reason: 'signed out' });
      const end = await stream.next();
      expect([end.event, JSON.parse(end.data)]).to.deep.equal(['end', { code: 3000, reason: 'signed out' }]);
      await stream.closed();
      expect(await kept.next(), 'what is sent to the user still arrives').to.equal('late');
      expect(await keptStream.next()).to.include({ event: 'message', data: 'late' });
      kept.send('"add"');
      expect(await kept.json()).to.deep.equal({ count: 1 });
      kept.close();
      keptStream.close();
    });

    it('ends its sockets and streams if the store fails, and the next request ends it in the store', async () => {
      const shelf = new Shelf();
      const outage = { on: false };
      const write = <T>(work: () => T): T => {
        if (outage.on) throw new Error('connection refused');
        return work();
      };
      const store: SessionStore = {
        get: (key) => shelf.get(key),
        set: (key, record) => write(() => shelf.set(key, record)),
        delete: (key) => write(() => shelf.delete(key)),
      };
      const visitor = siteOf(serve, { store });
      await visitor.post('/sign-in');
      const tab = visitor.another(visitor.cookie);
      const [socket, stream] = await Promise.all([visitor.socket('/me'), visitor.sse('/me')]);
      await stream.next();
      outage.on = true;
      expect((await visitor.post('/sign-out')).status).to.equal(500);
      expect(await socket.closed()).to.deep.equal({ code: 3000, reason: 'signed out' });
      expect(await stream.next()).to.include({ event: 'end' });
      outage.on = false;
      expect(await (await tab.get('/look')).json()).to.include({ exists: false });
      expect(shelf.keys).to.deep.equal([]);
    });

    it('can be tried again by the method whose store has failed', async () => {
      @Controller()
      class Leave {
        @Post('/leave') async leave(@Session() session: Session) {
          await session.destroy().catch(() => session.destroy());
        }
      }
      const shelf = new Shelf();
      let failures = 0;
      const store: SessionStore = {
        get: (key) => shelf.get(key),
        set: (key, record) => shelf.set(key, record),
        delete: (key) => {
          if (failures++ === 0) throw new Error('connection refused');
          return shelf.delete(key);
        },
      };
      const visitor = siteOf(serve, { store }, { controllers: [Site, Leave] });
      await visitor.post('/visit');
      expect((await visitor.post('/leave')).status).to.equal(204);
      expect([failures, shelf.keys]).to.deep.equal([2, []]);
    });

    it('lets nothing through to them once destroy() has resolved', async () => {
      const visitor = siteOf(serve);
      await visitor.post('/sign-in');
      const [socket, stream] = await Promise.all([visitor.socket('/me'), visitor.sse('/me')]);
      const open = [...visitor.server.app.container.resolve(Connections)];
      expect(open).to.have.length(2);
      await visitor.post('/sign-out');
      expect(open.map((connection) => connection.send('late'))).to.deep.equal([false, false]);
      await socket.closed();
      const messages: unknown[] = [];
      for await (const message of socket) messages.push(message);
      expect(messages).to.deep.equal(['{"user":"ada"}']);
      const events: string[] = [];
      for await (const { event } of stream) events.push(event);
      expect(events).to.deep.equal(['message', 'end']);
    });

    for (const door of doors.filter(({ kind }) => kind !== 'http')) {
      it(`while the guard of ${door.kind} awaits is a 401, and nothing opens`, async () => {
        const journal = new Journal();
        const gate: Middleware = async (ctx, next) => {
          if (ctx.path === '/me') {
            journal.note('waiting');
            await journal.until('signed out');
          }
          await next();
        };
        const visitor = siteOf(serve, { store: new Shelf() }, { middleware: [gate] });
        await visitor.post('/sign-in');
        const opening = door.open(visitor.server, '/me', await visitor.headers());
        await journal.until('waiting');
        await visitor.post('/sign-out');
        journal.note('signed out');
        expect((await opening).problem).to.include({ status: 401 });
        expect(visitor.server.app.stats().connections).to.include({ sse: 0, websocket: 0, opened: 0 });
      });

      it(`in another process while ${door.kind} opens is a 401`, async () => {
        const shelf = new Shelf();
        const journal = new Journal();
        const gate: Middleware = async (_ctx, next) => {
          await next();
          // All that this process knows of the session says that it lives: the store has the last word.
          if (journal.count('signed in') > 0) shelf.records.clear();
        };
        const visitor = siteOf(serve, { store: shelf }, { middleware: [gate] });
        await visitor.post('/sign-in');
        journal.note('signed in');
        expect((await door.open(visitor.server, '/me', await visitor.headers())).problem).to.include({
          status: 401,
        });
        expect(visitor.server.app.stats().connections.opened).to.equal(0);
      });
    }

    it(`leaves nothing open in a race of ${BATCHES * 50} handshakes against sign-outs`, async function () {
      this.timeout(30_000);
      const visitor = siteOf(serve, { store: new Shelf() });
      const outcomes = { refused: 0, opened: 0 };
      const knock = async (opening: Promise<{ closed(options: { timeout: number }): Promise<unknown> }>) => {
        try {
          await (await opening).closed({ timeout: 10_000 });
          outcomes.opened++;
        } catch (error) {
          if (!(error instanceof Refused) || error.status !== 401) throw error;
          outcomes.refused++;
        }
      };
      for (let batch = 0; batch < BATCHES; batch++) {
        const users = await Promise.all(
          Array.from({ length: 5 }, async () => {
            const user = visitor.another();
            await user.post('/sign-in');
            // The sign-out forgets the cookie; those who race keep it.
            return { user, tabs: Array.from({ length: 10 }, () => user.another(user.cookie)) };
          }),
        );
        await Promise.all(
          users.map(async ({ user, tabs }, index) => {
            const knocks = tabs.map((tab, i) => knock(i % 2 === 0 ? tab.socket('/me') : tab.sse('/me')));
            // Each at another point of the handshakes.
            for (let requests = 0; requests < (batch + index) % 5; requests++) await user.get('/look');
            await user.post('/sign-out');
            await Promise.all(knocks);
          }),
        );
      }
      expect(outcomes.refused + outcomes.opened).to.equal(BATCHES * 50);
      expect(visitor.server.app.stats().connections).to.include({ sse: 0, websocket: 0 });
    });

    it('is the end of its renewed session for a connection whose credentials were renewed', async () => {
      const visitor = siteOf(serve);
      const elsewhere = visitor.another();
      await Promise.all([visitor.post('/sign-in'), elsewhere.post('/sign-in')]);
      const socket = await visitor.socket('/count');
      const [connection] = visitor.server.app.container.resolve(Connections).of('ada');
      await connection?.renew({ cookie: elsewhere.cookie });
      await visitor.post('/sign-out');
      expect(await socket.next(), 'it is open still').to.equal('late');
      await elsewhere.post('/sign-out');
      expect(await socket.closed()).to.deep.equal({ code: 3000, reason: 'signed out' });
    });
  });
});

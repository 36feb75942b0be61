import { expect } from 'chai';
import type { SessionStore } from 'coequal';
import { servers } from '../support/doors.js';
import { LocalBroker } from '../../src/live/broker/local-broker.js';
import { Journal, Recorder } from '../support/journal.js';
import { Shelf, siteOf } from '../support/site.js';

describe('sessions', () => {
  const serve = servers();

  describe('time', () => {
    it('ends a session that is not used', async () => {
      const shelf = new Shelf();
      const visitor = siteOf(serve, { store: shelf, idle: 10_000, rolling: false });
      await visitor.post('/visit');
      shelf.age({ seen: 9_000 });
      expect(await (await visitor.get('/look')).json()).to.include({ exists: true });
      shelf.age({ seen: 1_000 });
      expect(await (await visitor.get('/look')).json()).to.include({ exists: false });
    });

    it('begins the idle time anew with each use, reads included', async () => {
      const written = new Journal();
      const shelf = new Shelf();
      const store: SessionStore = {
        get: (key) => shelf.get(key),
        set: async (key, record) => {
          await shelf.set(key, record);
          written.note('written');
        },
        delete: (key) => shelf.delete(key),
      };
      const visitor = siteOf(serve, { store, idle: 10_000 });
      await visitor.post('/visit');
      const writes = written.count('written');
      shelf.age({ seen: 6_000 });
      const { seen } = shelf.only();
      await visitor.get('/look');
      await written.until('written', writes + 1);
      expect(shelf.only().seen - seen).to.be.greaterThan(5_000);
    });

    it('does not begin it anew where it is not rolling', async () => {
      const shelf = new Shelf();
      const visitor = siteOf(serve, { store: shelf, idle: 10_000, rolling: false });
      await visitor.post('/visit');
      const { seen } = shelf.only();
      shelf.age({ seen: 6_000 });
      await visitor.post('/visit');
      expect(shelf.only().seen).to.equal(seen - 6_000);
      shelf.age({ seen: 4_000 });
      expect(await (await visitor.get('/look')).json()).to.include({ exists: false });
    });

    it('ends a session however much it is used', async () => {
      const shelf = new Shelf();
      const visitor = siteOf(serve, { store: shelf, absolute: 10_000 });
      await visitor.post('/visit');
      shelf.age({ created: 9_000 });
      await visitor.post('/visit');
      shelf.age({ created: 1_000 });
      expect(await (await visitor.get('/look')).json()).to.include({ exists: false });
    });

    it('tells the store for how long a session is to be kept', async () => {
      const lifetimes: number[] = [];
      const shelf = new Shelf();
      const store: SessionStore = {
        get: (key) => shelf.get(key),
        set: (key, record, lifetime) => {
          lifetimes.push(lifetime);
          return shelf.set(key, record);
        },
        delete: (key) => shelf.delete(key),
      };
      const visitor = siteOf(serve, { store, idle: 10_000, absolute: 15_000 });
      await visitor.post('/visit');
      expect(Math.max(...lifetimes)).to.be.within(9_000, 10_000);
      shelf.age({ created: 10_000 });
      lifetimes.length = 0;
      await visitor.post('/visit');
      expect(Math.max(...lifetimes)).to.be.within(3_000, 5_000);
    });

    it('ends the connections of a session whose absolute time is over', async () => {
      const shelf = new Shelf();
      const visitor = siteOf(serve, { store: shelf, absolute: 10_000 });
      await visitor.post('/sign-in');
      shelf.age({ created: 9_800 });
      const [socket, stream] = await Promise.all([visitor.socket('/me'), visitor.sse('/me')]);
      expect(await socket.closed()).to.include({ code: 3000 });
      await stream.next();
      expect(await stream.next()).to.include({ event: 'end' });
    });

    it('ends the connections of a session that is not used', async () => {
      const shelf = new Shelf();
      const visitor = siteOf(serve, { store: shelf, idle: 10_000 });
      await visitor.post('/sign-in');
      // Opening is a use; here it does not count, so that the end is near.
      const still = siteOf(serve, { store: shelf, idle: 10_000, rolling: false });
      still.cookie = visitor.cookie;
      shelf.age({ seen: 9_800 });
      const [socket, stream] = await Promise.all([still.socket('/me'), still.sse('/me')]);
      expect(await socket.closed()).to.deep.equal({ code: 3000, reason: 'expired' });
      await stream.next();
      expect(await stream.next()).to.include({ event: 'end' });
      expect(shelf.keys, 'and the session with them').to.deep.equal([]);
    });

    it('ends the connections of a session when a request finds that it has expired', async () => {
      const shelf = new Shelf();
      const visitor = siteOf(serve, { store: shelf, idle: 10_000 });
      await visitor.post('/sign-in');
      const [socket, stream] = await Promise.all([visitor.socket('/me'), visitor.sse('/me')]);
      await stream.next();
      shelf.age({ seen: 10_000 });
      await visitor.get('/look');
      expect(await socket.closed()).to.deep.equal({ code: 3000, reason: 'expired' });
      expect(await stream.next()).to.include({ event: 'end' });
    });

    it('ends the connections of a session when store and broker fail at its end', async () => {
      const shelf = new Shelf();
      const outage = { on: false };
      const failing = <T>(work: () => T): T => {
        if (outage.on) throw new Error('connection refused');
        return work();
      };
      class Broker extends LocalBroker {
        override revoke(...given: Parameters<LocalBroker['revoke']>): void {
          failing(() => super.revoke(...given));
        }
      }
      const store: SessionStore = {
        get: async (key) => failing(() => shelf.get(key)),
        set: (key, record) => failing(() => shelf.set(key, record)),
        delete: (key) => failing(() => shelf.delete(key)),
      };
      const logger = new Recorder();
      const visitor = siteOf(
        serve,
        { store, idle: 10_000, rolling: false },
        { logger, broker: new Broker() },
      );
      await visitor.post('/sign-in');
      shelf.age({ seen: 9_800 });
      const socket = await visitor.socket('/me');
      outage.on = true;
      expect(await socket.closed()).to.deep.equal({ code: 3000, reason: 'expired' });
      expect(logger.at('error').map(({ message }) => message)).to.deep.equal(['session could not be ended']);
    });

    it('keeps the connections of a session for as long as their client sends', async () => {
      const idle = 200;
      const visitor = siteOf(serve, { store: new Shelf(), idle });
      await visitor.post('/sign-in');
      const socket = await visitor.socket('/count');
      const end = Date.now() + 2 * idle;
      while (Date.now() < end) {
        socket.send('"look"');
        expect(await socket.json()).to.deep.equal({ count: 0 });
      }
      expect(await socket.closed()).to.deep.equal({ code: 3000, reason: 'expired' });
    });

    it('keeps the connections of a session that another process uses', async () => {
      const shelf = new Shelf();
      const asked = new Journal();
      const store: SessionStore = {
        get: (key) => {
          asked.note('get');
          return shelf.get(key);
        },
        set: (key, record) => shelf.set(key, record),
        delete: (key) => shelf.delete(key),
      };
      const here = siteOf(serve, { store, idle: 10_000, rolling: false });
      await here.post('/sign-in');
      shelf.age({ seen: 9_800 });
      const socket = await here.socket('/count');
      shelf.age({ seen: -9_000 });
      // The end of the idle time that was known here has it looked up.
      await asked.until('get', asked.count('get') + 1);
      socket.send('"look"');
      expect(await socket.json()).to.deep.equal({ count: 0 });
      socket.close();
    });
  });
});

import { expect } from 'chai';
import { Channel, Channels, conflate, defineChannel, type ChannelDefinition } from 'coequal';
import type { TestServer } from 'coequal/testing';
import { LocalBroker } from '../../src/live/broker/local-broker.js';
import { deferred } from '../support/deferred.js';
import { servers } from '../support/doors.js';
import { roomsOf } from '../support/rooms.js';

describe('a channel', () => {
  const serve = servers();
  const Room = defineChannel('rooms/:room');

  function of<T>(server: TestServer, definition: ChannelDefinition<T>, room = 'lobby'): Channel<T> {
    return server.app.container.resolve(Channels).of(definition, { room });
  }

  describe('read by a loop in the server', () => {
    const start = () => serve({ controllers: [roomsOf(Room)] });

    it('works from the moment that the loop is made', async () => {
      const room = of(start(), Room);
      const loop = room[Symbol.asyncIterator]();
      room.publish(1);
      room.publish(2);
      expect(await loop.next()).to.deep.equal({ done: false, value: 1 });
      expect(await loop.next()).to.deep.equal({ done: false, value: 2 });
      const third = loop.next();
      room.publish(3);
      expect(await third).to.deep.equal({ done: false, value: 3 });
    });

    it('throws what the broker fails with that cannot attach it, also if the loop has not begun to wait', async () => {
      const attaching = deferred();
      class Broker extends LocalBroker {
        override async attach(): Promise<void> {
          await attaching.promise;
          throw new Error('broker down');
        }
      }
      const server = serve({ controllers: [roomsOf(Room)], broker: new Broker() });
      const room = of(server, Room);
      const [waiting, later] = [room[Symbol.asyncIterator](), room[Symbol.asyncIterator]()];
      const failure = (loop: AsyncIterator<unknown>) => loop.next().then(() => undefined, String);
      const first = failure(waiting);
      attaching.resolve();
      expect(await first).to.equal('Error: broker down');
      expect(await failure(later)).to.equal('Error: broker down');
      expect(server.app.stats().channels).to.equal(0);
    });

    it('is left with the loop', async () => {
      const server = start();
      const room = of(server, Room);
      const values: unknown[] = [];
      const reading = (async () => {
        for await (const value of room) if (values.push(value) === 2) break;
      })();
      for (const n of [1, 2, 3]) room.publish(n);
      await reading;
      expect(values).to.deep.equal([1, 2]);
      expect(server.app.stats().channels).to.equal(0);
    });

    it('ends a loop that is more than 1,000 messages behind with an error, after what it has', async () => {
      const server = start();
      const room = of(server, Room);
      const loop = room[Symbol.asyncIterator]();
      for (let i = 0; i <= 1_000; i++) room.publish(i);
      expect(server.app.stats().channels).to.equal(0);
      for (let i = 0; i <= 1_000; i++) expect(await loop.next()).to.deep.equal({ done: false, value: i });
      const failure = await loop.next().then(
        () => undefined,
        (error: unknown) => error,
      );
      expect(String(failure)).to.include('more than 1000 messages behind');
      expect(await loop.next()).to.deep.equal({ done: true, value: undefined });
    });

    it('drops the oldest, or keeps the latest per key, where its definition says so', async () => {
      const Oldest = defineChannel<number>('numbers/:room', { overflow: 'drop-oldest' });
      const Latest = defineChannel<{ key: string; n: number }>('prices/:room', {
        overflow: conflate(({ key }) => key),
      });
      const server = start();
      const [oldest, latest] = [of(server, Oldest), of(server, Latest)];
      const [one, two] = [oldest[Symbol.asyncIterator](), latest[Symbol.asyncIterator]()];
      for (let n = 0; n < 1_200; n++) {
        oldest.publish(n);
        latest.publish({ key: n % 2 === 0 ? 'even' : 'odd', n });
      }
      expect(await one.next()).to.deep.equal({ done: false, value: 200 });
      expect((await two.next()).value).to.deep.equal({ key: 'even', n: 1_198 });
      expect((await two.next()).value).to.deep.equal({ key: 'odd', n: 1_199 });
      expect(server.app.stats().messages).to.include({ dropped: 200, conflated: 1_198 });
    });

    it('serves others when the key of a value cannot be told, and its publisher hears of it', async () => {
      const Latest = defineChannel<{ symbol: { name: string } }>('prices/:room', {
        overflow: conflate(({ symbol }) => symbol.name),
      });
      const room = of(start(), Latest);
      const loops = [room[Symbol.asyncIterator](), room[Symbol.asyncIterator]()];
      expect(() => room.publish({} as never)).to.throw(TypeError);
      for (const loop of loops) expect((await loop.next()).value).to.deep.equal({});
    });
  });
});

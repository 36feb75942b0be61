import { expect } from 'chai';
import { Channel, Channels, Connections, Controller, defineChannel, Get, Sse, WebSocket } from 'coequal';
import { mistreated, type Mistreated } from '../../support/canary.js';
import { until } from '../../support/deferred.js';
import { openReader, readerKinds, type Reader } from '../../support/reader.js';

const MIB = 1_048_576;
const Room = defineChannel<string>('rooms/:room');
const Kept = defineChannel<string>('kept/:name', { history: 1_000 });

@Controller()
class Rooms {
  @Sse('/rooms/:room') @WebSocket('/rooms/:room') read(@Channel(Room) room: Channel<string>) {
    return room;
  }
  @Get('/kept/:name') kept(@Channel(Kept) kept: Channel<string>) {
    return kept;
  }
}

const roomOf = ({ server }: Mistreated): Channel<string> =>
  server.app.container.resolve(Channels).of(Room, { room: 'lobby' });

describe('Broadcast', () => {
  describe('bounds of one value', () => {
    const suite = mistreated({ controllers: [Rooms] });
    for (const kind of readerKinds) {
      suite.holds(`let a burst of 8 MiB and one value of 5 MiB through, by ${kind}`, async () => {
        const reader = await openReader(suite.server, kind, '/rooms/lobby');
        const room = roomOf(suite);
        const text = 'x'.repeat(8_000);
        for (let n = 0; n < 1_049; n++) room.publish(text);
        room.publish('y'.repeat(5 * MIB));
        await reader.until(({ received, closed }) => received.length === 1_050 || closed !== undefined);
        expect([reader.received.length, reader.closed]).to.deep.equal([1_050, undefined]);
        reader.leave();
      });
    }

    suite.holds("are 16 MiB by default, and more is the sender's error", async () => {
      const readers = await Promise.all(
        readerKinds.map((kind) => openReader(suite.server, kind, '/rooms/lobby')),
      );
      const room = roomOf(suite);
      expect(() => room.publish('x'.repeat(16 * MIB + 1))).to.throw(RangeError);
      room.publish('afterwards');
      for (const reader of readers) await reader.until(({ received }) => received.length > 0);
      expect(readers.map(({ data, closed }) => [data, closed])).to.deep.equal(
        readers.map(() => [['afterwards'], undefined]),
      );
      for (const reader of readers) reader.leave();

      // The parser of the stream's client takes too long for what is as large as this.
      const socket = await openReader(suite.server, 'websocket', '/rooms/lobby');
      room.publish('x'.repeat(16 * MIB - 1_000));
      await socket.until(({ received, closed }) => received.length === 1 || closed !== undefined);
      expect([socket.received.length, socket.closed]).to.deep.equal([1, undefined]);
      socket.leave();
    });
  });

  describe('bounds of all readers together', () => {
    const suite = mistreated({
      controllers: [Rooms],
      limits: { buffered: 64 * MIB, bufferedTotal: 4 * MIB, value: MIB },
    });
    suite.holds('end those that have taken nothing for the longest, and none that reads', async () => {
      const stuck: Reader[] = [];
      for (const kind of readerKinds) stuck.push(await openReader(suite.server, kind, '/rooms/lobby'));
      for (const reader of stuck) reader.pause();
      const readers: Reader[] = [];
      for (const kind of readerKinds) readers.push(await openReader(suite.server, kind, '/rooms/lobby'));
      const room = roomOf(suite);
      let n = 0;
      while (room.size > readers.length) {
        room.publish('x'.repeat(64_000));
        n++;
        await Promise.all(
          readers.map((reader) =>
            reader.until(({ received, closed }) => received.length === n || closed !== undefined),
          ),
        );
        // None has reached what may wait for it alone: it is the sum that ends them.
        expect(suite.server.app.stats().buffered).to.be.lessThan(64 * MIB);
      }
      expect(readers.map(({ received, closed }) => [received.length, closed])).to.deep.equal(
        readers.map(() => [n, undefined]),
      );
      for (const reader of stuck) {
        reader.resume();
        await reader.until(({ closed }) => closed !== undefined);
      }
      for (const reader of readers) reader.leave();
      await until(() => room.size === 0);
    });
  });

  describe('bounds of histories', () => {
    const suite = mistreated({ controllers: [Rooms], limits: { history: 4 * MIB, buffered: 100_000 } });

    suite.holds('hold for 100,000 names together, and are counted', () => {
      const channels = suite.server.app.container.resolve(Channels);
      for (let n = 0; n < 100_000; n++) channels.of(Kept, { name: n }).publish('kept');
      const { history } = suite.server.app.stats();
      expect(history.bytes).to.be.within(1, 4 * MIB);
      expect(history.channels).to.be.lessThan(100_000);
    });

    suite.holds('hold for a GET, which responds with the newest', async () => {
      const kept = suite.server.app.container.resolve(Channels).of(Kept, { name: 'long' });
      for (let n = 0; n < 1_000; n++) kept.publish(`${n} ${'x'.repeat(1_000)}`);
      const response = await suite.server.fetch('/kept/long');
      const text = await response.text();
      expect(text.length).to.be.within(90_000, 100_000);
      const numbers = (JSON.parse(text) as string[]).map((one) => Number.parseInt(one, 10));
      expect(numbers).to.deep.equal(numbers.map((_, i) => 1_000 - numbers.length + i));
      expect(suite.server.app.container.resolve(Connections).count, "the canary's alone").to.equal(1);
    });
  });
});

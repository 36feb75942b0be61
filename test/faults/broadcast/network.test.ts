import { expect } from 'chai';
import { Channels, defineChannel, type Channel } from 'coequal';
import { mistreated } from '../../support/canary.js';
import { FaultProxy, type Pace } from '../../support/fault-proxy.js';
import { openReader, readerKinds, type Reader, type ReaderKind } from '../../support/reader.js';
import { roomsOf } from '../../support/rooms.js';

const Room = defineChannel<unknown>('rooms/:room', { history: 5 });

const travels: { how: string; pace: Pace }[] = [
  { how: 'as they are sent', pace: 'whole' },
  { how: 'late', pace: 'late' },
  { how: 'byte by byte', pace: 'bytes' },
  { how: 'late and many at once', pace: 'gathered' },
];

describe('Broadcast', () => {
  describe('a reader whose bytes travel badly', () => {
    const { server, holds } = mistreated({ controllers: [roomsOf(Room)] });
    let proxy: FaultProxy;
    let room: Channel<unknown>;
    let name = '';
    let serial = 0;

    beforeEach(() => {
      name = `room ${++serial}`;
      room = server.app.container.resolve(Channels).of(Room, { room: name });
    });
    afterEach(() => proxy.close());

    function travel(pace: Pace): void {
      proxy = new FaultProxy(server, ({ up, down }) => {
        up.pace = down.pace = pace;
      });
    }

    function open(kind: ReaderKind, cursor = ''): Promise<Reader> {
      const query = cursor === '' ? '' : `?lastEventId=${cursor}`;
      return openReader(proxy, kind, `/rooms/${name}${query}`, { protocols: ['coequal.events'] });
    }

    async function first(reader: Reader, count: number): Promise<unknown[]> {
      await reader.until(({ received }) => received.length >= count);
      return reader.received.map(({ event, data }) => (event === undefined ? data : { [event]: data }));
    }

    for (const { how, pace } of travels) {
      for (const kind of readerKinds) {
        holds(`gets by ${kind} what is kept, and then what comes, in order, ${how}`, async () => {
          travel(pace);
          const values = ['one', { two: 'zwölf 😀' }, [3], 'line\nbreak', null];
          for (const value of values) room.publish(value);
          const reader = await open(kind);
          for (const n of [6, 7, 8]) room.publish(n);
          expect(await first(reader, 8)).to.deep.equal([...values, 6, 7, 8]);
        });

        holds(`gets by ${kind} what it has missed, each once, when it returns, ${how}`, async () => {
          travel(pace);
          room.publish(1);
          const before = await open(kind);
          room.publish(2);
          expect(await first(before, 2)).to.deep.equal([1, 2]);
          before.leave();
          room.publish(3);
          const after = await open(kind, before.cursor);
          room.publish(4);
          expect(await first(after, 2)).to.deep.equal([3, 4]);
        });

        holds(`is told by ${kind} of what is not kept any more, ${how}`, async () => {
          travel(pace);
          const before = await open(kind);
          await before.until(({ cursor }) => cursor !== undefined);
          before.leave();
          for (let n = 1; n <= 6; n++) room.publish(n);
          const after = await open(kind, before.cursor);
          expect(await first(after, 6)).to.deep.equal([{ gap: { reason: 'trimmed' } }, 2, 3, 4, 5, 6]);
        });
      }
    }
  });
});

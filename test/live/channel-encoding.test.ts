import { encode } from '@msgpack/msgpack';
import { expect } from 'chai';
import {
  Channel,
  Channels,
  Controller,
  defineChannel,
  WebSocket,
  type ChannelDefinition,
  type Codec,
} from 'coequal';
import type { TestServer } from 'coequal/testing';
import { servers } from '../support/doors.js';
import { openReader, readerKinds } from '../support/reader.js';
import { roomsOf } from '../support/rooms.js';

const msgpack: Codec = { encode: (value) => encode(value, { useBigInt64: true }), decode: () => undefined };

/** A value that counts how often it was encoded. */
class Counted {
  count = 0;

  toJSON(): unknown {
    return { count: ++this.count };
  }
}

describe('a channel that is read in several formats', () => {
  const serve = servers();
  const Room = defineChannel('rooms/:room');

  function of<T>(server: TestServer, definition: ChannelDefinition<T>, room = 'lobby'): Channel<T> {
    return server.app.container.resolve(Channels).of(definition, { room });
  }

  describe('encodes a message', () => {
    it('once for all sockets and once for all streams, however many there are', async () => {
      const server = serve({ controllers: [roomsOf(Room)] });
      const readers = await Promise.all(
        readerKinds.flatMap((kind) =>
          Array.from({ length: 20 }, () => openReader(server, kind, '/rooms/lobby')),
        ),
      );
      const value = new Counted();
      of(server, Room).publish(value);
      for (const reader of readers) await reader.until(({ data }) => data.length === 1);
      expect(value.count).to.equal(2);
    });

    it('once for the sockets of several routes without a codec', async () => {
      @Controller('/other/:room')
      class Others {
        @WebSocket()
        read(@Channel(Room) room: Channel) {
          return room;
        }
      }
      const server = serve({ controllers: [roomsOf(Room), Others] });
      const readers = await Promise.all(
        ['/rooms/a', '/other/a'].map((path) => openReader(server, 'websocket', path)),
      );
      const value = new Counted();
      of(server, Room, 'a').publish(value);
      for (const reader of readers) await reader.until(({ data }) => data.length === 1);
      expect(value.count).to.equal(1);
    });

    it('once with permessage-deflate, for those who have it and those who have not', async () => {
      const server = serve({ controllers: [roomsOf(Room)], perMessageDeflate: true });
      const plain = await openReader(server, 'websocket', '/rooms/lobby', { perMessageDeflate: false });
      const readers = await Promise.all(
        Array.from({ length: 5 }, () => openReader(server, 'websocket', '/rooms/lobby')),
      );
      const value = new Counted();
      of(server, Room).publish(value);
      for (const reader of [plain, ...readers]) {
        await reader.until(({ data }) => data.length === 1);
        expect(reader.data).to.deep.equal([{ count: 1 }]);
      }
      expect(value.count).to.equal(1);
    });

    it('by the codec of each route, and once for routes that share it', async () => {
      let encoded = 0;
      const codec: Codec = { ...msgpack, encode: (value) => (encoded++, msgpack.encode(value)) };
      @Controller('/packed/:room')
      class Packed {
        @WebSocket('/one', { codec })
        @WebSocket('/two', { codec })
        read(@Channel(Room) room: Channel) {
          return room;
        }
      }
      const server = serve({ controllers: [roomsOf(Room), Packed] });
      const sockets = await Promise.all(
        ['/packed/a/one', '/packed/a/two', '/rooms/a'].map((path) => server.socket(path)),
      );
      of(server, Room, 'a').publish({ n: 1 });
      const [one, two, json] = await Promise.all(sockets.map((socket) => socket.next()));
      expect([one, two]).to.deep.equal([Buffer.from(encode({ n: 1 })), Buffer.from(encode({ n: 1 }))]);
      expect(json).to.equal('{"n":1}');
      expect(encoded).to.equal(1);
    });

    it('with deflate in order with all else that a socket is sent', async () => {
      const server = serve({
        controllers: [roomsOf(Room, (_room, connection) => void connection.send('hello'))],
        perMessageDeflate: true,
      });
      const socket = await server.socket('/rooms/lobby');
      expect(socket.raw.extensions).to.include('permessage-deflate');
      for (let i = 0; i < 50; i++) of(server, Room).publish({ i, text: 'x'.repeat(2_000) });
      expect(await socket.next()).to.equal('hello');
      for (let i = 0; i < 50; i++) expect(await socket.json()).to.include({ i });
    });
  });

  describe('with a value that a format cannot encode', () => {
    for (const deflate of [false, true]) {
      it(`tells the publisher once, and serves the other formats${deflate ? ', with deflate too' : ''}`, async () => {
        const Kept = defineChannel('rooms/:room', { history: { messages: 10, bytes: 10_000 } });
        @Controller('/packed/:room')
        class Packed {
          @WebSocket('', { codec: msgpack })
          read(@Channel(Kept) room: Channel) {
            return room;
          }
        }
        const server = serve({ controllers: [roomsOf(Kept), Packed], perMessageDeflate: deflate });
        const packed = await server.socket('/packed/a');
        const json = await Promise.all(
          readerKinds.flatMap((kind) => [1, 2].map(() => openReader(server, kind, '/rooms/a'))),
        );
        expect(() => of(server, Kept, 'a').publish({ big: 1n })).to.throw(TypeError, 'BigInt');
        expect(await packed.next()).to.deep.equal(Buffer.from(encode({ big: 1n }, { useBigInt64: true })));
        of(server, Kept, 'a').publish('next');
        expect((await packed.next()).toString()).to.equal('next');
        for (const reader of json) {
          await reader.until(({ data }) => data.length === 1);
          expect(reader.data).to.deep.equal(['next']);
        }
      });
    }
  });
});

import { expect } from 'chai';
import { z } from 'zod';
import {
  Channel,
  Channels,
  Connection,
  Connections,
  Controller,
  defineChannel,
  Get,
  HttpError,
  Post,
  Sse,
  WebSocket,
  type ChannelDefinition,
} from 'coequal';
import type { TestServer } from 'coequal/testing';
import { doors, servers } from '../support/doors.js';
import { eventually } from '../support/eventually.js';
import { openReader, readerKinds, type Reader } from '../support/reader.js';
import { roomsOf } from '../support/rooms.js';

describe('a channel', () => {
  const serve = servers();
  const Room = defineChannel('rooms/:room');

  function of<T>(server: TestServer, definition: ChannelDefinition<T>, room = 'lobby'): Channel<T> {
    return server.app.container.resolve(Channels).of(definition, { room });
  }

  describe('has a name that', () => {
    it('is the template, filled', () => {
      expect(Room.name({ room: 'lobby' })).to.equal('rooms/lobby');
      expect(defineChannel('a/:b/c/:d').name({ b: 1, d: 'x' })).to.equal('a/1/c/x');
      expect(defineChannel('news').name({})).to.equal('news');
    });

    it('cannot be that of another channel, whatever a parameter holds', () => {
      const Pair = defineChannel('pairs/:a/:b');
      const names = [
        { a: 'x/y', b: 'z' },
        { a: 'x', b: 'y/z' },
        { a: 'x%2Fy', b: 'z' },
        { a: 'x', b: 'y#presence' },
      ].map((params) => Pair.name(params));
      expect(new Set(names).size).to.equal(names.length);
      expect(names.every((name) => name.split('/').length === 3 && !name.includes('#'))).to.equal(true);
    });

    it('needs all of its parameters', () => {
      expect(() => Room.name({})).to.throw(TypeError, 'rooms/:room needs the parameter :room');
    });

    it('is refused where it is none', () => {
      for (const template of ['', '/rooms']) {
        expect(() => defineChannel(template), template).to.throw(/a template is a name such as/);
      }
    });
  });

  for (const kind of readerKinds) {
    describe(`read by ${kind}`, () => {
      it('hands on what is published from the moment that the reader has opened it', async () => {
        const server = serve({ controllers: [roomsOf(Room)] });
        const [one, two] = [
          await openReader(server, kind, '/rooms/lobby'),
          await openReader(server, kind, '/rooms/lobby'),
        ];
        const other = await openReader(server, kind, '/rooms/kitchen');
        of(server, Room).publish({ text: 'hällo' });
        of(server, Room, 'kitchen').publish('tea');
        for (const reader of [one, two]) await reader.until(({ data }) => data.length === 1);
        await other.until(({ data }) => data.length === 1);
        expect([one.data, two.data, other.data]).to.deep.equal([
          [{ text: 'hällo' }],
          [{ text: 'hällo' }],
          ['tea'],
        ]);
        expect(of(server, Room).size).to.equal(2);
      });

      it('keeps the order of what is published', async () => {
        const server = serve({ controllers: [roomsOf(Room)] });
        const reader = await openReader(server, kind, '/rooms/lobby');
        const values = Array.from({ length: 1_000 }, (_, i) => i);
        for (const value of values) of(server, Room).publish(value);
        await reader.until(({ data }) => data.length === values.length);
        expect(reader.data).to.deep.equal(values);
      });

      it('goes on without a subscription that was ended, and the connection without the channel', async () => {
        @Controller('/rooms/:room')
        class Rooms {
          @Sse()
          @WebSocket()
          read(@Channel(Room) room: Channel, @Connection() connection: Connection) {
            const end = room.subscribe(connection);
            connection.send('open');
            end();
            end();
            room.publish('unread');
            connection.send('still open');
          }
        }
        const server = serve({ controllers: [Rooms] });
        const reader = await openReader(server, kind, '/rooms/lobby');
        await reader.until(({ data }) => data.length === 2);
        expect(reader.data).to.deep.equal(['open', 'still open']);
        expect(server.app.stats().channels).to.equal(0);
      });

      it('receives each message once, and stays until it has unsubscribed as often as it has subscribed', async () => {
        const ends: (() => void)[] = [];
        const server = serve({
          controllers: [
            roomsOf(Room, (room, connection) => {
              for (let n = 0; n < 2; n++) ends.push(room.subscribe(connection));
            }),
          ],
        });
        const reader = await openReader(server, kind, '/rooms/lobby');
        const room = of(server, Room);
        const [first, second] = ends;
        expect(room.size).to.equal(1);
        room.publish('one');
        first?.();
        first?.();
        room.publish('two');
        second?.();
        room.publish('three');
        await reader.until(({ data }) => data.includes('three'));
        expect(reader.data).to.deep.equal(['one', 'two', 'three']);
        reader.leave();
        await eventually(() => server.app.stats().channels === 0);
      });

      it('serves the others when readers are ended and added while a message is handed on', async () => {
        const connections: Connection[] = [];
        const Tricky = defineChannel('rooms/:room');
        const server = serve({
          controllers: [roomsOf(Tricky, (_room, connection) => connections.push(connection))],
        });
        const readers: Reader[] = [];
        // One after the other: the first reader has the first connection.
        for (let n = 0; n < 5; n++) readers.push(await openReader(server, kind, '/rooms/lobby'));
        const room = of(server, Tricky);
        const during = {
          toJSON: () => {
            connections[1]?.close();
            connections[2]?.terminate();
            const [kept] = connections;
            if (kept !== undefined) room.subscribe(kept)();
            return 'first';
          },
        };
        room.publish(during);
        room.publish('second');
        for (const i of [0, 3, 4]) await readers[i]?.until(({ data }) => data.includes('second'));
        for (const i of [1, 2]) await readers[i]?.until(({ closed }) => closed !== undefined);
        for (const i of [0, 3, 4]) expect(readers[i]?.data, `${i}`).to.deep.equal(['first', 'second']);
        await eventually(() => room.size === 3);
      });

      it('costs nothing once its readers have left', async () => {
        const server = serve({ controllers: [roomsOf(Room)] });
        const readers = await Promise.all(
          ['a', 'b', 'b'].map((room) => openReader(server, kind, `/rooms/${room}`)),
        );
        expect(server.app.stats().channels).to.equal(2);
        for (const reader of readers) reader.leave();
        await eventually(() => server.app.stats().channels === 0);
        expect(server.app.container.resolve(Connections).count).to.equal(0);
      });

      it('takes no reader that is gone already', async () => {
        let [left, late] = [false, () => undefined as unknown];
        const opened = (room: Channel, connection: Connection): void => {
          late = () => room.subscribe(connection);
          connection.context.defer(() => (left = true));
        };
        const server = serve({ controllers: [roomsOf(Room, opened)] });
        (await openReader(server, kind, '/rooms/lobby')).leave();
        await eventually(() => left && server.app.stats().channels === 0);
        late();
        expect(server.app.stats().channels).to.equal(0);
      });
    });
  }

  it('costs nothing where nobody is: 100,000 channels opened and left', async () => {
    const server = serve({ controllers: [roomsOf(Room)] });
    const channels = server.app.container.resolve(Channels);
    for (let room = 0; room < 100_000; room++) {
      const channel = channels.of(Room, { room });
      const loop = channel[Symbol.asyncIterator]();
      channel.publish(room);
      await loop.return?.();
    }
    expect(server.app.stats()).to.deep.include({ channels: 0 });
  }).timeout(5_000);

  it('answers a GET with what it has kept', async () => {
    const Kept = defineChannel('rooms/:room', { history: 2 });
    const server = serve({ controllers: [roomsOf(Kept)] });
    for (const n of [1, 2, 3]) of(server, Kept).publish(n);
    expect(await (await server.fetch('/rooms/lobby')).json()).to.deep.equal([2, 3]);
  });

  describe('with a schema', () => {
    const Strict = defineChannel<{ n: number }>('rooms/:room', {
      schema: z.object({ n: z.number() }),
      history: 5,
    });

    it('refuses what is published and does not fit, and nobody receives it', async () => {
      @Controller('/say/:room')
      class Say {
        @Post()
        say(@Channel(Strict) room: Channel<unknown>) {
          room.publish({ n: 'one' });
        }
      }
      const server = serve({ controllers: [roomsOf(Strict), Say] });
      const reader = await openReader(server, 'sse', '/rooms/lobby');
      expect(() => of(server, Strict).publish({ n: 'one' } as never)).to.throw(
        TypeError,
        'rooms/lobby refuses the value',
      );
      expect((await server.fetch('/say/lobby', { method: 'POST' })).status).to.equal(500);
      of(server, Strict).publish({ n: 1 });
      await reader.until(({ data }) => data.length === 1);
      expect(reader.data).to.deep.equal([{ n: 1 }]);
    });

    it('that is asynchronous cannot be used, and says so', () => {
      const Later = defineChannel('later', { schema: z.string().refine(() => Promise.resolve(true)) });
      const channel = serve({ controllers: [roomsOf(Room)] })
        .app.container.resolve(Channels)
        .of(Later);
      expect(() => channel.publish('x')).to.throw(TypeError, 'asynchronous');
    });
  });

  describe('with authorize', () => {
    for (const door of doors) {
      it(`is refused by 403 before the head to ${door.kind}, with a cursor too`, async () => {
        const asked: unknown[] = [];
        const Private = defineChannel('rooms/:room', {
          history: 5,
          authorize: async (ctx, params) => {
            asked.push(params['room']);
            await Promise.resolve();
            return ctx.query['key'] === 'right';
          },
        });
        const server = serve({ controllers: [roomsOf(Private)] });
        of(server, Private).publish('secret');
        const reader = await openReader(server, 'sse', '/rooms/lobby?key=right');
        await reader.until(({ received }) => received.length === 1);
        const cursor = reader.received[0]?.id ?? '';
        for (const query of ['', '?key=wrong', `?lastEventId=${cursor}`]) {
          const visit = await door.open(server, `/rooms/lobby${query}`, { 'last-event-id': cursor });
          expect(visit.status, query).to.equal(403);
          expect(visit.problem.detail).to.equal('The channel may not be read');
        }
        const allowed = await door.open(server, '/rooms/lobby?key=right');
        expect(allowed.status).to.equal(door.opened);
        expect(asked).to.deep.equal(Array(5).fill('lobby'));
      });

      it(`answers ${door.kind} by what authorize throws`, async () => {
        const Gone = defineChannel('rooms/:room', {
          authorize: () => {
            throw new HttpError(410, 'The room was closed');
          },
        });
        const visit = await door.open(serve({ controllers: [roomsOf(Gone)] }), '/rooms/lobby');
        expect([visit.status, visit.problem.detail]).to.deep.equal([410, 'The room was closed']);
      });
    }
  });

  it('refuses a @Channel whose parameters the path has not', () => {
    @Controller('/rooms')
    class Lost {
      @Get()
      read(@Channel(Room) room: Channel) {
        return room;
      }
    }
    expect(() => serve({ controllers: [Lost] }).app).to.throw(/Lost\.read.*rooms\/:room needs :room/s);
  });
});

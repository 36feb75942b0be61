import { expect } from 'chai';
import {
  Channels,
  conflate,
  Connection,
  Connections,
  Controller,
  defineChannel,
  WebSocket,
  type Codec,
} from 'coequal';
import { servers } from '../support/doors.js';
import { openReader, readerKinds } from '../support/reader.js';
import { roomsOf } from '../support/rooms.js';

const definitions = {
  plain: defineChannel<string>('rooms/:room'),
  'with history': defineChannel<string>('rooms/:room', { history: 5 }),
  'with a policy': defineChannel<string>('rooms/:room', { overflow: conflate((text) => text) }),
  'with presence': defineChannel<string>('rooms/:room', { presence: (user) => user }),
};

describe('a connection that subscribes to a channel again', () => {
  const serve = servers();

  for (const kind of readerKinds) {
    for (const [name, definition] of Object.entries(definitions)) {
      it(`receives each message once, until it has unsubscribed as often (${kind}, ${name})`, async () => {
        const ends: (() => void)[] = [];
        const site = roomsOf(definition, (room, connection) => {
          for (let n = 0; n < 3; n++) ends.push(room.subscribe(connection));
        });
        const server = serve({ controllers: [site] });
        const room = server.app.container.resolve(Channels).of(definition, { room: 'a' });
        const history = definition.options.history !== undefined;
        room.publish('old');
        const reader = await openReader(server, kind, '/rooms/a');
        expect(room.size).to.equal(1);
        room.publish('new');
        await reader.until(({ last }) => last === 'new');
        expect(reader.data).to.deep.equal(history ? ['old', 'new'] : ['new']);
        // Calling one of them again ends nothing that others have begun.
        for (let n = 0; n < 5; n++) ends[0]?.();
        ends[1]?.();
        room.publish('newer');
        await reader.until(({ last }) => last === 'newer');
        ends[2]?.();
        expect(room.size, 'the method has returned the channel as well').to.equal(1);
        reader.leave();
      });
    }

    it(`reads it anew once it has unsubscribed (${kind})`, async () => {
      const definition = definitions['with history'];
      let open: Connection | undefined;
      @Controller('/own')
      class Own {
        @WebSocket()
        own(@Connection() connection: Connection) {
          open = connection;
        }
      }
      const server = serve({ controllers: [Own] });
      const room = server.app.container.resolve(Channels).of(definition, { room: 'a' });
      const reader = await openReader(server, 'websocket', '/own');
      const first = room.subscribe(open as Connection);
      const second = room.subscribe(open as Connection);
      first();
      expect(room.size).to.equal(1);
      second();
      expect(room.size).to.equal(0);
      room.subscribe(open as Connection);
      first();
      second();
      expect(room.size).to.equal(1);
      reader.leave();
    });
  }
});

describe('an encoder that throws for one connection of a user', () => {
  const serve = servers();

  it('keeps nothing from the others, and its sender is told', async () => {
    const failing: Codec = {
      encode() {
        throw new Error('cannot be encoded');
      },
      decode: (data) => data,
    };
    @Controller('/failing')
    class Failing {
      @WebSocket('', { codec: failing })
      open() {}
    }
    const signIn = (ctx: { user: unknown }, next: () => unknown) => {
      ctx.user = { id: 'ada' };
      return next();
    };
    const server = serve({
      controllers: [Failing, roomsOf(definitions.plain)],
      middleware: [signIn as never],
    });
    const bad = await openReader(server, 'websocket', '/failing');
    const good = await Promise.all(readerKinds.map((kind) => openReader(server, kind, '/rooms/a')));
    const connections = server.app.container.resolve(Connections);
    expect(() => connections.send('ada', { n: 1 })).to.throw('cannot be encoded');
    for (const reader of good) await reader.until(({ data }) => data.length === 1);
    for (const reader of [bad, ...good]) reader.leave();
  });
});

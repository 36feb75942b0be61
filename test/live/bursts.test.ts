import { expect } from 'chai';
import {
  Body,
  Channel,
  Channels,
  conflate,
  Connection,
  Connections,
  Controller,
  defineChannel,
  Post,
  Rpc,
  Sse,
  WebSocket,
  type Middleware,
} from 'coequal';
import { servers } from '../support/doors.js';
import { openReader, readerKinds } from '../support/reader.js';
import { roomsOf } from '../support/rooms.js';

const COUNT = 2_048;
const TEXT = 'x'.repeat(4_090);
const LARGE = 'y'.repeat(5_242_880);
const ways = [
  ...readerKinds.map((kind) => ({ name: kind, kind, deflate: false })),
  { name: 'websocket with permessage-deflate', kind: 'websocket' as const, deflate: true },
];
const policies = {
  close: defineChannel<unknown>('rooms/:room'),
  'drop-oldest': defineChannel<unknown>('rooms/:room', { overflow: 'drop-oldest' }),
  conflate: defineChannel<unknown>('rooms/:room', { overflow: conflate((value) => value) }),
  'close, with history': defineChannel<unknown>('rooms/:room', { history: 10 }),
};

@Controller('/own')
class Own {
  @Sse('/burst')
  @WebSocket('/burst')
  burst(@Connection() connection: Connection) {
    for (let n = 0; n < COUNT; n++) connection.send(`${n} ${TEXT}`);
  }

  @Sse('/large')
  @WebSocket('/large')
  async *large() {
    yield LARGE;
  }

  @WebSocket('/echo')
  echo(@Body() { bytes }: { bytes: number }) {
    return 'z'.repeat(bytes);
  }

  @WebSocket('/calls')
  calls() {}

  @Rpc('make')
  make(@Body() { bytes }: { bytes: number }) {
    return 'z'.repeat(bytes);
  }
}

describe('a reader that reads', function () {
  // Compressing and reading 8 MiB takes seconds on a busy machine.
  this.timeout(30_000);
  const serve = servers();

  for (const { name, kind, deflate } of ways) {
    describe(`by ${name}`, () => {
      it('receives a burst of 8 MiB that its method sends at once', async () => {
        const reader = await openReader(
          serve({ controllers: [Own], perMessageDeflate: deflate }),
          kind,
          '/own/burst',
        );
        await reader.until(({ received, closed }) => received.length === COUNT || closed !== undefined);
        expect(reader.received.length).to.equal(COUNT);
        reader.leave();
      });

      it('receives a value of 5 MiB', async () => {
        const reader = await openReader(
          serve({ controllers: [Own], perMessageDeflate: deflate }),
          kind,
          '/own/large',
        );
        await reader.until(({ received, closed }) => received.length > 0 || closed !== undefined);
        expect(reader.data[0] === LARGE).to.equal(true);
        reader.leave();
      });

      for (const [policy, definition] of Object.entries(policies)) {
        it(`receives a burst and a large value of a channel (${policy})`, async () => {
          const server = serve({ controllers: [roomsOf(definition)], perMessageDeflate: deflate });
          const room = server.app.container.resolve(Channels).of(definition, { room: 'a' });
          const reader = await openReader(server, kind, '/rooms/a');
          for (let n = 0; n < COUNT; n++) room.publish(`${n} ${TEXT}`);
          room.publish(LARGE);
          await reader.until(({ last, closed }) => last === LARGE || closed !== undefined);
          expect(reader.received.length).to.equal(COUNT + 1);
          expect(server.app.stats().messages.dropped).to.equal(0);
          reader.leave();
        });
      }
    });
  }
});

describe('a value that is too large', () => {
  const serve = servers();
  const limits = { value: 1_000 };

  for (const [policy, definition] of Object.entries(policies)) {
    it(`is its publisher's error, and no reader of any format is affected (${policy})`, async () => {
      @Controller('/rooms/:room')
      class Said {
        @Post()
        say(@Channel(definition) room: Channel<unknown>, @Body() { text }: { text: string }) {
          room.publish(text);
        }
      }
      const server = serve({ controllers: [roomsOf(definition), Said], limits, logger: false });
      const readers = await Promise.all([
        openReader(server, 'websocket', '/rooms/a'),
        openReader(server, 'sse', '/rooms/a'),
        openReader(server, 'websocket', '/rooms/a', { protocols: ['coequal.events'] }),
      ]);
      const say = async (text: string) =>
        (
          await server.fetch('/rooms/a', {
            method: 'POST',
            headers: { 'content-type': 'application/json' },
            body: JSON.stringify({ text }),
          })
        ).status;
      expect(await say('x'.repeat(1_001))).to.equal(500);
      // Fits as a bare value, and not as an event, which has a field for each line.
      expect(await say('\n'.repeat(900))).to.equal(500);
      expect(await say('afterwards')).to.equal(204);
      for (const reader of readers) await reader.until(({ received }) => received.length > 0);
      expect(readers.map(({ received }) => received.length)).to.deep.equal([1, 1, 1]);
      for (const reader of readers) reader.leave();
    });
  }

  it("is a throw of connection.send, and of Connections.send, and leaves the user's connections open", async () => {
    const signIn: Middleware = (ctx, next) => {
      ctx.user = { id: 'ada' } as never;
      return next();
    };
    const room = policies.close;
    const server = serve({ controllers: [roomsOf(room)], middleware: [signIn], limits });
    const readers = await Promise.all(readerKinds.map((kind) => openReader(server, kind, '/rooms/a')));
    const connections = server.app.container.resolve(Connections);
    const large = 'x'.repeat(1_001);
    for (const connection of connections)
      expect(() => connection.send(large)).to.throw(RangeError, 'limits.value');
    expect(() => connections.send('ada', large)).to.throw(RangeError, 'limits.value');
    expect(connections.send('ada', 'fits')).to.equal(2);
    for (const reader of readers) await reader.until(({ received }) => received.length > 0);
    expect(readers.map(({ data }) => data)).to.deep.equal([['fits'], ['fits']]);
    for (const reader of readers) reader.leave();
  });

  for (const deflate of [false, true]) {
    it(`is answered with an error where it is a reply${deflate ? ', compressed' : ''}`, async () => {
      const server = serve({ controllers: [Own], limits, perMessageDeflate: deflate, logger: false });
      const socket = await server.socket('/own/echo');
      socket.send({ bytes: 1_001 });
      expect(JSON.parse(String(await socket.next()))).to.have.nested.property('error.status', 500);
      socket.send({ bytes: 10 });
      expect(await socket.next()).to.equal('z'.repeat(10));
      socket.close();
      const calls = await server.socket('/own/calls');
      calls.send({ jsonrpc: '2.0', id: 1, method: 'make', params: { bytes: 1_001 } });
      expect(JSON.parse(String(await calls.next()))).to.have.nested.property('error.code', -32603);
      calls.close();
    });
  }
});

import { expect } from 'chai';
import {
  Body,
  Channel,
  Channels,
  Connection,
  conflate,
  Controller,
  defineChannel,
  event,
  Post,
  WebSocket,
  type Codec,
} from 'coequal';
import { mistreated } from '../../support/canary.js';
import { until } from '../../support/deferred.js';
import { openReader, readerKinds, type Reader } from '../../support/reader.js';
import { HANDSHAKE, RawClient } from '../../support/raw-client.js';
import { roomsOf } from '../../support/rooms.js';

const Room = defineChannel<unknown>('rooms/:room');
const Keyed = defineChannel<unknown>('keyed/:room', {
  overflow: conflate((value) => (value as { key: () => unknown }).key()),
});

/** An encoder that refuses what it is told to, by what a careless one might throw. */
const fussy: Codec = {
  encode(value) {
    const { refuse } = value as { refuse?: unknown };
    // Throws the reason as it is, be it an error or not.
    if (refuse !== undefined) AbortSignal.abort(refuse).throwIfAborted();
    return JSON.stringify(value);
  },
  decode: (data) => data,
};

const connections: Connection[] = [];

@Controller('/fussy/:room')
class Fussy {
  @WebSocket('', { codec: fussy })
  read(@Channel(Room) room: Channel<unknown>) {
    return room;
  }

  @Post()
  say(@Channel(Room) room: Channel<unknown>, @Body() { refuse }: { refuse?: string }) {
    room.publish(refuse === undefined ? 'said' : { refuse: new Error(refuse) });
  }
}

describe('Broadcast', () => {
  describe('a message that meets trouble on its way to many', () => {
    const { server, log, holds } = mistreated({
      controllers: [
        roomsOf(Room, (_room, connection) => connections.push(connection)),
        roomsOf(Keyed),
        Fussy,
      ],
    });
    let name = '';
    let serial = 0;
    let readers: Reader[] = [];

    beforeEach(() => {
      name = String(++serial);
      connections.length = 0;
    });
    afterEach(() => {
      for (const reader of readers.splice(0)) reader.leave();
    });

    function room(): Channel<unknown> {
      return server.app.container.resolve(Channels).of(Room, { room: name });
    }

    /** So many readers of each kind, one after the other. */
    async function read(count: number, path = `/rooms/${name}`): Promise<Reader[]> {
      readers = [];
      for (let i = 0; i < count; i++) {
        for (const kind of readerKinds) readers.push(await openReader(server, kind, path));
      }
      return readers;
    }

    async function expectAll(open: readonly Reader[], values: unknown[]): Promise<void> {
      for (const reader of open) {
        await reader.until(({ data }) => data.length >= values.length);
        expect(reader.data).to.deep.equal(values);
      }
    }

    for (const [what, act] of [
      ['are closed', (connection: Connection) => connection.close()],
      ['are cut', (connection: Connection) => connection.terminate()],
      ['expire', (connection: Connection) => connection.expires(new Date(0))],
    ] as const) {
      holds(`reaches the others when readers ${what} while it is handed on`, async () => {
        const open = await read(3);
        room().publish({ toJSON: () => (connections.slice(0, 4).forEach(act), 'first') });
        for (const reader of open.slice(0, 4)) await reader.until(({ closed }) => closed !== undefined);
        await until(() => room().size === 2);
        room().publish('second');
        await expectAll(open.slice(4), ['first', 'second']);
        expect(log.lines).to.deep.equal([]);
      });
    }

    holds('reaches a reader that ends its second subscription while it is handed on', async () => {
      const open = await read(2);
      const ends = connections.map((connection) => room().subscribe(connection));
      expect(room().size).to.equal(4);
      room().publish({ toJSON: () => (ends.forEach((end) => end()), 'first') });
      expect(room().size).to.equal(4);
      room().publish('second');
      await expectAll(open, ['first', 'second']);
    });

    holds('that publishes another while it is encoded brings both to all, in one order', async () => {
      const open = await read(2);
      let published = false;
      room().publish({
        toJSON: () => {
          if (!published) {
            published = true;
            room().publish('inner');
          }
          return 'outer';
        },
      });
      await expectAll(open, ['inner', 'outer']);
    });

    holds('reaches the others when a loop over the channel throws', async () => {
      const open = await read(1);
      const loop = (async () => {
        for await (const value of room()) throw new Error(`did not like ${String(value)}`);
      })().catch(String);
      room().publish('first');
      expect(await loop).to.equal('Error: did not like first');
      room().publish('second');
      await expectAll(open, ['first', 'second']);
      expect(room().size).to.equal(2);
    });

    for (const [what, refuse] of [
      ['an error', new Error('cannot')],
      ['a text', 'cannot'],
      ['null', null],
    ] as const) {
      holds(`that one encoder refuses by throwing ${what} is one error, and others are served`, async () => {
        const open = await read(2);
        const fussyOnes = [await server.socket(`/fussy/${name}`), await server.socket(`/fussy/${name}`)];
        let thrown: unknown = 'nothing';
        try {
          room().publish({ refuse, n: 1 });
        } catch (error) {
          thrown = error;
        }
        expect(thrown).to.equal(refuse);
        room().publish({ n: 2 });
        for (const socket of fussyOnes) expect(await socket.json()).to.deep.equal({ n: 2 });
        for (const reader of open) {
          await reader.until(({ data }) => data.length === 2);
          expect(reader.data).to.deep.include({ n: 2 });
        }
        for (const socket of fussyOnes) socket.raw.terminate();
      });
    }

    holds('that is published by a request and cannot be encoded is a bare 500, logged once', async () => {
      const open = await read(1);
      const socket = await server.socket(`/fussy/${name}`);
      const answer = await server.fetch(`/fussy/${name}`, { json: { refuse: 'the secret of the encoder' } });
      expect(answer.status).to.equal(500);
      expect(await answer.text()).to.not.include('secret');
      expect(log.at('error')).to.have.lengthOf(1);
      expect((await server.fetch(`/fussy/${name}`, { json: {} })).status).to.equal(204);
      expect(await socket.next()).to.equal('said');
      for (const reader of open) await reader.until(({ last }) => last === 'said');
      socket.raw.terminate();
    });

    for (const [what, value] of [
      ['a function', () => 1],
      ['a symbol', Symbol('s')],
      [
        'a circle',
        (() => {
          const circle: { self?: unknown } = {};
          return (circle.self = circle);
        })(),
      ],
      [
        'a getter that throws',
        Object.defineProperty({}, 'x', {
          enumerable: true,
          get() {
            throw new RangeError('x');
          },
        }),
      ],
    ] as const) {
      holds(
        `that has no JSON form (${what}) is refused to its publisher, and nobody receives it`,
        async () => {
          const open = await read(1);
          expect(() => room().publish(value)).to.throw();
          room().publish('next');
          await expectAll(open, ['next']);
        },
      );
    }

    holds('whose key cannot be told is one error for its publisher, and all are served', async () => {
      const open = await read(2, `/keyed/${name}`);
      const keyed = server.app.container.resolve(Channels).of(Keyed, { room: name });
      const value = {
        key: () => {
          throw new RangeError('no key');
        },
        text: 'x',
      };
      // Only what waits for a reader has a key: those who read at once have received it.
      const loops = [keyed[Symbol.asyncIterator](), keyed[Symbol.asyncIterator]()];
      expect(() => keyed.publish(value)).to.throw(RangeError, 'no key');
      await expectAll(open, [{ text: 'x' }]);
      for (const loop of loops) {
        expect((await loop.next()).value).to.equal(value);
        await loop.return?.();
      }
    });

    for (const field of ['id', 'event'] as const) {
      for (const [what, sign] of Object.entries({ LF: '\n', CR: '\r', NUL: '\0', CRLF: '\r\n' })) {
        holds(
          `with ${what} in its ${field} is refused to its publisher, and nobody receives it`,
          async () => {
            const open = await read(1);
            const forged = `x${sign}data: forged`;
            expect(() => room().publish(event('x', { [field]: forged }))).to.throw(
              TypeError,
              `the ${field} of`,
            );
            room().publish('next');
            await expectAll(open, ['next']);
          },
        );
      }
    }

    holds('with line breaks in its data is split by line on a stream: no line of it is a field', async () => {
      const client = await RawClient.connect(await server.url());
      client.head(`GET /rooms/${name} HTTP/1.1`, 'Host: localhost', 'Accept: text/event-stream');
      await client.opening();
      room().publish('a\nid: 1\rretry: 1\r\n\r\nevent: x\u2028y\u0085z\0\n');
      room().publish('end');
      const text = (await client.until((bytes) => bytes.includes('data: end'))).toString();
      expect(text).to.include(
        'data: a\ndata: id: 1\ndata: retry: 1\ndata: \ndata: event: x\u2028y\u0085z\0\ndata: \n\n',
      );
      client.reset();
    });

    holds('with line breaks in its data is one message on a socket', async () => {
      const socket = await server.socket(`/rooms/${name}`, { protocols: ['coequal.events'] });
      room().publish('a\nid: 1\r\n\r\nevent: x');
      expect(await socket.json()).to.deep.equal({ data: 'a\nid: 1\r\n\r\nevent: x' });
      socket.raw.terminate();
    });

    holds('reaches the others when readers reset their connections while many are handed on', async () => {
      const open = await read(2);
      const clients = await Promise.all(
        Array.from({ length: 20 }, async () => {
          const client = await RawClient.connect(await server.url());
          client.head(`GET /rooms/${name} HTTP/1.1`, ...HANDSHAKE);
          await client.opening();
          return client;
        }),
      );
      await until(() => room().size === 24);
      for (let n = 0; n < 100; n++) {
        room().publish(n);
        if (n % 5 === 0) clients[n / 5]?.reset();
        await new Promise((resolve) => setImmediate(resolve));
      }
      await expectAll(
        open,
        Array.from({ length: 100 }, (_, n) => n),
      );
      await until(() => room().size === 4);
    });
  });
});

import { once } from 'node:events';
import { expect } from 'chai';
import { Channels, defineChannel, type Channel, type ChannelDefinition } from 'coequal';
import type { TestServer } from 'coequal/testing';
import { History } from '../../src/live/broker/history.js';
import { LocalBroker } from '../../src/live/broker/local-broker.js';
import { Message } from '../../src/live/encoding/message.js';
import { deferred } from '../support/deferred.js';
import { doors, knock, servers, type Door } from '../support/doors.js';
import { openReader, readerKinds, type Reader, type ReaderKind } from '../support/reader.js';
import { roomsOf } from '../support/rooms.js';

const Room = defineChannel('rooms/:room', { history: 5 });
const SSE = doors.find(({ kind }) => kind === 'sse') as Door;

describe('a reader that returns', () => {
  const serve = servers();

  function start(definition: ChannelDefinition<unknown> = Room, buffered?: number) {
    const limits = buffered === undefined ? {} : { buffered };
    const server = serve({ controllers: [roomsOf(definition)], limits });
    return { server, room: of(server, definition) };
  }

  function of(server: TestServer, definition: ChannelDefinition<unknown>, room = 'lobby'): Channel {
    return server.app.container.resolve(Channels).of(definition, { room });
  }

  /** Comes with a cursor, as the reader of its kind does: a field of the request, or of the query. */
  function open(server: TestServer, kind: ReaderKind, cursor?: string, room = 'lobby'): Promise<Reader> {
    const query = kind === 'sse' || cursor === undefined ? '' : `?lastEventId=${encodeURIComponent(cursor)}`;
    const headers: Record<string, string> =
      kind === 'sse' && cursor !== undefined ? { 'last-event-id': cursor } : {};
    return openReader(server, kind, `/rooms/${room}${query}`, { headers, protocols: ['coequal.events'] });
  }

  /** The first `count` that it is sent: the event's name, or the data. */
  async function first(reader: Reader, count: number): Promise<unknown[]> {
    await reader.until(({ received }) => received.length >= count);
    return reader.received.slice(0, count).map(({ event, data }) => (event === 'gap' ? { gap: data } : data));
  }

  function gap(reason: string): unknown {
    return { gap: { reason } };
  }

  for (const kind of readerKinds) {
    describe(`by ${kind}`, () => {
      it('is sent what is kept first, then what comes, each with its cursor', async () => {
        const { server, room } = start();
        for (const n of [1, 2]) room.publish(n);
        const reader = await open(server, kind);
        room.publish(3);
        expect(await first(reader, 3)).to.deep.equal([1, 2, 3]);
        const ids = reader.received.map(({ id }) => id ?? '');
        expect(new Set(ids).size).to.equal(3);
        for (const id of ids) {
          expect(id).to.match(/^[\w.-]{1,64}$/);
          expect(id).to.not.include('lobby');
        }
      });

      it('is sent what it has missed, and nothing twice', async () => {
        const { server, room } = start();
        const before = await open(server, kind);
        for (const n of [1, 2]) room.publish(n);
        await first(before, 2);
        before.leave();
        for (const n of [3, 4]) room.publish(n);
        const after = await open(server, kind, before.received[1]?.id);
        room.publish(5);
        expect(await first(after, 3)).to.deep.equal([3, 4, 5]);
      });

      it('is told of a gap where messages are no longer kept', async () => {
        const { server, room } = start();
        const before = await open(server, kind);
        room.publish(0);
        await first(before, 1);
        for (let n = 1; n <= 7; n++) room.publish(n);
        const after = await open(server, kind, before.received[0]?.id);
        expect(await first(after, 6)).to.deep.equal([gap('trimmed'), 3, 4, 5, 6, 7]);
      });

      it('is told of a gap after a restart of the server', async () => {
        const old = start();
        const before = await open(old.server, kind);
        old.room.publish('lost');
        await first(before, 1);
        const { server, room } = start();
        room.publish('new');
        const after = await open(server, kind, before.received[0]?.id);
        expect(await first(after, 2)).to.deep.equal([gap('epoch'), 'new']);
      });

      it("is told of a gap where the cursor is another channel's, malformed or from the future", async () => {
        const { server, room } = start();
        room.publish('kept');
        of(server, Room, 'kitchen').publish('tea');
        const foreign = await open(server, kind, undefined, 'kitchen');
        await first(foreign, 1);
        const [tea = ''] = foreign.received.map(({ id }) => id ?? '');
        const own = await open(server, kind);
        await first(own, 1);
        const future = (own.received[0]?.id ?? '').replace(/\w+$/, 'zzzz');
        for (const cursor of [
          tea,
          future,
          '42',
          'a.b.c',
          '__proto__',
          'x'.repeat(1_000),
          '../..',
          tea.slice(1),
        ]) {
          const reader = await open(server, kind, cursor);
          expect(await first(reader, 2), cursor).to.deep.equal([gap('unknown'), 'kept']);
        }
      });

      it('is told of a gap where more was missed than may wait for it', async () => {
        const { server, room } = start(Room, 40_000);
        const before = await open(server, kind);
        room.publish(0);
        await first(before, 1);
        for (const letter of ['a', 'b', 'c', 'd']) room.publish(letter.repeat(9_000));
        const after = await open(server, kind, before.received[0]?.id);
        expect(await first(after, 3)).to.deep.equal([gap('limit'), 'c'.repeat(9_000), 'd'.repeat(9_000)]);
      });

      it('is told where it is where not one of the missed messages fits', async () => {
        const { server, room } = start(Room, 40_000);
        room.publish('a'.repeat(30_000));
        const reader = await open(server, kind);
        expect(await first(reader, 1)).to.deep.equal([gap('limit')]);
        const top =
          kind === 'sse'
            ? await topOf(server, '')
            : (await reader.until(({ cursor }) => cursor !== undefined)).cursor;
        room.publish('next');
        expect(await first(await open(server, kind, top), 1)).to.deep.equal(['next']);
      });

      it('can return although it has received nothing: where it was is told first', async () => {
        const { server, room } = start();
        let top: string | undefined;
        if (kind === 'sse') {
          top = await topOf(server, '');
        } else {
          const socket = await server.socket('/rooms/lobby', { protocols: ['coequal.events'] });
          const told = await socket.json<{ id: string }>();
          expect(Object.keys(told), 'no data, and so no event').to.deep.equal(['id']);
          top = told.id;
        }
        room.publish('missed');
        expect(await first(await open(server, kind, top), 1)).to.deep.equal(['missed']);
      });
    });
  }

  it('may give the cursor of a stream in the query, for clients that cannot set a field', async () => {
    const { server, room } = start();
    const before = await open(server, 'sse');
    for (const n of [1, 2]) room.publish(n);
    await first(before, 2);
    const after = await openReader(server, 'sse', `/rooms/lobby?lastEventId=${before.received[0]?.id}`);
    expect(await first(after, 1)).to.deep.equal([2]);
  });

  it('gives one cursor for streams and sockets alike', async () => {
    const { server, room } = start();
    const stream = await open(server, 'sse');
    for (const n of [1, 2]) room.publish(n);
    await first(stream, 2);
    const socket = await open(server, 'websocket', stream.received[0]?.id);
    expect(await first(socket, 1)).to.deep.equal([2]);
    expect(socket.received[0]?.id).to.equal(stream.received[1]?.id);
  });

  it('gets bare values on a socket without coequal.events: no cursor, no gap', async () => {
    const { server, room } = start();
    room.publish({ n: 1 });
    const socket = await server.socket('/rooms/lobby?lastEventId=nonsense');
    expect(socket.protocol).to.equal('');
    expect(await socket.next()).to.equal('{"n":1}');
    room.publish('text');
    expect(await socket.next()).to.equal('text');
  });

  it('is sent each message as { id, event, data } where it speaks coequal.events', async () => {
    const { server, room } = start();
    room.publish({ n: 1 });
    const socket = await server.socket('/rooms/lobby', { protocols: ['coequal.events'] });
    expect(socket.protocol).to.equal('coequal.events');
    const message = await socket.json<{ id: string; data: unknown }>();
    expect(message.data).to.deep.equal({ n: 1 });
    expect(Object.keys(message)).to.deep.equal(['id', 'data']);
  });

  /** The cursor of a block without data, which a parser of events does not show. */
  async function topOf(server: TestServer, query: string): Promise<string> {
    const client = await knock(server, SSE, `/rooms/lobby${query}`);
    client.on('error', () => client.destroy());
    let text = '';
    for (let id = /^id: (\S+)\n\n/m.exec(text); ; id = /^id: (\S+)\n\n/m.exec(text)) {
      if (id !== null) {
        client.destroy();
        return id[1] ?? '';
      }
      text += String((await once(client, 'data'))[0]);
    }
  }
});

describe('a history', () => {
  const values = (history: History): unknown[] => history.after(0).map(({ value }) => value);
  const ALL = { messages: Infinity, bytes: Infinity, age: Infinity };

  it('keeps as many messages as it may', () => {
    const history = new History({ ...ALL, messages: 3 }, 0);
    for (let n = 1; n <= 1_000; n++) history.append(n, new Message(n));
    expect([values(history), history.trimmed]).to.deep.equal([[998, 999, 1_000], 997]);
    expect(history.after(998).map(({ value }) => value)).to.deep.equal([999, 1_000]);
  });

  it('keeps as many bytes as it may, of text, of bytes and of JSON', () => {
    const history = new History({ ...ALL, bytes: 10 }, 0);
    ['éé', new Uint8Array(4), [1]].forEach((value, n) => history.append(n + 1, new Message(value)));
    expect(values(history)).to.deep.equal([new Uint8Array(4), [1]]);
    history.append(4, new Message('x'.repeat(11)));
    expect([values(history), history.trimmed, history.empty]).to.deep.equal([[], 4, true]);
  });

  it('keeps messages for as long as it may', () => {
    let now = 0;
    const history = new History({ ...ALL, age: 100 }, 0, () => now);
    for (const at of [0, 50, 100]) {
      now = at;
      history.append(at + 1, new Message(at));
    }
    expect(values(history)).to.deep.equal([0, 50, 100]);
    now = 101;
    expect([values(history), history.trimmed]).to.deep.equal([[50, 100], 1]);
    now = 1_000;
    expect([values(history), history.trimmed, history.empty]).to.deep.equal([[], 101, true]);
  });

  it('of all channels together stay within their bound, the quietest is forgotten, and those who return are told', () => {
    const broker = new LocalBroker(Date.now, 100_000);
    broker.publish('quiet', new Message('x'.repeat(20_000)), ALL);
    const { top } = broker.replay('quiet', undefined);
    broker.publish('busy', new Message('first'), ALL);
    for (let n = 0; n < 10; n++) {
      broker.publish(`room ${n}`, new Message('x'.repeat(20_000)), ALL);
      broker.publish('busy', new Message(n), ALL);
      expect(broker.history.bytes).to.be.within(1, 100_000);
    }
    expect(broker.replay('quiet', top)).to.deep.include({ messages: [], gap: 'trimmed' });
    expect(broker.replay('busy', undefined).messages.map(({ value }) => value)).to.include.members([
      'first',
      9,
    ]);
    expect(broker.replay('room 9', undefined).messages).to.have.lengthOf(1);
  });

  it('of 100,000 channels that clients have named stay within the bound', () => {
    const broker = new LocalBroker(Date.now, 1_000_000);
    for (let n = 0; n < 100_000; n++) broker.publish(`rooms/${n}`, new Message(''), ALL);
    expect(broker.history.bytes).to.be.at.most(1_000_000);
    expect(broker.history.channels).to.be.within(100, 2_000);
  });

  it('of one channel that is over the bound alone keeps its newest messages', () => {
    const broker = new LocalBroker(Date.now, 100_000);
    for (let n = 0; n < 10; n++) broker.publish('room', new Message(`${n}${'x'.repeat(20_000)}`), ALL);
    const kept = broker.replay('room', undefined).messages.map(({ value }) => String(value)[0]);
    expect(kept).to.deep.equal(['6', '7', '8', '9']);
    expect(broker.history).to.deep.include({ channels: 1 });
  });

  it('weigh nothing once time has emptied them', () => {
    let now = 0;
    const broker = new LocalBroker(() => now, 1_000_000);
    broker.publish('room', new Message('x'.repeat(1_000)), { ...ALL, age: 100 });
    now = 200;
    expect(broker.replay('room', undefined).messages).to.deep.equal([]);
    broker.detach('room');
    expect(broker.history).to.deep.equal({ bytes: 0, channels: 0 });
  });

  it('that time has emptied is forgotten, read or not, and those who return are told', () => {
    let now = 0;
    const broker = new LocalBroker(() => now);
    const bounds = { ...ALL, age: 100 };
    broker.publish('first', new Message(1), bounds);
    const { top } = broker.replay('first', undefined);
    broker.publish('first', new Message(2), bounds);
    now = 1_000;
    for (let n = 0; n < 2_000; n++) broker.publish(`room ${n}`, new Message(n), bounds);
    expect(broker.replay('first', top)).to.deep.include({ messages: [], gap: 'trimmed' });
    expect(broker.kept).to.be.at.most(2_000);
    broker.publish('first', new Message(3), bounds);
    expect(broker.replay('first', top)).to.deep.include({ gap: 'trimmed' });
  });
});

describe('a reader whose broker does not answer', () => {
  const serve = servers();

  it('is counted with what waits for it, and closed once that is more than may wait', async () => {
    const asked = deferred();
    class Broker extends LocalBroker {
      override replay(): never {
        asked.resolve();
        return new Promise(() => undefined) as never;
      }
    }
    const server = serve({
      controllers: [roomsOf(Room)],
      broker: new Broker(),
      limits: { buffered: 10_000, value: 10_000 },
    });
    const socket = await server.socket('/rooms/lobby');
    await asked.promise;
    const room = server.app.container.resolve(Channels).of(Room, { room: 'lobby' });
    for (let i = 0; i < 5; i++) room.publish('x'.repeat(1_000));
    expect(server.app.stats().buffered).to.be.within(5_000, 6_000);
    for (let i = 0; i < 50; i++) room.publish('x'.repeat(1_000));
    expect(await socket.closed()).to.include({ code: 1013, reason: 'the channel cannot be read' });
    expect([server.app.stats().buffered, room.size]).to.deep.equal([0, 0]);
  });
});

import type { Socket as NetSocket } from 'node:net';
import { expect } from 'chai';
import {
  Channels,
  conflate,
  defineChannel,
  Connections,
  type Channel,
  type ChannelDefinition,
  type Connection,
} from 'coequal';
import type { TestServer } from 'coequal/testing';
import { doors, knock, servers, type Door } from '../support/doors.js';
import { eventually } from '../support/eventually.js';
import { openReader, readerKinds, type Reader, type ReaderKind } from '../support/reader.js';
import { LONG } from '../support/long.js';
import { roomsOf } from '../support/rooms.js';

/** What may wait for one reader, in these tests. */
const BUFFERED = 262_144;
/** The largest value: what may wait on top until a reader that takes nothing has been told from one that reads. */
const VALUE = 65_536;
/** Fills what the system buffers for a client that does not read, and more, well before it is published whole. */
const PAYLOAD = 'x'.repeat(16_384);
const MOST = 2_000;
const [STUCK, OTHERS] = LONG ? [100, 200] : [20, 40];

const STAYING = doors.filter(({ kind }) => kind !== 'http');

interface Price {
  n: number;
  key: string;
  text: string;
}

const policies = {
  close: defineChannel<Price>('rooms/:room'),
  oldest: defineChannel<Price>('rooms/:room', { overflow: 'drop-oldest' }),
  latest: defineChannel<Price>('rooms/:room', { overflow: conflate(({ key }) => key) }),
};

const ways: { name: string; kind: ReaderKind; deflate: boolean }[] = [
  ...readerKinds.map((kind) => ({ name: kind, kind, deflate: false })),
  { name: 'websocket with permessage-deflate', kind: 'websocket', deflate: true },
];

describe('a reader that stops reading', () => {
  const serve = servers();

  function start(definition: ChannelDefinition<Price>, deflate = false) {
    const server = serve({
      controllers: [roomsOf(definition)],
      limits: { buffered: BUFFERED, value: VALUE },
      perMessageDeflate: deflate,
    });
    return { server, room: server.app.container.resolve(Channels).of(definition, { room: 'lobby' }) };
  }

  /** Publishes until the condition is met; the network has its turn in between. */
  async function publishUntil(
    room: Channel<Price>,
    met: (n: number) => boolean,
    text = () => PAYLOAD,
  ): Promise<number> {
    let n = 0;
    while (!met(n)) {
      if (n > MOST) throw new Error(`the reader took ${MOST} messages without being full`);
      room.publish({ n, key: `${n % 3}`, text: text() });
      n++;
      await new Promise((resolve) => setImmediate(resolve));
    }
    return n;
  }

  for (const { name, kind, deflate } of ways) {
    // What compresses well would never fill anything.
    const text = deflate ? noise : () => PAYLOAD;

    describe(`by ${name}`, () => {
      it("is ended where overflow is 'close', the default: 1013, or the end of the stream", async () => {
        const { server, room } = start(policies.close, deflate);
        const slow = await openReader(server, kind, '/rooms/lobby');
        slow.pause();
        const n = await publishUntil(room, () => room.size === 0, text);
        expect(server.app.stats()).to.deep.include({ channels: 0 });
        slow.resume();
        await slow.until(({ closed }) => closed !== undefined);
        if (kind === 'websocket') expect(slow.closed).to.equal(1013);
        expect(slow.received.length).to.be.lessThan(n);
        expect(numbers(slow)).to.deep.equal(slow.received.map((_, i) => i));
      });

      it("is told how many it has missed where it is 'drop-oldest', and goes on", async () => {
        const { server, room } = start(policies.oldest, deflate);
        const slow = await openReader(server, kind, '/rooms/lobby');
        slow.pause();
        let most = 0;
        const n = await publishUntil(
          room,
          () => {
            most = Math.max(most, server.app.stats().buffered);
            return server.app.stats().messages.dropped >= 50;
          },
          text,
        );
        expect(most).to.be.within(BUFFERED / 2, BUFFERED + VALUE);
        slow.resume();
        await slow.until(() => numbers(slow).at(-1) === n - 1);
        room.publish({ n, key: '', text: 'after' });
        await slow.until(() => numbers(slow).at(-1) === n);
        const missed = slow.data.flatMap((data) => (data as { missed?: number }).missed ?? []);
        expect(missed.reduce((sum, one) => sum + one, 0)).to.equal(server.app.stats().messages.dropped);
        expectHolesToBeTold(slow);
        expect(slow.closed).to.equal(undefined);
        await eventually(() => server.app.stats().buffered === 0);
      });

      it('gets the latest of each key where it conflates, and none of the rest', async () => {
        const { server, room } = start(policies.latest, deflate);
        const slow = await openReader(server, kind, '/rooms/lobby');
        slow.pause();
        const n = await publishUntil(room, () => server.app.stats().messages.conflated >= 50, text);
        expect(server.app.stats().buffered).to.be.at.most(BUFFERED + VALUE);
        slow.resume();
        await slow.until(() => numbers(slow).at(-1) === n - 1);
        expect(numbers(slow).slice(-3), 'the latest of three keys').to.deep.equal([n - 3, n - 2, n - 1]);
        expect(slow.received.length).to.equal(n - server.app.stats().messages.conflated);
        expect(server.app.stats().messages.dropped).to.equal(0);
        expect(slow.closed).to.equal(undefined);
      });

      it('is bounded where each message has a key of its own, and told what it has missed', async () => {
        const Each = defineChannel<Price>('rooms/:room', { overflow: conflate(({ n }) => n) });
        const { server, room } = start(Each, deflate);
        const slow = await openReader(server, kind, '/rooms/lobby');
        slow.pause();
        const n = await publishUntil(room, () => server.app.stats().messages.dropped >= 20, text);
        expect(server.app.stats().buffered).to.be.at.most(BUFFERED + VALUE);
        slow.resume();
        await slow.until(() => numbers(slow).at(-1) === n - 1);
        expectHolesToBeTold(slow);
      });

      it('leaves nothing behind when it goes while messages are kept for it', async () => {
        const { server, room } = start(policies.oldest, deflate);
        const slow = await openReader(server, kind, '/rooms/lobby');
        slow.pause();
        await publishUntil(room, () => server.app.stats().messages.dropped > 0, text);
        slow.leave();
        await eventually(() => server.app.stats().channels === 0);
        expect(server.app.stats().buffered).to.equal(0);
      });
    });
  }

  for (const [name, definition] of Object.entries(policies)) {
    it(`is one of ${STUCK}, and ${OTHERS} others lose nothing (${name})`, async () => {
      const { server, room } = start(definition);
      const stuck = await Promise.all(Array.from({ length: STUCK }, (_, i) => stop(server, STAYING[i % 2])));
      await eventually(() => room.size === STUCK);
      await fill([...server.app.container.resolve(Connections)]);
      const readers = await Promise.all(
        Array.from({ length: OTHERS }, (_, i) =>
          openReader(server, readerKinds[i % 2] ?? 'sse', '/rooms/lobby'),
        ),
      );
      let [n, most] = [0, 0];
      const full = (): boolean => {
        const { dropped, conflated } = server.app.stats().messages;
        return name === 'close' ? room.size === OTHERS : dropped + conflated >= 2 * STUCK;
      };
      while (!full()) {
        room.publish({ n, key: `${n % 3}`, text: PAYLOAD });
        n++;
        // At the pace of those who read: they are not the ones that are slow.
        await Promise.all(readers.map((reader) => reader.until(({ received }) => received.length === n)));
        most = Math.max(most, ...buffers(server));
      }
      expect(most, 'what waits for any reader').to.be.at.most(BUFFERED + VALUE);
      for (const reader of readers)
        expect(numbers(reader)).to.deep.equal(Array.from({ length: n }, (_, i) => i));
      for (const client of stuck) client.destroy();
    }).timeout(20_000);
  }

  /** Sends until the system takes no more for any of them. */
  async function fill(connections: Connection[]): Promise<void> {
    const text = 'y'.repeat(BUFFERED / 8);
    for (let fed = connections; fed.length > 0; fed = fed.filter(({ needsDrain }) => !needsDrain)) {
      for (const connection of fed) connection.send(text);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  function buffers(server: TestServer): number[] {
    return [...server.app.container.resolve(Connections)].map(({ buffered }) => buffered);
  }

  /** A client that has asked for the channel, and reads nothing of the answer. */
  async function stop(server: TestServer, door: Door | undefined): Promise<NetSocket> {
    if (door === undefined) throw new Error('no such door');
    const client = await knock(server, door, '/rooms/lobby');
    client.on('error', () => client.destroy());
    return client.pause();
  }
});

function numbers({ data }: Reader): number[] {
  return data.flatMap((one) => (one as { n?: number }).n ?? []);
}

/** Between what is told to be missed, nothing is: each hole is as large as was said. */
function expectHolesToBeTold({ data }: Reader): void {
  let next = 0;
  for (const one of data as { n?: number; missed?: number }[]) {
    if (one.missed !== undefined) next += one.missed;
    else expect(one.n).to.equal(next++);
  }
}

let seed = 1;

/** Text that does not compress. */
function noise(): string {
  let text = '';
  while (text.length < 16_384) {
    seed = (seed * 48_271) % 2_147_483_647;
    text += seed.toString(36);
  }
  return text;
}

import { expect } from 'chai';
import { Channels, defineChannel, type ChannelDefinition } from 'coequal';
import { mistreated } from '../../support/canary.js';
import { FaultProxy, type Cut, type Link } from '../../support/fault-proxy.js';
import { openReader, readerKinds, type ReaderKind, type Received } from '../../support/reader.js';
import { roomsOf } from '../../support/rooms.js';
import { LONG } from '../../support/long.js';

const Long = defineChannel<number>('long/:room', { history: 100 });
const Short = defineChannel<number>('short/:room', { history: 3 });

/** One byte of the connection in so many. */
const STEP = LONG ? 7 : 83;

const ways: { by: Cut['by']; what: string }[] = [
  { by: 'reset', what: 'reset' },
  { by: 'half-close', what: 'half closed' },
  { by: 'vanish', what: 'black-holed' },
];

describe('Broadcast', () => {
  describe('a reader that is cut at any byte, and comes back with its last cursor', () => {
    const { server, holds } = mistreated({ controllers: [roomsOf(Long), roomsOf(Short)] });
    let serial = 0;

    for (const kind of readerKinds) {
      for (const { by, what } of ways) {
        holds(`has every message once by ${kind}, its answer being ${what}`, async function () {
          this.timeout(120_000);
          for (const after of await positions(kind, 'down')) {
            const received = await ride(Long, kind, ({ down }) => (down.cut = { after, by }));
            expect(numbers(received), `cut after ${after} bytes`).to.deep.equal(
              numbers(received).map((_, n) => n),
            );
          }
        });

        holds(`has every message once by ${kind}, its request being ${what}`, async function () {
          this.timeout(120_000);
          for (const after of await positions(kind, 'up')) {
            const received = await ride(Long, kind, ({ up }) => (up.cut = { after, by }));
            expect(numbers(received), `cut after ${after} bytes`).to.deep.equal(
              numbers(received).map((_, n) => n),
            );
          }
        });

        holds(
          `is told of each gap by ${kind}, its answer being ${what}, where little is kept`,
          async function () {
            this.timeout(120_000);
            for (const after of await positions(kind, 'down')) {
              const received = await ride(Short, kind, ({ down }) => (down.cut = { after, by }));
              expectGapsToBeTold(received, `cut after ${after} bytes`);
            }
          },
        );
      }
    }

    /** Numbers of bytes after which a connection can be cut, from none to all. */
    async function positions(kind: ReaderKind, way: 'up' | 'down'): Promise<number[]> {
      let whole: Link | undefined;
      await ride(Long, kind, (link) => (whole = link));
      const { passed } = (whole as Link)[way];
      return Array.from({ length: Math.ceil(passed / STEP) }, (_, i) => i * STEP);
    }

    /**
     * Reads a channel on which things are said before, while and after each visit, until the last of them has come.
     * The plan is for the first two visits; the third finds a network that works.
     */
    async function ride(
      definition: ChannelDefinition<number>,
      kind: ReaderKind,
      plan: (link: Link) => unknown,
    ): Promise<Received[]> {
      const name = String(++serial);
      const room = server.app.container.resolve(Channels).of(definition, { room: name });
      const proxy = new FaultProxy(server, (link, index) => {
        if (index < 2) plan(link);
        // The client notices that it hears nothing more; the server does not.
        void link.vanished.then(() => link.client.resetAndDestroy());
      });
      const received: Received[] = [];
      let [said, cursor] = [0, undefined as string | undefined];
      const say = (count: number): void => {
        for (let i = 0; i < count; i++) room.publish(said++);
      };
      say(1);
      while (numbers(received).at(-1) !== said - 1) {
        const query = cursor === undefined ? '' : `?lastEventId=${cursor}`;
        const opening = openReader(proxy, kind, `/${definition.template.split('/')[0]}/${name}${query}`, {
          protocols: ['coequal.events'],
        });
        if (said < 20) say(2);
        // Cut before it was open: it comes again, with what it had.
        const reader = await opening.catch(() => undefined);
        if (said < 20) say(2);
        await reader?.until((one) => one.closed !== undefined || numbers(one.received).at(-1) === said - 1);
        reader?.leave();
        received.push(...(reader?.received ?? []));
        cursor = reader?.cursor ?? cursor;
        if (proxy.links.length < 3) say(3);
      }
      proxy.close();
      return received;
    }
  });
});

function numbers(received: readonly Received[]): number[] {
  return received.flatMap(({ data }) => (typeof data === 'number' ? data : []));
}

/**
 * Nothing comes twice or out of order, and before each hole it was said that there is one. Who has not been told a
 * cursor is a new reader, and begins with what is kept.
 */
function expectGapsToBeTold(received: readonly Received[], where: string): void {
  let next: number | undefined;
  let told = false;
  for (const { event, data } of received) {
    if (event === 'gap') {
      expect(data).to.deep.equal({ reason: 'trimmed' });
      told = true;
      continue;
    }
    if (told) expect(data, where).to.be.at.least(next ?? 0);
    else expect(data, where).to.equal(next ?? data);
    next = (data as number) + 1;
    told = false;
  }
}

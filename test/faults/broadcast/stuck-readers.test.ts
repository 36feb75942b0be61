import { expect } from 'chai';
import {
  Channels,
  Connections,
  conflate,
  type Connection,
  Controller,
  defineChannel,
  Sse,
  WebSocket,
} from 'coequal';
import { mistreated } from '../../support/canary.js';
import { until } from '../../support/deferred.js';
import { doors, knock } from '../../support/doors.js';
import { openReader, readerKinds, type Reader } from '../../support/reader.js';
import { roomsOf } from '../../support/rooms.js';
import { LONG } from '../../support/long.js';

const [STUCK, OTHERS] = LONG ? [100, 900] : [10, 90];
const BUFFERED = 262_144;
const VALUE = 65_536;
const TEXT = 'x'.repeat(16_384);

interface Price {
  n: number;
  key: string;
  text: string;
}

const policies = {
  "'close'": defineChannel<Price>('closing/:room'),
  "'drop-oldest'": defineChannel<Price>('dropping/:room', { overflow: 'drop-oldest' }),
  'conflate(key)': defineChannel<Price>('latest/:room', { overflow: conflate(({ key }) => key) }),
};

/** Sends without end, and asks nobody: what a careless method does. */
@Controller('/careless')
class Careless {
  @Sse()
  @WebSocket()
  async *all() {
    for (let n = 0; ; n++) yield { n, text: TEXT };
  }
}

describe('Broadcast', () => {
  describe(`${STUCK} readers that stop reading, among ${STUCK + OTHERS}`, () => {
    const { server, log, holds } = mistreated({
      controllers: [...Object.values(policies).map((policy) => roomsOf(policy)), Careless],
      limits: { buffered: BUFFERED, value: VALUE },
      timeouts: { close: 100 },
    });

    /** A client that has asked, and reads nothing of the answer. */
    async function stop(path: string, index: number) {
      const door = doors.filter(({ kind }) => kind !== 'http')[index % 2];
      if (door === undefined) throw new Error('no such door');
      const client = await knock(server, door, path);
      client.on('error', () => client.destroy());
      return client.pause();
    }

    /** Sends until the system takes no more for any of them. */
    async function fill(connections: Connection[]): Promise<void> {
      for (let fed = connections; fed.length > 0; fed = fed.filter(({ needsDrain }) => !needsDrain)) {
        for (const connection of fed) connection.send('y'.repeat(BUFFERED / 8));
        await new Promise((resolve) => setImmediate(resolve));
      }
    }

    for (const [name, definition] of Object.entries(policies)) {
      holds(`cost what the policy ${name} says and no more, and the others lose nothing`, async function () {
        this.timeout(120_000);
        const path = `/${definition.template.split('/')[0]}/lobby`;
        const room = server.app.container.resolve(Channels).of(definition, { room: 'lobby' });
        const stuck = await Promise.all(Array.from({ length: STUCK }, (_, i) => stop(path, i)));
        await until(() => room.size === STUCK);
        await fill(
          [...server.app.container.resolve(Connections)].filter(({ context }) => context.path === path),
        );
        const others: Reader[] = [];
        for (let i = 0; i < OTHERS; i++)
          others.push(await openReader(server, readerKinds[i % 2] ?? 'sse', path));
        await until(() => room.size === STUCK + OTHERS);
        const skipped = (): number => {
          const { dropped, conflated } = server.app.stats().messages;
          return dropped + conflated;
        };
        const before = skipped();
        const over = () => (name === "'close'" ? room.size === OTHERS : skipped() - before >= 2 * STUCK);
        let [n, most] = [0, 0];
        while (!over()) {
          room.publish({ n, key: `${n % 3}`, text: TEXT });
          n++;
          await Promise.all(others.map((reader) => reader.until(({ received }) => received.length === n)));
          for (const { buffered } of server.app.container.resolve(Connections))
            most = Math.max(most, buffered);
        }
        expect(most, 'what waits for any of them').to.be.at.most(BUFFERED + VALUE);
        const all = Array.from({ length: n }, (_, i) => i);
        for (const reader of others) expect(reader.data.map((one) => (one as Price).n)).to.deep.equal(all);
        expect(log.at('error')).to.deep.equal([]);
        for (const client of stuck) client.destroy();
        for (const reader of others) reader.leave();
        await until(() => room.size === 0 && server.app.stats().buffered === 0);
      });
    }

    holds('of a generator hold it back, each its own, and end it when they leave', async function () {
      this.timeout(20_000);
      const stuck = await Promise.all(Array.from({ length: STUCK }, (_, i) => stop('/careless', i)));
      await until(() => server.app.stats().connections.opened >= STUCK);
      const careless = () =>
        [...server.app.container.resolve(Connections)].filter(({ context }) => context.path === '/careless');
      await until(() => careless().length === STUCK && careless().every(({ needsDrain }) => needsDrain));
      const reader = await openReader(server, 'websocket', '/careless');
      await reader.until(({ received }) => received.length >= 100);
      for (const { buffered } of careless()) expect(buffered).to.be.at.most(BUFFERED + VALUE);
      reader.leave();
      for (const client of stuck) client.destroy();
      await until(() => careless().length === 0);
      expect(log.at('error')).to.deep.equal([]);
    });
  });
});

import { once } from 'node:events';
import type { Socket as NetSocket } from 'node:net';
import { expect } from 'chai';
import { Connection, Connections, Controller, Sse, WebSocket } from 'coequal';
import { mistreated } from '../../support/canary.js';
import { until } from '../../support/deferred.js';
import { FaultProxy, type Link } from '../../support/fault-proxy.js';
import { openReader, readerKinds, type ReaderKind } from '../../support/reader.js';

/** Milliseconds between two beats, and for which the peer's answer to a close is waited for. */
const HEARTBEAT = 160;
const CLOSE = 100;
const BUFFERED = 65_536;

@Controller('/quiet')
class Quiet {
  @Sse()
  @WebSocket()
  open(@Connection() connection: Connection) {
    connection.send('open');
  }
}

describe('Slow and stuck', () => {
  describe('a peer that is gone without a word', () => {
    const { server, holds } = mistreated({
      controllers: [Quiet],
      heartbeat: HEARTBEAT,
      limits: { buffered: BUFFERED },
      timeouts: { close: CLOSE },
    });
    let proxy: FaultProxy;
    afterEach(() => proxy.close());

    /** A connection that is open, and then black-holed. */
    async function vanish(kind: ReaderKind): Promise<{ connection: Connection; link: Link; tcp: NetSocket }> {
      proxy = new FaultProxy(server);
      const accepted = once(server.app.server, 'connection') as Promise<[NetSocket]>;
      const reader = await openReader(proxy, kind, '/quiet');
      await reader.until(({ data }) => data.length === 1);
      const [link] = proxy.links as [Link];
      link.vanish();
      const connection = [...server.app.container.resolve(Connections)].find(
        ({ context }) => context.path === '/quiet',
      );
      return { connection: connection as Connection, link, tcp: (await accepted)[0] };
    }

    /** Sends until the system takes no more, and what waits has the given size. */
    async function fill(connection: Connection, bytes: number): Promise<void> {
      while (connection.closed === undefined && connection.buffered < bytes) {
        connection.send('x'.repeat(8_192));
        await new Promise((resolve) => setImmediate(resolve));
      }
    }

    holds('is found within two heartbeats on a socket, and what was open is closed', async () => {
      const began = performance.now();
      const { connection, tcp } = await vanish('websocket');
      await until(() => connection.closed !== undefined && tcp.destroyed);
      expect(connection.closed).to.deep.equal({ code: 1006, reason: '' });
      // Nothing is asserted of how long it takes on a busy machine, but that it was not at once.
      expect(performance.now() - began).to.be.greaterThan(HEARTBEAT / 2);
    });

    for (const kind of readerKinds) {
      holds(
        `is given up by ${kind} as soon as more waits for it than may, and nothing of it stays`,
        async () => {
          const { connection, tcp } = await vanish(kind);
          await fill(connection, Infinity);
          expect(connection.closed).to.deep.equal({ code: 1013, reason: 'the reader is too slow' });
          await until(() => tcp.destroyed);
          expect(server.app.stats().buffered).to.equal(0);
        },
      );

      holds(`does not keep its connection by ${kind} once the server has closed it`, async () => {
        const { connection, tcp } = await vanish(kind);
        connection.close(3000, 'signed out');
        await until(() => connection.closed !== undefined && tcp.destroyed);
        expect(connection.closed?.code).to.equal(3000);
      });

      holds(`does not keep its connection by ${kind} once it is closed while much waits for it`, async () => {
        const { connection, tcp } = await vanish(kind);
        await fill(connection, BUFFERED / 2);
        expect(connection.closed).to.equal(undefined);
        connection.close(3000, 'signed out');
        await until(() => connection.closed !== undefined && tcp.destroyed);
        expect(connection.closed?.code).to.equal(3000);
        expect(server.app.stats().buffered).to.equal(0);
      });

      holds(`is waited for by ${kind} no longer where its method awaits that it has caught up`, async () => {
        const { connection, tcp } = await vanish(kind);
        await fill(connection, BUFFERED / 2);
        const drained = connection.drained();
        connection.terminate();
        await drained;
        await until(() => tcp.destroyed);
      });
    }
  });
});

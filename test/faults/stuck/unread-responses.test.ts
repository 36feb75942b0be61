import { once } from 'node:events';
import type { Socket } from 'node:net';
import { expect } from 'chai';
import { Controller, Get, Sse } from 'coequal';
import { mistreated } from '../../support/canary.js';
import { until } from '../../support/deferred.js';
import { RawClient } from '../../support/raw-client.js';

const READERS = 20;
const PIECE = 'x'.repeat(65_536);

let open = 0;

async function* endless(): AsyncGenerator<string> {
  open++;
  try {
    for (;;) yield PIECE;
  } finally {
    open--;
  }
}

@Controller('/rows')
class Rows {
  @Get() rows() {
    return endless();
  }
  @Sse('/events') events() {
    return endless();
  }
}

describe('Slow and stuck', () => {
  describe('responses that nobody reads', () => {
    const { server, log, holds } = mistreated({ controllers: [Rows], timeouts: { unread: 400 } });

    for (const path of ['/rows', '/rows/events']) {
      holds(`are cut, what waits for them stays bounded, and their sources end (${path})`, async function () {
        this.timeout(20_000);
        const sockets: Socket[] = [];
        const clients: RawClient[] = [];
        for (let i = 0; i < READERS; i++) {
          const connected = once(server.app.server, 'connection') as Promise<[Socket]>;
          const client = await RawClient.connect(await server.url());
          sockets.push(...(await connected));
          client.socket.pause();
          client.head(`GET ${path} HTTP/1.1`, 'Host: localhost', 'Accept: text/event-stream, */*');
          clients.push(client);
        }
        await until(() => open > 0);
        let waited = 0;
        await until(() => {
          for (const { writableLength } of sockets) waited = Math.max(waited, writableLength);
          return sockets.every(({ closed }) => closed);
        });
        await until(() => open === 0);
        for (const client of clients) client.reset();

        expect(waited).to.be.below(1_048_576);
        expect(server.app.stats().buffered).to.equal(0);
        expect(log.lines.map(({ message }) => message)).to.deep.equal(
          Array<string>(READERS).fill('unread response: connection cut'),
        );
      });
    }
  });
});

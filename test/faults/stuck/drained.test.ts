import { expect } from 'chai';
import { Connection, Controller, Sse, WebSocket } from 'coequal';
import { mistreated } from '../../support/canary.js';
import { until } from '../../support/deferred.js';
import { openReader, readerKinds } from '../../support/reader.js';

const BUFFERED = 262_144;
const PIECE = 'x'.repeat(16_384);
/** More than the connection takes for caught up, and less than may wait. */
const PIECES = 10;

/** Sends so many pieces, and waits for the reader whenever it is behind. */
async function feed(connection: Connection, pieces: number): Promise<void> {
  for (let i = 0; i < pieces; i++) if (!connection.send(PIECE)) await connection.drained();
}

@Controller('/fed')
class Fed {
  @Sse('/first')
  @WebSocket('/first')
  async first(@Connection() connection: Connection) {
    await feed(connection, PIECES);
    return 'the last';
  }

  @Sse('/too-much')
  @WebSocket('/too-much')
  async tooMuch(@Connection() connection: Connection) {
    for (let i = 0; i < 2 * (BUFFERED / PIECE.length); i++) connection.send(PIECE);
    await connection.drained();
  }
}

describe('Slow and stuck', () => {
  describe('a method that waits for its reader', () => {
    const { server, log, holds } = mistreated({
      controllers: [Fed],
      limits: { buffered: BUFFERED, value: BUFFERED / 2 },
      // Who waits for what cannot come is seen by a test that takes longer than it may.
      timeouts: { handler: 60_000 },
    });

    for (const kind of readerKinds) {
      holds(`by ${kind} goes on, before its head is sent as after it, and all arrives`, async () => {
        const reader = await openReader(server, kind, '/fed/first');
        await reader.until(({ last }) => last === 'the last');
        expect(reader.data).to.deep.equal([...Array<string>(PIECES).fill(PIECE), 'the last']);
        reader.leave();
      });

      holds(`by ${kind} is not left waiting when it has sent more than may wait`, async () => {
        const reader = await openReader(server, kind, '/fed/too-much').catch(() => undefined);
        await reader?.until(({ closed }) => closed !== undefined);
        await until(() => server.app.stats().inFlight.exchanges === 0);
        expect(server.app.stats().connections).to.include({ sse: 0, websocket: 1 });
        expect(server.app.stats().buffered).to.equal(0);
        expect(log.at('error')).to.deep.equal([]);
      });
    }
  });
});

import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { Body, Connections, Controller, WebSocket } from 'coequal';
import { mistreated } from '../../support/canary.js';
import { until } from '../../support/deferred.js';
import { HANDSHAKE, maskedFrame, RawClient } from '../../support/raw-client.js';

const BUFFERED = 65_536;

@Controller('/flooded')
class Flooded {
  @WebSocket()
  echo(@Body() text: string) {
    return text;
  }
}

describe('Slow and stuck', () => {
  describe('a flood of pings', () => {
    const { server, log, holds } = mistreated({
      controllers: [Flooded],
      limits: { buffered: BUFFERED },
      timeouts: { close: 100 },
    });

    async function open(): Promise<RawClient> {
      const client = await RawClient.connect(await server.url());
      client.head(`GET /flooded HTTP/1.1`, ...HANDSHAKE);
      await client.opening();
      return client;
    }

    const connections = () =>
      [...server.app.container.resolve(Connections)].filter(({ context }) =>
        context.path.startsWith('/flooded'),
      );

    const burst = (count: number, payload: Uint8Array) =>
      Buffer.concat(Array.from({ length: count }, () => maskedFrame(9, payload)));

    holds(`that is none, of 50 at a time, is answered each by its own data`, async () => {
      const client = await open();
      for (let round = 1; round <= 8; round++) {
        // RFC 6455, section 5.5.3: a pong has the data of the ping that it answers.
        client.write(burst(50, Buffer.from(`ping ${round}`))).write(maskedFrame(1, `said ${round}`));
        const received = await client.until((bytes) => bytes.includes(`said ${round}`));
        expect(
          received
            .toString('latin1')
            .split(`\x8a${String.fromCharCode(`ping ${round}`.length)}ping ${round}`),
        ).to.have.lengthOf(51);
      }
      client.reset();
    });

    holds(`that comes faster than it can be answered ends its connection`, async () => {
      const client = await open();
      client.write(burst(10_000, randomBytes(125)));
      await client.closed();
      await until(() => connections().length === 0);
    });

    holds(`whose sender reads no answers takes no more memory than a reader may`, async () => {
      const client = await open();
      const [connection] = connections();
      client.socket.pause();
      const pings = burst(50, randomBytes(125));
      let most = 0;
      while (connection?.closed === undefined) {
        client.write(pings);
        await new Promise((resolve) => setImmediate(resolve));
        most = Math.max(most, connection?.buffered ?? 0);
      }
      expect(most).to.be.at.most(BUFFERED);
      client.reset();
      await until(() => connections().length === 0);
    });

    holds('does not keep others from being served while it lasts', async () => {
      const client = await open();
      const other = await server.socket('/flooded');
      const pings = burst(50, randomBytes(125));
      for (let i = 0; i < 100; i++) {
        client.write(pings);
        other.send(`${i}`);
        expect(await other.next()).to.equal(`${i}`);
      }
      expect(log.lines).to.deep.equal([]);
      expect(connections()).to.have.lengthOf(2);
      client.reset();
      other.close();
    });

    holds('of pongs that nobody has asked for is dropped', async () => {
      const client = await open();
      client.write(Buffer.concat(Array.from({ length: 10_000 }, () => maskedFrame(10, 'unasked'))));
      client.write(maskedFrame(1, 'still here'));
      const received = await client.until((bytes) => bytes.includes('still here'));
      expect(received.subarray(received.indexOf('\r\n\r\n') + 4)).to.deep.equal(
        Buffer.from('\x81\x0astill here', 'latin1'),
      );
      client.reset();
    });
  });
});

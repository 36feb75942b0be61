import { expect } from 'chai';
import { mistreated } from '../../support/canary.js';
import { until } from '../../support/deferred.js';
import { Echoes, echoes, QUIET, TEXT_PATHS } from '../../support/echoes.js';
import { close, frame, ping, pong, says, text, TEXT, Wire } from '../../support/ws-wire.js';

describe('Frames', () => {
  describe('pings in floods', () => {
    const { holds, talks, server } = echoes({ heartbeat: QUIET });
    const open = (): number => server.app.stats().connections.websocket;

    for (const path of TEXT_PATHS) {
      holds(`fifty pings in one chunk are each answered (${path})`, () => {
        const numbers = Array.from({ length: 50 }, (_, i) => `ping ${i}`);
        return talks(
          path,
          numbers.map((n) => ping(n)),
          numbers.map((n) => says.pong(n)),
        );
      });

      holds(
        `ten thousand pings of a client that reads the pongs are each answered (${path})`,
        async function () {
          this.timeout(30_000);
          const wire = await Wire.open(server, path);
          for (let i = 0; i < 10_000; i += 50) {
            wire.write(...Array.from({ length: 50 }, (_, n) => ping(`${i + n}`)));
            await wire.say(49);
            expect(await wire.say(1)).to.deep.equal([says.pong(`${i + 49}`)]);
          }
          wire.write(close(1000));
          expect(await wire.rest()).to.deep.equal([says.close(1000)]);
        },
      );

      for (const [name, within] of [
        ['pings', []],
        ['pings within a message', [frame(TEXT, 'frag', { fin: false })]],
      ] as [string, Buffer[]][]) {
        holds(`${name} of a client that does not read the pongs end the connection (${path})`, async () => {
          const before = open();
          const wire = await Wire.open(server, path);
          await until(() => open() > before);
          wire.client.socket.pause();
          wire.write(...within);
          const flood = Buffer.concat(Array.from({ length: 500 }, () => ping('x'.repeat(125))));
          while (open() > before && !wire.client.socket.destroyed) {
            if (wire.client.socket.writableLength < 1_000_000) wire.client.write(flood);
            await new Promise((resolve) => setImmediate(resolve));
          }
          await until(() => open() <= before);
          wire.client.socket.destroy();
          await wire.client.closed();
        });
      }

      holds(`pongs in floods are nothing to answer (${path})`, () =>
        talks(
          path,
          [...Array.from({ length: 5_000 }, (_, i) => pong(`${i}`)), text('still here')],
          [says.text('still here')],
        ),
      );
    }
  });

  describe('silence', () => {
    const { holds, server, log } = mistreated({ controllers: [Echoes], heartbeat: 64 });

    /** Hears pings, answers so many of them, and gives how many came until the server ended the connection. */
    async function hear(wire: Wire, answered: number, answer: () => Buffer): Promise<number> {
      for (let pings = 1; ; pings++) {
        expect(await wire.say(1)).to.deep.equal(['ping ""']);
        if (pings > answered) {
          expect(await wire.rest()).to.deep.equal([]);
          return pings;
        }
        wire.write(answer());
      }
    }

    for (const path of TEXT_PATHS) {
      for (const answered of [0, 1, 3]) {
        holds(
          `a peer that answers ${answered} pings is cut at the second that it owes (${path})`,
          async () => {
            const wire = await Wire.open(server, path);
            expect(await hear(wire, answered, () => pong())).to.equal(answered + 1);
            expect(
              log.lines.map(({ level, message, fields }) => [level, message, fields['reason']]),
            ).to.deep.equal([['info', 'closing socket: the peer is silent', 'the peer is silent']]);
          },
        );
      }

      holds(`a pong that says something else is a sign of life, too (${path})`, async () => {
        const wire = await Wire.open(server, path);
        expect(await hear(wire, 2, () => pong('anything'))).to.equal(3);
      });

      holds(`a peer that never answers the server's close is cut (${path})`, async () => {
        const wire = await Wire.open(impatient.server, path);
        wire.write(text('x'), Buffer.from([0x82, 0x80, 0, 0, 0, 0]));
        expect(await wire.say(2)).to.deep.equal([says.text('x'), says.close(1003, 'this socket takes text')]);
        expect(await wire.rest()).to.deep.equal([]);
      });
    }

    const impatient = mistreated({ controllers: [Echoes], heartbeat: QUIET, timeouts: { close: 20 } });
  });
});

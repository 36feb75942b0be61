import { expect } from 'chai';
import { Connections } from 'coequal';
import { mistreated, type Mistreated } from '../../support/canary.js';
import { conversations, conversationsWith, handled } from '../../support/conversations.js';
import { HANDSHAKE, maskedFrame, RawClient } from '../../support/raw-client.js';

const BINARY = 2;
const CLOSE = 8;

describe('Messages', () => {
  beforeEach(() => void (handled.count = 0));

  describe('binary where text is meant', () => {
    const suite = mistreated({ controllers: conversationsWith() });

    for (const { name, path, message, reply, text } of conversations) {
      if (text) {
        suite.holds(`closes with 1003, and runs nothing, for ${name}`, async () => {
          const socket = await suite.server.socket(path);
          socket.send(Buffer.from(message));
          expect((await socket.closed()).code).to.equal(1003);
          expect(handled.count).to.equal(0);
        });
      } else {
        suite.holds(`is read by ${name}, as text is`, async () => {
          const socket = await suite.server.socket(path);
          for (const one of [Buffer.from(message), message]) {
            socket.send(one);
            expect(String(await socket.next())).to.equal(reply);
          }
        });
      }

      suite.holds(`comes after a text that is answered all the same, for ${name}`, async () => {
        const socket = await suite.server.socket(path);
        socket.send(message);
        expect(String(await socket.next())).to.equal(reply);
        socket.send(Buffer.alloc(0));
        if (text) expect((await socket.closed()).code).to.equal(1003);
        else expect(String(await socket.next())).to.match(/"error":\{.*"status":400/);
        expect(handled.count).to.equal(1);
      });
    }
  });

  describe('more of them than the rate', () => {
    const suite = mistreated({ controllers: conversationsWith(5) });

    for (const { name, path, message, reply } of conversations) {
      suite.holds(`close the socket with 1008, and none beyond it is handled, for ${name}`, async () => {
        const socket = await suite.server.socket(path);
        for (let i = 0; i < 1_000; i++) socket.send(message);
        expect(await socket.closed()).to.deep.equal({ code: 1008, reason: 'too many messages' });
        // A slow machine may see some of the rate of the next second.
        expect(handled.count).to.be.at.least(1).and.below(1_000);
      });

      suite.holds(`are one too many only beyond it, for ${name}`, async () => {
        const socket = await suite.server.socket(path);
        for (let i = 0; i < 5; i++) socket.send(message);
        for (let i = 0; i < 5; i++) expect(await socket.next()).to.equal(reply);
        expect(socket.raw.readyState).to.equal(socket.raw.OPEN);
      });
    }

    suite.holds('count though nobody takes them', async () => {
      const socket = await suite.server.socket('/nobody');
      for (let i = 0; i < 1_000; i++) socket.send('hello');
      expect((await socket.closed()).code).to.equal(1008);
    });
  });

  describe('after the socket was closed by the server', () => {
    const suite = mistreated({ controllers: conversationsWith() });
    const limited = mistreated({ controllers: conversationsWith(50) });

    for (const { name, path, message } of conversations) {
      suite.holds(`run nothing, for ${name}`, async () => {
        const client = await opened(suite, path);
        const connections = [...suite.server.app.container.resolve(Connections)];
        connections.find(({ context }) => context.path === path)?.close(3000, 'revoked');
        await client.until((received) => received.includes('revoked'));
        await insist(client, message);
        expect(handled.count).to.equal(0);
      });

      suite.holds(`run nothing that waits for its turn, for ${name}`, async () => {
        const client = await opened(suite, path);
        client.write(Buffer.concat(Array<Buffer>(2_000).fill(maskedFrame(1, message))));
        const connections = [...suite.server.app.container.resolve(Connections)];
        const connection = connections.find(({ context }) => context.path === path);
        while (handled.count === 0) await new Promise((resolve) => setImmediate(resolve));
        connection?.close(3000, 'revoked');
        const { count } = handled;
        await client.until((received) => received.includes('revoked'));
        await insist(client, message);
        expect(count).to.be.below(2_000);
        expect(handled.count, 'handled since it was closed').to.equal(count);
      });

      limited.holds(`run nothing though the rate would allow one again, for ${name}`, async () => {
        const client = await opened(limited, path);
        client.write(Buffer.concat(Array<Buffer>(100).fill(maskedFrame(1, message))));
        await client.until((received) => received.includes('too many messages'));
        const { count } = handled;
        // Fifty a second: after this there is room for two.
        await new Promise((resolve) => setTimeout(resolve, 50));
        await insist(client, message);
        expect(handled.count).to.equal(count);
      });
    }
  });
});

async function opened({ server }: Mistreated, path: string): Promise<RawClient> {
  const client = await RawClient.connect(await server.url());
  client.head(`GET ${path} HTTP/1.1`, ...HANDSHAKE);
  expect((await client.opening()).status).to.equal(101);
  return client;
}

/** Goes on sending as if nothing had been said, and only then takes note of the end. */
async function insist(client: RawClient, message: string): Promise<void> {
  for (let i = 0; i < 10; i++) client.write(maskedFrame(1, message));
  client.write(maskedFrame(BINARY, message));
  client.write(maskedFrame(CLOSE, Uint8Array.of(0x0b, 0xb8)));
  await client.closed();
}

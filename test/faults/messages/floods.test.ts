import { expect } from 'chai';
import { mistreated, type Mistreated } from '../../support/canary.js';
import { conversations, conversationsWith, handled } from '../../support/conversations.js';
import { HANDSHAKE, maskedFrame, RawClient } from '../../support/raw-client.js';

const MANY = 50_000;

/** How many of them may be handled before all other connections have had their turn. */
const AT_ONCE = 1_024;

const CALL = { jsonrpc: '2.0', method: 'hello', id: 1 };

describe('Messages', () => {
  describe('floods', function () {
    this.timeout(30_000);
    const suite = mistreated({ controllers: conversationsWith() });

    for (const { name, path, message, reply } of conversations) {
      suite.holds(`${MANY} messages in one write are handled a few at a time, by ${name}`, async () => {
        const client = await opened(suite, path);
        const { most, between } = await flood(suite, client, message, MANY, () => handled.count);

        expect(handled.count).to.equal(MANY);
        expect(most, 'in one turn of the event loop').to.be.at.most(AT_ONCE);
        expect(between, 'handled when another connection was answered').to.be.below(MANY);
        await client.until((received) => received.length >= MANY * (2 + reply.length));
        expect(client.received.toString('latin1').split(reply)).to.have.length(MANY + 1);
        client.reset();
      });
    }

    suite.holds(`${MANY} messages that nobody takes let others be served between them`, async () => {
      const client = await opened(suite, '/nobody');
      const { messages } = suite.server.app.stats();
      const arrived = (): number => suite.server.app.stats().messages.in - messages.in;
      const { most, between } = await flood(suite, client, 'hello', MANY, arrived);

      // What one or two reads of the network bring is parsed in one go.
      expect(most, 'in one turn of the event loop').to.be.at.most(MANY / 4);
      expect(between, 'arrived when another connection was answered').to.be.below(MANY);
      client.reset();
    });

    suite.holds('50,000 calls in batches of 100 are handled a few batches at a time', async () => {
      const client = await opened(suite, '/calls');
      const batch = JSON.stringify(Array<unknown>(100).fill(CALL));
      const { most, between } = await flood(suite, client, batch, MANY / 100, () => handled.count / 100);

      expect(handled.count).to.equal(MANY);
      expect(most * 100, 'calls in one turn of the event loop').to.be.at.most(3 * AT_ONCE);
      expect(between * 100).to.be.below(MANY);
      client.reset();
    });
  });
});

async function opened({ server }: Mistreated, path: string): Promise<RawClient> {
  handled.count = 0;
  const client = await RawClient.connect(await server.url());
  client.head(`GET ${path} HTTP/1.1`, ...HANDSHAKE);
  expect((await client.opening()).status).to.equal(101);
  return client;
}

/** Sends a message many times in one write; counts what is done in a turn, and when another is served. */
async function flood(
  { server }: Mistreated,
  client: RawClient,
  message: string,
  times: number,
  done: () => number,
): Promise<{ most: number; between: number }> {
  const other = await server.socket('/canary');
  client.write(Buffer.concat(Array<Buffer>(times).fill(maskedFrame(1, message))));
  other.send('is anybody there?');
  let between = Infinity;
  const served = other.next({ timeout: 20_000 }).then(() => (between = done()));
  let most = 0;
  for (let before = 0; done() < times;) {
    await new Promise((resolve) => setImmediate(resolve));
    most = Math.max(most, done() - before);
    before = done();
  }
  await served;
  other.close();
  return { most, between };
}

import { expect } from 'chai';
import { children, type Child } from '../../support/child.js';
import { HANDSHAKE, RawClient } from '../../support/raw-client.js';

describe('Process', function () {
  // Each process takes its time to start.
  this.timeout(20_000);

  describe('signals', () => {
    const start = children();
    const told = (child: Child, what: string): Promise<unknown> =>
      child.until((message) => (message as { told?: string }).told === what);

    it('refuse a handshake that is let through when it is too late, by a 503', async () => {
      const child = await start('stubborn');
      const client = await RawClient.connect(child.url);
      client.head('GET /guarded HTTP/1.1', ...HANDSHAKE);
      await told(child, 'guard');
      child.kill('SIGTERM');
      const { status, headers } = await client.answer();
      expect([status, headers['content-type']]).to.deep.equal([503, 'application/problem+json']);
      expect(child.told).to.not.deep.include({ told: 'opened' });
    });

    for (const [signal, code] of [
      ['SIGTERM', 143],
      ['SIGINT', 130],
    ] as const) {
      it(`end the process at once the second time, while a service does not end: ${signal}`, async () => {
        const child = await start('stubborn');
        child.kill('SIGTERM');
        await told(child, 'disposing');
        child.kill(signal);
        expect(await child.exit).to.deep.equal([code, null]);
      });
    }
  });
});

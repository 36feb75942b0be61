import { expect } from 'chai';
import { once } from 'node:events';
import { Body, Controller, Signal, Sse, WebSocket } from 'coequal';
import { TIMEOUTS } from '../../../src/core/exchange/limits.js';
import { mistreated } from '../../support/canary.js';
import { eventually } from '../../support/eventually.js';
import { open, openSocket } from '../../support/proxied-client.js';
import { PROXY, proxied } from '../../support/proxy-process.js';
import { configuration, proxies } from '../../support/proxies.js';
import { sample } from '../../support/long.js';

/** Seconds for which the proxies wait here; each connection is watched for longer. */
const PATIENCE = { 75: 2 };
const HEARTBEAT = 500;
const HEARTBEATS = 6;

@Controller()
class Quiet {
  @Sse('/quiet') async *events(@Signal() signal: AbortSignal) {
    yield 'open';
    await once(signal, 'abort');
  }
  @WebSocket('/quiet') echo(@Body() text: string) {
    return text;
  }
}

describe('Proxies', function () {
  this.timeout(20_000);

  // It waits for seconds: without LONG, for the first proxy alone.
  for (const proxy of sample(proxies, 3)) {
    describe(proxy.name, () => {
      const { server, holds } = mistreated({
        controllers: [Quiet],
        trustProxy: PROXY,
        heartbeat: HEARTBEAT,
      });
      const through = proxied(proxy, () => server.url(), PATIENCE);

      holds(
        'keeps a stream and a socket that have only heartbeats for longer than it waits itself',
        async () => {
          const response = await open(through, '/quiet', { headers: { accept: 'text/event-stream' } });
          let text = '';
          response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
          const { socket, next } = await openSocket(through, '/quiet');
          let pings = 0;
          socket.on('ping', () => pings++);
          while (text.split('\n:').length <= HEARTBEATS) await once(response, 'data');
          while (pings < HEARTBEATS) await once(socket, 'ping');
          socket.send('still here');
          expect(await next()).to.equal('still here');
          response.destroy();
          socket.terminate();
        },
      );
    });
  }

  for (const proxy of proxies) {
    describe(proxy.name, () => {
      const patience = configuration(proxy.file)
        .split('\n')
        .flatMap((line) => [...line.replace(/#.*/, '').matchAll(/\b(\S+) (\d+)s\b/g)])
        .map(([, name = '', seconds]) => [name, Number(seconds) * 1_000] as const);

      it('waits longer than two heartbeats and the slowest handler, for what it waits longest', () => {
        const longest = Math.max(...patience.map(([, milliseconds]) => milliseconds));
        expect(longest).to.be.greaterThan(Math.max(2 * 25_000, TIMEOUTS.handler));
      });

      it('gives up its idle connections before the application does', () => {
        const idle = patience.find(([name]) =>
          ['keepalive_timeout', 'pool-purge-delay', 'keepalive'].includes(name),
        );
        expect(idle?.[1]).to.be.lessThan(TIMEOUTS.keepAlive);
      });
    });
  }

  // Caddy waits for as long as the application does.
  const impatient = proxies.filter(({ name }) => name !== 'caddy');
  for (const proxy of sample(impatient, 2)) {
    describe(proxy.name, () => {
      const { server, holds } = mistreated({ controllers: [Quiet], trustProxy: PROXY });
      const through = proxied(proxy, () => server.url(), PATIENCE);

      holds('ends what has no heartbeat when it has waited, and the application notices', async () => {
        const response = await open(through, '/quiet', { headers: { accept: 'text/event-stream' } });
        // Cut or ended, as each proxy has it.
        const over = new Promise((resolve) => response.on('error', resolve).on('end', resolve).resume());
        const { socket } = await openSocket(through, '/quiet');
        const now = () => server.app.stats().connections;
        // The canary's own socket is the third.
        expect(now()).to.include({ sse: 1, websocket: 2 });
        await Promise.all([over, once(socket, 'close')]);
        await eventually(() => now().sse === 0 && now().websocket === 1);
      });
    });
  }
});

import { expect } from 'chai';
import { Connections, type Middleware } from 'coequal';
import { mistreated, type Mistreated } from '../../support/canary.js';
import { until } from '../../support/deferred.js';
import { FaultProxy, type Cut, type Link, type Pace } from '../../support/fault-proxy.js';
import { openReader, readerKinds, type Reader, type ReaderKind } from '../../support/reader.js';
import { siteOf } from '../../support/site.js';

const PACES: Pace[] = ['whole', 'late', 'bytes', 'gathered'];
const CUTS: Cut['by'][] = ['reset', 'half-close', 'vanish'];

/** Lets a test say how long what it opens may last. */
const lasting: Middleware = (ctx, next) => {
  const { lasts } = ctx.query;
  if (typeof lasts === 'string') ctx.expires(new Date(Date.now() + Number(lasts)));
  return next();
};

describe('Slow and stuck', () => {
  describe('a session over a network that fails', () => {
    let mistreatment!: Mistreated;
    siteOf(
      (options) => (mistreatment = mistreated(options)).server,
      {},
      {
        middleware: [lasting],
        timeouts: { close: 100 },
      },
    );
    const { server, holds } = mistreatment;
    let proxy: FaultProxy;
    afterEach(() => proxy.close());

    function travel(plan: (link: Link, index: number) => void): void {
      proxy = new FaultProxy(server, plan);
    }

    /** A browser behind the proxy; each request has a connection of its own. */
    class Browser {
      cookie = '';

      async headers(): Promise<Record<string, string>> {
        const origin = await proxy.url();
        return { origin, connection: 'close', ...(this.cookie === '' ? {} : { cookie: this.cookie }) };
      }

      async post(path: string): Promise<number> {
        const init = { method: 'POST', headers: await this.headers() };
        const response = await fetch((await proxy.url()) + path, init);
        const [pair = ''] = (response.headers.getSetCookie()[0] ?? '').split(';');
        await response.arrayBuffer();
        if (pair !== '') this.cookie = pair;
        return response.status;
      }

      async open(kind: ReaderKind, path = '/me'): Promise<Reader> {
        const { connection: _, ...headers } = await this.headers();
        return openReader(proxy, kind, path, { headers });
      }
    }

    async function signedIn(): Promise<Browser> {
      const browser = new Browser();
      expect(await browser.post('/sign-in')).to.equal(200);
      return browser;
    }

    /** Connections of the site: the canary is none. */
    function open(): number {
      return server.app.container.resolve(Connections).of('ada').length;
    }

    async function expectEnd(reader: Reader, kind: ReaderKind): Promise<void> {
      await reader.until(({ closed }) => closed !== undefined);
      if (kind === 'websocket') expect(reader.closed).to.equal(3000);
      else expect(reader.received.at(-1)).to.deep.include({ event: 'end' });
      expect(open()).to.equal(0);
    }

    for (const pace of PACES) {
      for (const kind of readerKinds) {
        holds(`lets in by ${kind} who has signed in, and nobody else, its bytes being ${pace}`, async () => {
          travel(({ up, down }) => (up.pace = down.pace = pace));
          const refused = await new Browser().open(kind).catch((error: Error) => error.message);
          expect(refused).to.match(/401/);
          const reader = await (await signedIn()).open(kind);
          await reader.until(({ data }) => data.length === 1);
          expect(reader.data).to.deep.equal([{ user: 'ada' }]);
          reader.leave();
          await until(() => open() === 0);
        });

        holds(`ends with its connections by ${kind} at sign-out, its bytes being ${pace}`, async () => {
          travel(({ up, down }) => (up.pace = down.pace = pace));
          const browser = await signedIn();
          const { cookie } = browser;
          const reader = await browser.open(kind);
          expect(await browser.post('/sign-out')).to.equal(200);
          await expectEnd(reader, kind);
          browser.cookie = cookie;
          expect(await browser.open(kind).catch((error: Error) => error.message)).to.match(/401/);
        });

        holds(`ends by ${kind} when its time is over, its bytes being ${pace}`, async () => {
          travel(({ up, down }) => (up.pace = down.pace = pace));
          const reader = await (await signedIn()).open(kind, '/me?lasts=200');
          await expectEnd(reader, kind);
        });
      }
    }

    for (const kind of readerKinds) {
      holds(`ends at sign-out by ${kind} for the server too where its client is black-holed`, async () => {
        travel(() => undefined);
        const browser = await signedIn();
        const reader = await browser.open(kind);
        await reader.until(({ data }) => data.length === 1);
        proxy.links.at(-1)?.vanish();
        expect(await browser.post('/sign-out')).to.equal(200);
        await until(() => open() === 0);
      });
    }

    for (const by of CUTS) {
      holds(`is over though the answer to the sign-out was lost (${by})`, async () => {
        travel((link, index) => {
          if (index === 2) link.down.cut = { after: 10, by };
          void link.vanished.then(() => link.client.resetAndDestroy());
        });
        const browser = await signedIn();
        const reader = await browser.open('websocket');
        const lost = await browser.post('/sign-out').catch((error: Error) => error.name);
        expect(lost).to.equal('TypeError');
        await expectEnd(reader, 'websocket');
        expect(await browser.open('sse').catch((error: Error) => error.message)).to.match(/401/);
      });

      holds(`can be begun anew where the answer to the sign-in was lost (${by})`, async () => {
        travel((link, index) => {
          if (index === 1) link.down.cut = { after: 40, by };
          void link.vanished.then(() => link.client.resetAndDestroy());
        });
        const browser = new Browser();
        await browser.post('/visit');
        const planted = browser.cookie;
        expect(await browser.post('/sign-in').catch((error: Error) => error.name)).to.equal('TypeError');
        // The id from before the sign-in is nobody's: who knows it is not let in.
        expect(await browser.open('sse').catch((error: Error) => error.message)).to.match(/401/);
        expect(await browser.post('/sign-in')).to.equal(200);
        expect(browser.cookie).to.not.equal(planted);
        const reader = await browser.open('sse');
        await reader.until(({ data }) => data.length === 1);
        reader.leave();
        await until(() => open() === 0);
      });
    }
  });
});

import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { expect } from 'chai';
import { Controller, createApp, Get } from 'coequal';
import { mistreated } from '../../support/canary.js';
import { children } from '../../support/child.js';

describe('Process', () => {
  describe('ports', () => {
    const { server, holds } = mistreated({ controllers: [] });
    const start = children();

    @Controller()
    class Plain {
      @Get() get() {
        return 'here';
      }
    }

    async function refusal(listening: Promise<unknown>): Promise<NodeJS.ErrnoException> {
      return listening.then(
        () => {
          throw new Error('it listens');
        },
        (error: NodeJS.ErrnoException) => error,
      );
    }

    holds('refuse a second listen() of an application that listens, which goes on', async () => {
      const app = createApp({ controllers: [Plain] });
      const { url } = await app.listen();
      expect((await refusal(app.listen())).message).to.equal('the application is already listening');
      expect(await (await fetch(url)).text()).to.equal('here');
      await app.close();
    });

    holds('refuse a second listen() of an application that is about to listen', async () => {
      const app = createApp({ controllers: [Plain] });
      const first = app.listen();
      expect((await refusal(app.listen())).message).to.equal('the application is already listening');
      expect(await (await fetch((await first).url)).text()).to.equal('here');
      await app.close();
    });

    const wrong: [name: string, options: { port?: number; host?: string }, code: string][] = [
      // A mistake of the author: the error says what the option takes.
      ['a port that is none', { port: 70_000 }, 'INVALID_OPTION'],
      // RFC 5737: an address of nobody.
      ['an address that is not of this machine', { host: '192.0.2.1' }, 'EADDRNOTAVAIL'],
    ];
    for (const [name, options, code] of wrong) {
      holds(`refuse ${name}, and another may be taken`, async () => {
        const app = createApp({ controllers: [Plain] });
        expect((await refusal(app.listen({ ...options, signals: true }))).code).to.equal(code);
        expect(process.listenerCount('SIGTERM')).to.equal(0);
        const { url } = await app.listen();
        expect(await (await fetch(url)).text()).to.equal('here');
        await app.close();
      });
    }

    holds('that are taken leave an application that can be closed', async () => {
      const other = createServer().listen(0, '127.0.0.1');
      await once(other, 'listening');
      const app = createApp({ controllers: [Plain] });
      const { port } = other.address() as AddressInfo;
      const listening = refusal(app.listen({ port }));
      // Before it is known that the port is taken, and after.
      await app.close();
      expect((await listening).code).to.equal('EADDRINUSE');
      await app.close();
      other.close();
    });

    for (const [name, patience, code] of [
      ['end a process that does not catch it, with 1', 'rash', 1],
      ['keep no process alive that has caught it', 'patient', 0],
    ] as const) {
      holds(`that are taken ${name}`, async function () {
        this.timeout(20_000);
        const { port } = new URL(await server.url());
        const child = await start('taken', [port, patience]);
        expect(await child.exit).to.deep.equal([code, null]);
        if (code === 1) expect(child.stderr).to.include('EADDRINUSE');
        else expect(child.told).to.deep.include({ code: 'EADDRINUSE' });
      });
    }

    holds('are free again when the application is closed', async () => {
      const first = createApp({ controllers: [Plain] });
      const { port } = await first.listen();
      await first.close();
      const second = createApp({ controllers: [Plain] });
      const { url } = await second.listen({ port });
      expect(await (await fetch(url)).text()).to.equal('here');
      await second.close();
    });
  });
});

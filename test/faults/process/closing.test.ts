import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import {
  Connections,
  Controller,
  createApp,
  Ctx,
  Get,
  Socket,
  WebSocket,
  type App,
  type AppOptions,
  type Context,
} from 'coequal';
import { singleton } from 'tsyringe';
import { LocalBroker } from '../../../src/live/broker/local-broker.js';
import { mistreated } from '../../support/canary.js';
import { Journal, Recorder } from '../../support/journal.js';
import { HANDSHAKE, RawClient } from '../../support/raw-client.js';

const never = (): Promise<never> => new Promise(() => undefined);

/** A broker whose end is as it is told. */
class Leaving extends LocalBroker {
  constructor(private readonly end: () => unknown) {
    super();
  }

  override close(): Promise<void> {
    return this.end() as Promise<void>;
  }
}

describe('Process', () => {
  describe('closing', () => {
    // What closes here is another application: the one that is asked lives in the same process.
    const { holds } = mistreated({ controllers: [] });
    const apps: App[] = [];
    afterEach(() => Promise.all(apps.splice(0).map((app) => app.close({ grace: 1 }))));

    interface House {
      app: App;
      url: string;
      journal: Journal;
      log: Recorder;
    }

    /** An application with a service whose end is as it is told, and exchanges that never end. */
    async function house(dispose: (app: App) => unknown, more: Partial<AppOptions> = {}): Promise<House> {
      const journal = new Journal();
      const log = new Recorder();

      @singleton()
      class First {
        dispose(): void {
          journal.note('first disposed');
        }
      }

      @singleton()
      class Second {
        constructor(readonly first: First) {}
        async dispose(): Promise<void> {
          journal.note('second told');
          await dispose(app);
          journal.note('second disposed');
        }
      }

      @Controller()
      class House {
        constructor(readonly second: Second) {}

        @Get('/stuck')
        async stuck(@Ctx() ctx: Context) {
          ctx.defer(async () => {
            await turn();
            await turn();
            await turn();
            journal.note('rolled back');
          });
          journal.note('waiting');
          await never();
        }

        @Get('/endless')
        endless(@Ctx() ctx: Context) {
          ctx.defer(async () => {
            journal.note('deferred');
            await never();
          });
          return 'answered';
        }

        @Get('/closing')
        async closing() {
          journal.note('waiting');
          await app.close();
        }

        @WebSocket('/flood')
        flood(@Socket() socket: Socket): void {
          // More than may ever wait for one reader.
          for (let i = 0; i < 3; i++) socket.send('x'.repeat(900));
          journal.note(`given up: ${String(socket.closed?.code)}`);
        }

        @WebSocket('/socket')
        socket(): void {
          journal.note('opened');
        }
      }

      const app = createApp({ controllers: [House], logger: log, ...more });
      apps.push(app);
      const { url } = await app.listen();
      return { app, url, journal, log };
    }

    /** Closes, and gives how the end was told. What does not end in its time is ended by the runner. */
    async function closed({ app, log }: House, grace: number): Promise<string[]> {
      await app.close({ grace });
      return log.lines.map(({ message }) => message);
    }

    holds('is over though the broker never ends, which is told, and the container is disposed', async () => {
      const it = await house(() => undefined, { broker: new Leaving(never) });
      expect(await closed(it, 20)).to.deep.equal(['closing the broker did not finish in time']);
      expect(it.journal.entries).to.deep.equal(['second told', 'second disposed', 'first disposed']);
    });

    for (const [how, end] of [
      [
        'throws',
        () => {
          throw new Error('gone');
        },
      ],
      ['rejects', () => Promise.reject(new Error('gone'))],
    ] as const) {
      holds(`is over though the broker ${how}, which is told, and the container is disposed`, async () => {
        const it = await house(() => undefined, { broker: new Leaving(end) });
        expect(await closed(it, 1_000)).to.deep.equal(['closing the broker failed']);
        expect(it.log.lines[0]?.fields['err']).to.have.property('message', 'gone');
        expect(it.journal.entries).to.include('first disposed');
      });
    }

    holds('is over though a service never ends, which is told', async () => {
      const it = await house(never);
      expect(await closed(it, 20)).to.deep.equal(['disposing the container did not finish in time']);
      expect(it.journal.entries).to.deep.equal(['second told']);
    });

    holds('goes on with the next service where one fails to end', async () => {
      const it = await house(() => Promise.reject(new Error('stuck')));
      expect(await closed(it, 1_000)).to.deep.equal(['disposing Second failed']);
      expect(it.journal.entries).to.deep.equal(['second told', 'first disposed']);
    });

    holds('is over though a service waits for the end of the application', async () => {
      const it = await house((app) => app.close());
      expect(await closed(it, 20)).to.deep.equal(['disposing the container did not finish in time']);
    });

    holds('waits for what cut exchanges have deferred, and disposes what it uses after that', async () => {
      const it = await house(() => undefined);
      const client = await RawClient.connect(it.url);
      client.head('GET /stuck HTTP/1.1', 'Host: localhost');
      await it.journal.until('waiting');
      expect(await closed(it, 20)).to.deep.equal(['grace period expired: closing remaining connections']);
      expect(it.log.lines[0]?.fields).to.deep.equal({ exchanges: 1, handshakes: 0, connections: 0 });
      expect(it.journal.entries).to.deep.equal([
        'waiting',
        'rolled back',
        'second told',
        'second disposed',
        'first disposed',
      ]);
      await client.closed();
    });

    holds('tells what deferred work it has given up', async () => {
      const it = await house(() => undefined);
      expect(await (await fetch(`${it.url}/endless`)).text()).to.equal('answered');
      await it.journal.until('deferred');
      expect(await closed(it, 20)).to.deep.equal(['deferred work did not finish in time']);
      expect(it.log.lines[0]?.fields).to.deep.equal({ works: 1 });
      expect(it.journal.entries).to.include('first disposed');
    });

    holds('is over though a handler waits for it', async () => {
      const it = await house(() => undefined);
      const client = await RawClient.connect(it.url);
      client.head('GET /closing HTTP/1.1', 'Host: localhost');
      // The handler was the first to call: it is its grace, the default one, that would be waited for.
      const closing = it.app.close({ grace: 50 });
      client.reset();
      await closing;
      expect(it.journal.entries).to.include('first disposed');
    });

    holds('cuts a reader that was given up and does not leave', async () => {
      const more = { limits: { buffered: 1_000, value: 1_000 }, timeouts: { close: 60_000 } };
      const it = await house(() => undefined, more);
      const client = await RawClient.connect(it.url);
      client.head('GET /flood HTTP/1.1', ...HANDSHAKE);
      await it.journal.until('given up: 1013');
      expect([...it.app.container.resolve(Connections)]).to.deep.equal([]);
      expect(await closed(it, 20)).to.deep.equal(['grace period expired: closing remaining connections']);
      await client.closed();
    });

    const refused: [name: string, text: string, status: string][] = [
      ['sends what is no request', 'no request\r\n\r\n', '400'],
      ['asks for a tunnel', 'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n', '501'],
      [
        'asks for an upgrade that is refused',
        ['GET /socket HTTP/1.1', ...HANDSHAKE.filter((line) => !line.includes('Key')), '', ''].join('\r\n'),
        '400',
      ],
      [
        'asks for an upgrade behind an answer that closes',
        ['GET /nowhere HTTP/1.1', 'Host: localhost', 'Connection: close', '']
          .concat('GET /socket HTTP/1.1', HANDSHAKE, '', '')
          .join('\r\n'),
        '404',
      ],
    ];
    for (const [name, text, status] of refused) {
      holds(`cuts a client that ${name} and does not leave`, async () => {
        const it = await house(() => undefined);
        const client = await RawClient.connect(it.url);
        client.write(text);
        await client.until((received) => received.includes(`HTTP/1.1 ${status}`));
        // Left to itself it would be cut after five seconds, which the runner does not wait for.
        await it.app.close({ grace: 20 });
        await client.closed();
      });
    }

    holds('is done once, however many ask for it at the same time', async () => {
      const it = await house(() => undefined);
      const client = await RawClient.connect(it.url);
      client.head('GET /socket HTTP/1.1', ...HANDSHAKE);
      await it.journal.until('opened');
      const calls = Array.from({ length: 10 }, (_, i) => it.app.close({ grace: 20 * (10 - i) }));
      await Promise.all(calls);
      await it.app.close();
      expect(it.journal.count('second disposed')).to.equal(1);
      expect(it.log.lines.map(({ message }) => message)).to.deep.equal([
        'grace period expired: closing remaining connections',
      ]);
      await client.closed();
    });
  });
});

import { expect } from 'chai';
import {
  Body,
  Connections,
  Context,
  Controller,
  Ctx,
  HttpError,
  param,
  Socket,
  UseMiddleware,
  WebSocket,
} from 'coequal';
import { inject, injectable, Lifecycle, scoped } from 'tsyringe';
import { mistreated } from '../../support/canary.js';
import { turns, until } from '../../support/deferred.js';
import { HANDSHAKE, RawClient } from '../../support/raw-client.js';
import { Gate, knockFor } from '../../support/undecided.js';
import { QUIET } from '../../support/echoes.js';
import { text } from '../../support/ws-wire.js';

const before = new Gate();
const after = new Gate();
const reading = new Gate();
const disposing = new Gate();
const seen = { ran: 0, ended: 0, aborted: 0, made: 0, disposed: 0 };

@scoped(Lifecycle.ContainerScoped)
@injectable()
class Transaction {
  constructor() {
    seen.made++;
  }
  async dispose(): Promise<void> {
    seen.disposed++;
    await Promise.resolve();
  }
}

@injectable()
class Guard {
  constructor(@inject(Transaction) readonly transaction: Transaction) {}

  async use(ctx: Context, next: () => Promise<void>): Promise<void> {
    ctx.defer(() => void seen.ended++);
    ctx.signal.addEventListener('abort', () => void seen.aborted++);
    if (ctx.path === '/before') await before.pass();
    await next();
    if (ctx.path === '/after') await after.pass();
  }
}

const Late = param('late', async () => {
  await reading.pass();
  return 'late';
});

@Controller()
@UseMiddleware(Guard)
class Guarded {
  @WebSocket('/before') before(@Body() message: string) {
    seen.ran++;
    return message;
  }
  @WebSocket('/after') after(@Ctx() _ctx: Context) {
    seen.ran++;
  }
  @WebSocket('/reading') reading(@Late() _late: string, @Socket() _socket: Socket) {
    seen.ran++;
  }
}

/** Where an exchange can be caught before its 101, and how it is let go on. */
const MOMENTS: [name: string, path: string, gate: Gate][] = [
  ['before next()', '/before', before],
  ['after next()', '/after', after],
  ['while a parameter is read', '/reading', reading],
];

const WAYS: [name: string, leave: (client: RawClient) => void][] = [
  ['resets the connection', (client) => client.reset()],
  ['ends the connection', (client) => void client.socket.end()],
  ['is gone', (client) => void client.socket.destroy()],
];

describe('Upgrade', () => {
  describe('leaving before it is decided', () => {
    const { server, log, holds } = mistreated({ controllers: [Guarded], heartbeat: QUIET });
    const open = (): number => server.app.container.resolve(Connections).count;
    const waiting = (): number => server.app.stats().inFlight.handshakes;

    beforeEach(() => {
      for (const gate of [before, after, reading, disposing]) gate.reset();
      Object.assign(seen, { ran: 0, ended: 0, aborted: 0, made: 0, disposed: 0 });
    });

    async function nothingIsLeft(others: number): Promise<void> {
      await until(() => seen.ended === 1 && seen.disposed === seen.made && waiting() === 0);
      await turns();
      expect(seen).to.deep.equal({ ran: 0, ended: 1, aborted: 1, made: 1, disposed: 1 });
      expect(open()).to.equal(others);
      expect(log.lines).to.deep.equal([]);
    }

    for (const [moment, path, gate] of MOMENTS) {
      for (const [way, leave] of WAYS) {
        holds(`a client that ${way} ${moment} leaves nothing open, and the handler never runs`, async () => {
          const others = open();
          const client = await knockFor(server, path);
          await gate.entered();
          leave(client);
          await until(() => seen.ended === 1);
          gate.open();
          await nothingIsLeft(others);
          await client.closed();
        });

        holds(`a client that ${way} ${moment} is not answered by a guard that then refuses`, async () => {
          const others = open();
          const client = await knockFor(server, path);
          await gate.entered();
          leave(client);
          await until(() => seen.ended === 1);
          gate.refuse(new HttpError(403, 'too late'));
          await nothingIsLeft(others);
          expect(client.received.length).to.equal(0);
          await client.closed();
        });

        holds(
          `a client that ${way} in the moment in which it is let in (${moment}) leaves nothing open`,
          async () => {
            const others = open();
            const client = await knockFor(server, path);
            await gate.entered();
            gate.open();
            leave(client);
            await until(() => seen.ended === 1 && seen.disposed === seen.made);
            await until(() => open() === others && waiting() === 0);
            expect(seen.ran).to.be.at.most(1);
            await client.closed();
          },
        );
      }

      holds(`a client that resets with frames on the way ${moment} leaves nothing open`, async () => {
        const others = open();
        const client = await knockFor(server, path, text('one'), text('two'));
        await gate.entered();
        client.reset();
        await until(() => client.socket.closed);
        await until(() => seen.ended === 1);
        gate.open();
        await nothingIsLeft(others);
      });

      holds(
        `a client that ends with frames on the way ${moment} leaves nothing open once they are handled`,
        async () => {
          const others = open();
          const client = await knockFor(server, path, text('one'), text('two'));
          client.socket.end();
          await gate.entered();
          gate.open();
          await until(() => seen.ended === 1 && seen.disposed === seen.made);
          await until(() => open() === others && waiting() === 0);
          await client.closed();
        },
      );
    }

    const head = ['GET /before HTTP/1.1', ...HANDSHAKE, '', ''].join('\r\n');
    for (const [way, leave] of WAYS) {
      for (const cut of [1, 20, head.length - 1]) {
        holds(`a client that ${way} after ${cut} bytes of its handshake asks for nothing`, async () => {
          const client = await RawClient.connect(await server.url());
          client.write(head.slice(0, cut));
          // The answer to another request tells that what was written before it has been read.
          await server.fetch('/canary');
          leave(client);
          await client.closed();
          expect(seen).to.deep.equal({ ran: 0, ended: 0, aborted: 0, made: 0, disposed: 0 });
        });
      }
      holds(`a client that ${way} together with its handshake leaves nothing open`, async () => {
        const others = open();
        const client = await RawClient.connect(await server.url());
        client.write(head);
        leave(client);
        await client.closed();
        await server.fetch('/canary');
        before.open();
        // Where the reset came before the request was read there was none.
        await until(() => seen.ended === seen.made && seen.disposed === seen.made && waiting() === 0);
        expect(seen.ran).to.equal(0);
        await until(() => open() === others);
      });
    }
  });
});

import { expect } from 'chai';
import { Body, Context, Controller, Ctx, Socket, UseMiddleware, WebSocket, type Next } from 'coequal';
import { mistreated } from '../../support/canary.js';
import { turns } from '../../support/deferred.js';
import { QUIET } from '../../support/echoes.js';
import { Gate, knockFor } from '../../support/undecided.js';
import { close, ping, says, text, Wire } from '../../support/ws-wire.js';

const gate = new Gate();

async function held(_ctx: Context, next: Next): Promise<void> {
  await gate.pass();
  await next();
}

async function brief(_ctx: Context, next: Next): Promise<void> {
  await Promise.resolve();
  await next();
}

/** What is echoed: replies to large messages would wait for their reader in turn. */
const begin = (message: string): string => message.slice(0, 20);

@Controller()
class Early {
  @WebSocket('/at-once') atOnce(@Body() message: string) {
    return begin(message);
  }
  @WebSocket('/brief') @UseMiddleware(brief) brief(@Body() message: string) {
    return begin(message);
  }
  @WebSocket('/held') @UseMiddleware(held) held(@Body() message: string) {
    return begin(message);
  }
  @WebSocket('/held-loop') @UseMiddleware(held) async heldLoop(@Socket(String) socket: Socket<string>) {
    for await (const message of socket) socket.send(begin(message));
  }
  /** The guard has passed, and the method takes its time until it asks for messages. */
  @WebSocket('/late-loop') async lateLoop(@Socket(String) socket: Socket<string>, @Ctx() _ctx: Context) {
    await gate.pass();
    for await (const message of socket) socket.send(begin(message));
  }
}

const numbered = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, i) => `message ${from + i}`);
const frames = (from: number, to: number): Buffer[] => numbered(from, to).map((one) => text(one));

describe('Upgrade', () => {
  describe('frames before the socket is open', () => {
    const { server, log, holds } = mistreated({ controllers: [Early], heartbeat: QUIET });

    beforeEach(() => gate.reset());
    afterEach(() => expect(log.at('error')).to.deep.equal([]));

    /** Whether a path waits at the gate. */
    const waits = (path: string): boolean => path.startsWith('/held') || path.startsWith('/late');

    for (const path of ['/at-once', '/brief', '/held', '/held-loop', '/late-loop']) {
      holds(`that come together with the handshake are answered in order (${path})`, async () => {
        const client = await knockFor(server, path, ...frames(0, 10));
        if (waits(path)) {
          await gate.entered();
          gate.open();
        }
        const wire = await Wire.opened(client);
        expect(await wire.say(10)).to.deep.equal(numbered(0, 10).map(says.text));
        wire.write(close(1000));
        expect(await wire.rest()).to.deep.equal([says.close(1000)]);
      });

      holds(
        `that come together with the handshake, a half behind, are answered in order (${path})`,
        async () => {
          const [last] = frames(3, 4) as [Buffer];
          const client = await knockFor(server, path, ...frames(0, 3), last.subarray(0, 9));
          if (waits(path)) await gate.entered();
          client.write(last.subarray(9));
          gate.open();
          const wire = await Wire.opened(client);
          expect(await wire.say(4)).to.deep.equal(numbered(0, 4).map(says.text));
          wire.client.reset();
          await wire.client.closed();
        },
      );

      holds(`that come right behind the 101 are answered in order (${path})`, async () => {
        const client = await knockFor(server, path);
        if (path.startsWith('/held')) {
          await gate.entered();
          gate.open();
        }
        const wire = await Wire.opened(client);
        wire.write(...frames(0, 50));
        gate.open();
        expect(await wire.say(50)).to.deep.equal(numbered(0, 50).map(says.text));
        wire.client.reset();
        await wire.client.closed();
      });

      // What still waits for its method when the close comes is not waited for in turn.
      if (path === '/late-loop') continue;

      holds(`and a close among them are answered, the close last (${path})`, async () => {
        const client = await knockFor(server, path, ...frames(0, 3), close(1001, 'away'));
        if (waits(path)) {
          await gate.entered();
          gate.open();
        }
        const wire = await Wire.opened(client);
        expect(await wire.rest()).to.deep.equal([...numbered(0, 3).map(says.text), says.close(1001, 'away')]);
      });

      holds(
        `and a broken one behind them: what was good is answered, then comes 1002 (${path})`,
        async () => {
          const client = await knockFor(server, path, ...frames(0, 3), text('bad', { rsv: 1 }));
          if (waits(path)) {
            await gate.entered();
            gate.open();
          }
          const wire = await Wire.opened(client);
          expect(await wire.rest()).to.deep.equal([...numbered(0, 3).map(says.text), says.close(1002)]);
        },
      );
    }

    for (const path of ['/held', '/held-loop', '/late-loop']) {
      holds(`that come before, while and after it waits are answered in order (${path})`, async () => {
        const client = await knockFor(server, path, ...frames(0, 5));
        await gate.entered();
        for (let i = 5; i < 30; i += 5) {
          client.write(Buffer.concat(frames(i, i + 5)));
          await turns(2);
        }
        gate.open();
        client.write(Buffer.concat(frames(30, 40)));
        const wire = await Wire.opened(client);
        expect(await wire.say(40)).to.deep.equal(numbered(0, 40).map(says.text));
        wire.client.reset();
        await wire.client.closed();
      });

      holds(
        `that are more than may wait are held back in the client's TCP, none is lost (${path})`,
        async () => {
          const client = await knockFor(server, path);
          await gate.entered();
          const large = Array.from({ length: 100 }, (_, i) => `${i} ${'x'.repeat(60_000)}`);
          client.write(Buffer.concat(large.map((one) => text(one))));
          await turns(50);
          // Six megabytes are on the way: the client's own buffer still has what the server does not take.
          expect(client.socket.writableLength).to.be.above(0);
          gate.open();
          const wire = await Wire.opened(client);
          expect(await wire.say(100)).to.deep.equal(large.map((one) => says.text(begin(one))));
          wire.client.reset();
          await wire.client.closed();
        },
      );
    }

    holds('a ping that comes together with the handshake is answered once the guard has passed', async () => {
      const client = await knockFor(server, '/held', ping('early'), text('message'));
      await gate.entered();
      await turns();
      expect(client.received.length).to.equal(0);
      gate.open();
      const wire = await Wire.opened(client);
      expect((await wire.say(2)).sort()).to.deep.equal([says.pong('early'), says.text('message')]);
      wire.client.reset();
      await wire.client.closed();
    });
  });
});

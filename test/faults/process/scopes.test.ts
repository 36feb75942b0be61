import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import {
  Body,
  Context,
  Controller,
  Get,
  Param,
  Post,
  Rpc,
  Sse,
  UseMiddleware,
  WebSocket,
  type Next,
} from 'coequal';
import { injectable, Lifecycle, scoped } from 'tsyringe';
import { mistreated } from '../../support/canary.js';
import { deferred } from '../../support/deferred.js';
import { doors, Everywhere, knock } from '../../support/doors.js';
import { eventually } from '../../support/eventually.js';
import { LONG } from '../../support/long.js';

let alive = 0;
const disposed = new Map<number, number>();
let serial = 0;

/** What is one exchange's, call's or message's alone. */
@scoped(Lifecycle.ContainerScoped)
class Own {
  readonly id = ++serial;
  readonly users = new Set<string>();
  constructor() {
    alive++;
  }
  use(name: string): string {
    this.users.add(name);
    if (this.users.size > 1) throw new TypeError(`shared by ${[...this.users].join(' and ')}`);
    if (disposed.has(this.id)) throw new TypeError(`used by ${name} after its end`);
    return name;
  }
  async dispose(): Promise<void> {
    alive--;
    disposed.set(this.id, (disposed.get(this.id) ?? 0) + 1);
    await turn();
  }
}

@injectable()
class Checked {
  constructor(readonly own: Own) {}
  async use(ctx: Context, next: Next) {
    // A request shares its scope with its method; a stream and a socket have another for their head.
    const name = ctx.kind === 'http' ? (ctx.params['n'] ?? '') : ctx.id;
    this.own.use(name);
    await turn();
    await next();
    this.own.use(name);
  }
}

let entered = deferred();
let go = deferred();

@Controller('/waiting')
class Waiting {
  constructor(private readonly own: Own) {}
  @Everywhere('/guard')
  @UseMiddleware(async (_ctx, next) => {
    entered.resolve();
    await go.promise;
    await next();
  })
  async guarded() {
    this.own.use('guarded');
    await turn();
    this.own.use('guarded');
    return {};
  }
}

@Controller('/held')
@UseMiddleware(Checked)
class Held {
  constructor(private readonly own: Own) {}

  @Post('/:n')
  request(@Param('n') n: string) {
    return this.#held(n);
  }

  @Sse('/:n')
  stream(@Param('n') n: string) {
    return this.own.use(n);
  }

  @WebSocket()
  message(@Body() n: string) {
    return this.#held(n);
  }

  @Rpc('held', { concurrent: true })
  call() {
    return this.#held('held');
  }

  async #held(n: string): Promise<string> {
    this.own.use(n);
    await go.promise;
    this.own.use(n);
    return 'held';
  }
}

@Controller('/own')
@UseMiddleware(Checked)
class Mixed {
  constructor(private readonly own: Own) {}

  @Post('/:n')
  async request(@Param('n') n: string) {
    this.own.use(n);
    await turn();
    return this.own.use(n);
  }

  @Get('/:n')
  async *source(@Param('n') n: string) {
    yield this.own.use(n);
    await turn();
    yield this.own.use(n);
  }

  @Sse('/:n')
  async *stream(@Param('n') n: string) {
    yield this.own.use(n);
    await turn();
    yield this.own.use(n);
  }

  @WebSocket()
  async message(@Body() n: string) {
    this.own.use(n);
    await turn();
    return this.own.use(n);
  }

  @Rpc('call', { concurrent: true })
  async call(@Body() { n }: { n: string }) {
    this.own.use(n);
    await turn();
    return this.own.use(n);
  }
}

/** Requests, streams, messages and calls. */
const COUNT = LONG ? 50_000 : 2_000;

/** How a path is asked for, and what the answer is. */
const ASKED: [init: RequestInit, answer: (n: string) => string][] = [
  [{ method: 'POST' }, (n) => n],
  [{}, (n) => n + n],
  [{ headers: { accept: 'text/event-stream' } }, (n) => `data: ${n}\n\n`.repeat(2)],
];

describe('Process', () => {
  describe('scopes', () => {
    const { server, log, holds } = mistreated({ controllers: [Mixed, Held, Waiting] });

    beforeEach(() => {
      disposed.clear();
      entered = deferred();
      go = deferred();
      alive = serial = 0;
    });

    for (const door of doors) {
      for (const how of ['FIN', 'RST']) {
        holds(
          `end what is made for a ${door.kind} whose client has left while a guard waited, by ${how}`,
          async () => {
            const client = await knock(server, door, '/waiting/guard');
            await entered.promise;
            if (how === 'FIN') client.end().resume();
            else client.resetAndDestroy();
            const { inFlight } = server.app.stats();
            expect(inFlight.exchanges + inFlight.handshakes).to.equal(1);
            await new Promise((resolve) => client.once('close', resolve));
            go.resolve();
            await eventually(() => {
              const now = server.app.stats().inFlight;
              return now.exchanges + now.handshakes === 0;
            });
            await eventually(() => alive === 0);
            expect(log.at('error')).to.deep.equal([]);
          },
        );
      }
    }

    holds('have as many services alive as there are exchanges, messages and calls in flight', async () => {
      const many = Array.from({ length: 20 }, (_, n) => n);
      const sockets = await Promise.all(many.map(() => server.socket('/held')));
      const streams = await Promise.all(many.map((n) => server.sse(`/held/${n}`)));
      await Promise.all(streams.map((stream) => stream.next()));
      expect(alive, 'one of each stream; those of the middleware are over').to.equal(20);
      const requests = many.map((n) => server.fetch(`/held/${n}`, { method: 'POST' }));
      await eventually(() => alive === 40);
      // Calls may overlap; what comes behind a message waits for it.
      for (const socket of sockets) socket.send({ jsonrpc: '2.0', id: 1, method: 'held' });
      for (const socket of sockets) socket.send('held');
      await eventually(() => alive === 80);
      expect(server.app.stats().inFlight.exchanges).to.equal(20);
      go.resolve();
      for (const request of requests) expect(await (await request).text()).to.equal('held');
      for (const socket of sockets) {
        // They overlap: which of the two is answered first is nobody's promise.
        const answers = [await socket.next(), await socket.next()];
        expect(answers).to.have.members(['held', '{"jsonrpc":"2.0","id":1,"result":"held"}']);
      }
      expect(alive, 'only the streams are left').to.equal(20);
      for (const stream of streams) stream.close();
      await eventually(() => alive === 0);
      expect(new Set(disposed.values())).to.deep.equal(new Set([1]));
    });

    holds(
      `are each one's alone for ${COUNT} requests, streams, messages and calls, and disposed once`,
      async function () {
        this.timeout(600_000);
        const sockets = COUNT / 200;
        const messages = (COUNT * 0.9) / 2 / sockets;
        const requests = (COUNT * 0.1) / sockets;
        const talk = async (one: number): Promise<void> => {
          const socket = await server.socket('/own');
          for (let i = 0; i < messages; i += 10) {
            for (let j = i; j < i + 10; j++) {
              socket.send(`m${one}-${j}`);
              socket.send({ jsonrpc: '2.0', id: j, method: 'call', params: { n: `c${one}-${j}` } });
            }
            for (let j = 0; j < 20; j++)
              expect(await socket.next({ timeout: 20_000 })).not.to.contain('error');
          }
          const closed = socket.closed();
          socket.close();
          await closed;
        };
        const ask = async (one: number): Promise<void> => {
          for (let i = 0; i < requests; i++) {
            const n = `r${one}-${i}`;
            const [init, answer] = ASKED[i % ASKED.length] ?? [];
            const response = await server.fetch(`/own/${n}`, init);
            // A heartbeat may come between two events: it is a comment. A stream that is over says so last.
            const text = (await response.text()).replaceAll(':\n\n', '').replace(/event: end\n.*$/s, '');
            expect(text).to.equal(answer?.(n));
          }
        };
        await Promise.all(Array.from({ length: sockets }, (_, one) => Promise.all([talk(one), ask(one)])));
        await eventually(() => alive === 0);
        // One for each, and one more for the head of each stream and socket.
        expect(serial).to.equal(COUNT + sockets * Math.floor(requests / 3) + sockets);
        expect(disposed.size).to.equal(serial);
        expect(new Set(disposed.values())).to.deep.equal(new Set([1]));
        expect(log.at('error')).to.deep.equal([]);
      },
    );
  });
});

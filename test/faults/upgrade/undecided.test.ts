import { expect } from 'chai';
import {
  Body,
  Connections,
  Context,
  Controller,
  Get,
  HttpError,
  UseMiddleware,
  WebSocket,
  type Next,
} from 'coequal';
import type { ServeOptions } from 'coequal/testing';
import { mistreated, type Mistreated } from '../../support/canary.js';
import { deferred, turns, until, type Deferred } from '../../support/deferred.js';
import { QUIET } from '../../support/echoes.js';
import type { RawAnswer, RawClient } from '../../support/raw-client.js';
import { knockFor } from '../../support/undecided.js';
import { close, says, text, Wire } from '../../support/ws-wire.js';

const seen = { entered: 0, ran: 0, ended: 0 };
let late: Deferred<void> = deferred();

@Controller()
class Undecided {
  @WebSocket('/never')
  @UseMiddleware((ctx: Context) => {
    seen.entered++;
    ctx.defer(() => void seen.ended++);
    return new Promise<void>(() => undefined);
  })
  never() {
    seen.ran++;
  }

  @WebSocket('/late')
  @UseMiddleware(async (ctx: Context, next: Next) => {
    seen.entered++;
    ctx.defer(() => void seen.ended++);
    await late.promise;
    await next();
  })
  late(@Body() message: string) {
    seen.ran++;
    return message;
  }

  @WebSocket('/never-after')
  @UseMiddleware(async (ctx: Context, next: Next) => {
    seen.entered++;
    ctx.defer(() => void seen.ended++);
    await next();
    await new Promise<void>(() => undefined);
  })
  neverAfter() {
    seen.ran++;
  }

  @WebSocket('/open') open(@Body() message: string) {
    return message;
  }
  @Get('/page') page() {
    return 'page';
  }
}

@Controller()
class Refusing {
  @WebSocket('/sync')
  @UseMiddleware((ctx: Context) => {
    ctx
      .setCookie('seen', '1')
      .setCookie('again', '2')
      .appendHeader('x-many', 'a')
      .appendHeader('x-many', 'b');
    throw new HttpError(401, 'Sign in first', {
      headers: { 'www-authenticate': 'Bearer' },
      extensions: { login: '/in' },
    });
  })
  sync() {
    seen.ran++;
  }

  @WebSocket('/slow')
  @UseMiddleware(async () => {
    await late.promise;
    throw new HttpError(403, 'Not yours');
  })
  slow() {
    seen.ran++;
  }

  @WebSocket('/large')
  @UseMiddleware(async () => {
    await late.promise;
    throw new HttpError(403, 'x'.repeat(3_000_000));
  })
  large() {
    seen.ran++;
  }

  @WebSocket('/unknown')
  @UseMiddleware(async () => {
    await late.promise;
    throw new Error('the password of the database');
  })
  unknown() {
    seen.ran++;
  }
}

const shown = ({ status, body }: RawAnswer): unknown => {
  const { requestId: _requestId, ...problem } = JSON.parse(body) as Record<string, unknown>;
  return { status, problem };
};

beforeEach(() => {
  late = deferred();
  Object.assign(seen, { entered: 0, ran: 0, ended: 0 });
});

describe('Upgrade', () => {
  const serving = (options: Partial<ServeOptions> = {}): Mistreated & { waiting(): number } => {
    const served = mistreated({ controllers: [Undecided, Refusing], heartbeat: QUIET, ...options });
    return { ...served, waiting: () => served.server.app.stats().inFlight.handshakes };
  };

  describe('guards that never settle', () => {
    const { server, log, holds, waiting } = serving({ timeouts: { handshake: 40 } });

    for (const path of ['/never', '/late', '/never-after']) {
      for (const [name, frames] of [
        ['', []],
        [', with frames on the way', [text('one'), text('two')]],
      ] as [string, Buffer[]][]) {
        holds(`are answered for by a 503${name}, and what they began is ended (${path})`, async () => {
          const client = await knockFor(server, path, ...frames);
          const answer = await client.answer();
          expect(shown(answer)).to.deep.equal({
            status: 503,
            problem: {
              title: 'Service Unavailable',
              status: 503,
              code: 'HANDLER_TIMEOUT',
              detail: 'The request took too long',
            },
          });
          expect(answer.headers).to.include({
            connection: 'close',
            'content-type': 'application/problem+json',
          });
          await until(() => seen.ended === 1 && waiting() === 0);
          expect(seen.ran).to.equal(0);
          expect(server.app.container.resolve(Connections).count).to.equal(1);
        });
      }
    }

    holds('and then do: nothing opens any more, and nothing is logged for it', async () => {
      const client = await knockFor(server, '/late');
      expect((await client.answer()).status).to.equal(503);
      const lines = log.lines.length;
      late.resolve();
      await turns();
      expect(seen).to.deep.equal({ entered: 1, ran: 0, ended: 1 });
      expect(log.lines).to.have.length(lines);
    });

    holds('and then refuse: the client has its answer, and the server lives on', async () => {
      const client = await knockFor(server, '/late');
      expect((await client.answer()).status).to.equal(503);
      late.reject(new HttpError(403));
      await turns();
      expect(seen).to.deep.equal({ entered: 1, ran: 0, ended: 1 });
    });
  });

  describe('pending handshakes', () => {
    const { server, holds, waiting } = serving({ limits: { handshakes: 3 } });
    const brief = serving({ limits: { handshakes: 1 }, timeouts: { handshake: 40 } });

    async function fill(): Promise<RawClient[]> {
      await until(() => waiting() === 0);
      const clients = await Promise.all([0, 1, 2].map(() => knockFor(server, '/late')));
      await until(() => seen.entered === 3);
      return clients;
    }

    async function opens(): Promise<void> {
      const wire = await Wire.open(server, '/open');
      wire.write(text('in'), close(1000));
      expect(await wire.rest()).to.deep.equal([says.text('in'), says.close(1000)]);
    }

    holds(
      'beyond the cap are refused by a 503 that says when to come again, their guard not run',
      async () => {
        const clients = await fill();
        for (let i = 0; i < 5; i++) {
          const answer = await (await knockFor(server, '/late')).answer();
          expect(shown(answer)).to.deep.equal({
            status: 503,
            problem: {
              title: 'Service Unavailable',
              status: 503,
              code: 'TOO_MANY_CONNECTIONS',
              detail: 'Too many sockets are being opened',
            },
          });
          expect(answer.headers).to.include({ 'retry-after': '1', connection: 'close' });
        }
        expect(seen.entered).to.equal(3);
        expect(await (await server.fetch('/page')).text()).to.equal('page');
        late.resolve();
        for (const client of clients) {
          const wire = await Wire.opened(client);
          wire.client.reset();
          await wire.client.closed();
        }
        await opens();
      },
    );

    const ends: [name: string, end: (clients: RawClient[]) => unknown][] = [
      ['the clients reset', (clients) => clients.forEach((client) => client.reset())],
      ['the clients end', (clients) => clients.forEach((client) => client.socket.end())],
      ['the guard refuses', () => late.reject(new HttpError(401))],
      ['the guard fails', () => late.reject(new Error('at a loss'))],
      ['the guard lets them in', () => late.resolve()],
    ];
    for (const [name, end] of ends) {
      holds(`give their places back when ${name}`, async () => {
        const clients = await fill();
        end(clients);
        await until(() => waiting() === 0);
        await opens();
        await Promise.all(
          clients.map((client) => {
            client.reset();
            return client.closed();
          }),
        );
      });
    }

    brief.holds('give their places back when they took too long', async () => {
      const first = await knockFor(brief.server, '/never');
      await until(() => seen.entered === 1);
      expect((await (await knockFor(brief.server, '/open')).answer()).status).to.equal(503);
      expect((await first.answer()).status).to.equal(503);
      await until(() => brief.waiting() === 0);
      const wire = await Wire.open(brief.server, '/open');
      wire.client.reset();
      await wire.client.closed();
    });
  });

  describe('refusals', () => {
    const { server, log, holds, waiting } = serving();

    const refusals: [path: string, status: number, problem: object][] = [
      [
        '/sync',
        401,
        { title: 'Unauthorized', status: 401, code: 'UNAUTHORIZED', detail: 'Sign in first', login: '/in' },
      ],
      ['/slow', 403, { title: 'Forbidden', status: 403, code: 'FORBIDDEN', detail: 'Not yours' }],
      ['/large', 403, { title: 'Forbidden', status: 403, code: 'FORBIDDEN', detail: 'x'.repeat(3_000_000) }],
      ['/unknown', 500, { title: 'Internal Server Error', status: 500, code: 'INTERNAL_SERVER_ERROR' }],
    ];
    const behind: [name: string, frames: Buffer[]][] = [
      ['', []],
      [', with frames on the way', [text('one'), text('two')]],
      [', with more on the way than is read', [Buffer.alloc(2_000_000, 0x81)]],
      [', with another request on the way', [Buffer.from('GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n')]],
    ];
    for (const [path, status, problem] of refusals) {
      for (const [name, frames] of behind) {
        holds(`arrive whole, and the connection ends${name} (${path})`, async () => {
          const client = await knockFor(server, path, ...frames);
          if (path !== '/sync') await until(() => waiting() === 1);
          late.resolve();
          const answer = await client.answer();
          expect(shown(answer)).to.deep.equal({ status, problem });
          expect(answer.headers).to.include({
            connection: 'close',
            'content-type': 'application/problem+json',
            'content-length': String(Buffer.byteLength(answer.body)),
          });
          expect(seen.ran).to.equal(0);
          expect(log.lines.map(({ level }) => level)).to.deep.equal(status === 500 ? ['error'] : []);
          await until(() => waiting() === 0);
        });
      }

      holds(`whose client leaves while they are written trouble nobody (${path})`, async () => {
        const client = await knockFor(server, path);
        if (path !== '/sync') await until(() => waiting() === 1);
        client.socket.pause();
        late.resolve();
        client.reset();
        await until(() => waiting() === 0);
        await client.closed();
        expect(seen.ran).to.equal(0);
      });
    }

    holds('bring their fields and cookies', async () => {
      const { headers } = await (await knockFor(server, '/sync')).answer();
      expect(headers).to.include({ 'www-authenticate': 'Bearer', 'x-many': 'a, b' });
      expect(headers['set-cookie']).to.match(/^seen=1;.*, again=2;/);
      expect(headers).not.to.have.any.keys('upgrade', 'sec-websocket-accept');
    });
  });
});

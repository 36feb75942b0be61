import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import {
  connect,
  Controller,
  HttpError,
  UseMiddleware,
  type Context,
  type Middleware,
  type Next,
} from 'coequal';
import type { TestServer } from 'coequal/testing';
import { injectable, singleton } from 'tsyringe';
import { Everywhere, servers, type Door } from '../support/doors.js';
import { Journal, Recorder } from '../support/journal.js';

type Express = (
  request: { user?: object; headers: Record<string, string> },
  response: {
    setHeader(name: string, value: string): void;
    status(code: number): { json(value: unknown): void };
  },
  next: (error?: unknown) => void,
) => void;

export function middleware(door: Door): void {
  const serve = servers();

  function room(logger: Recorder, ...chain: Middleware[]): TestServer {
    @Controller('/room')
    @UseMiddleware(...chain)
    class Room {
      @Everywhere()
      enter() {
        return { entered: true };
      }
    }
    return serve({ controllers: [Room], logger });
  }

  it('runs in order around the head: the application’s, the class’s, the method’s', async () => {
    const journal = new Journal();
    const note =
      (name: string): Middleware =>
      async (_ctx, next) => {
        journal.note(`${name} >`);
        await next();
        journal.note(`< ${name}`);
      };
    @Controller('/room')
    @UseMiddleware(note('class 1'), note('class 2'))
    class Room {
      @Everywhere()
      @UseMiddleware(note('method 1'))
      @UseMiddleware(note('method 2'))
      enter() {
        return {};
      }
    }
    const server = serve({ controllers: [Room], middleware: [note('app 1'), note('app 2')] });
    await door.open(server, '/room');
    const names = ['app 1', 'app 2', 'class 1', 'class 2', 'method 1', 'method 2'];
    expect(journal.entries).to.deep.equal([
      ...names.map((name) => `${name} >`),
      ...names.toReversed().map((name) => `< ${name}`),
    ]);
  });

  it('resumes after next() when the answer is decided and the head not yet sent', async () => {
    const logger = new Recorder();
    const server = room(logger, async (ctx, next) => {
      await next();
      await turn();
      ctx.setHeader('x-sent', String(ctx.response.headersSent));
    });
    const visit = await door.open(server, '/room');
    expect(visit.headers.get('x-sent')).to.equal('false');
    expect(await visit.value()).to.deep.equal({ entered: true });
  });

  it('may refuse after next(), and the answer is its error', async () => {
    const server = room(new Recorder(), async (_ctx, next) => {
      await next();
      throw new HttpError(507, 'No room left');
    });
    const visit = await door.open(server, '/room');
    expect([visit.status, visit.problem.detail]).to.deep.equal([507, 'No room left']);
  });

  it('may catch what the rest throws', async () => {
    const server = room(
      new Recorder(),
      async (_ctx, next) => {
        try {
          await next();
        } catch (cause) {
          throw new HttpError(409, (cause as Error).message);
        }
      },
      () => {
        throw new Error('taken');
      },
    );
    const visit = await door.open(server, '/room');
    expect([visit.status, visit.problem.detail]).to.deep.equal([409, 'taken']);
  });

  it('that calls next() twice is a 500, and the log names it', async () => {
    const logger = new Recorder();
    async function twice(_ctx: Context, next: Next): Promise<void> {
      await next();
      await next();
    }
    const visit = await door.open(room(logger, twice), '/room');
    expect(visit.status).to.equal(500);
    expect(logger.at('error').map(({ fields }) => (fields['err'] as Error).message)).to.deep.equal([
      'twice called next() twice: once is the limit',
    ]);
  });

  it('that does not await next() is reported, and the answer still comes', async () => {
    const logger = new Recorder();
    function careless(_ctx: Context, next: Next): void {
      void next();
    }
    const wait: Middleware = async (ctx, next) => {
      await turn();
      ctx.setHeader('x-waited', 'yes');
      await next();
    };
    const visit = await door.open(room(logger, careless, wait), '/room');
    expect(visit.status).to.equal(door.opened);
    expect(visit.headers.get('x-waited')).to.equal('yes');
    expect(await visit.value()).to.deep.equal({ entered: true });
    expect(logger.lines.map(({ level, message }) => [level, message])).to.deep.equal([
      ['warn', 'careless did not await next(): write `await next()` or `return next()`'],
    ]);
  });

  it('that does not await next() loses no error of the rest', async () => {
    const careless: Middleware = async (_ctx, next) => {
      void next();
      await turn();
    };
    const refuse: Middleware = async () => {
      await turn();
      throw new HttpError(403, 'Members only');
    };
    const visit = await door.open(room(new Recorder(), careless, refuse), '/room');
    expect([visit.status, visit.problem.detail]).to.deep.equal([403, 'Members only']);
  });

  it('is a class with services as well: one instance where nothing is scoped', async () => {
    let made = 0;
    @singleton()
    class Tickets {
      valid(ticket: unknown): boolean {
        return ticket === 'gold';
      }
    }
    @injectable()
    class Doorman {
      readonly id = ++made;

      constructor(readonly tickets: Tickets) {}

      async use(ctx: Context, next: Next): Promise<void> {
        if (!this.tickets.valid(ctx.query['ticket'])) throw new HttpError(403, `Refused by ${this.id}`);
        ctx.setHeader('x-doorman', this.id);
        await next();
      }
    }
    @Controller('/room')
    @UseMiddleware(Doorman)
    class Room {
      @Everywhere()
      enter() {
        return {};
      }
    }
    const server = serve({ controllers: [Room], middleware: [Doorman] });
    const visit = await door.open(server, '/room?ticket=gold');
    expect([visit.status, visit.headers.get('x-doorman')]).to.deep.equal([door.opened, '1']);
    expect((await door.open(server, '/room')).problem.detail).to.equal('Refused by 1');
  });

  it('is Express middleware as well: it passes, answers, and fails', async () => {
    const doorman: Express = (request, response, next) => {
      response.setHeader('x-doorman', 'express');
      if (request.headers['x-ticket'] === undefined) response.status(401).json({ ticket: 'none' });
      else if (request.headers['x-ticket'] === 'forged') next(new HttpError(403, 'Forged'));
      else {
        request.user = { ticket: request.headers['x-ticket'] };
        next();
      }
    };
    const show: Middleware = (ctx, next) => {
      ctx.setHeader('x-user', JSON.stringify(ctx.user));
      return next();
    };
    const server = room(new Recorder(), connect(doorman), show);
    const passed = await door.open(server, '/room', { 'x-ticket': 'gold' });
    expect(passed.status).to.equal(door.opened);
    expect(passed.headers.get('x-user')).to.equal('{"ticket":"gold"}');
    const answered = await door.open(server, '/room');
    expect([answered.status, await answered.value()]).to.deep.equal([401, '{"ticket":"none"}']);
    expect(answered.headers.get('x-doorman')).to.equal('express');
    const failed = await door.open(server, '/room', { 'x-ticket': 'forged' });
    expect([failed.status, failed.problem.detail]).to.deep.equal([403, 'Forged']);
  });
}

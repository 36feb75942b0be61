import { once } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import {
  Connections,
  Controller,
  Ctx,
  HttpError,
  Signal,
  UseMiddleware,
  type Context,
  type Middleware,
} from 'coequal';
import { Everywhere, knock, servers, type Door } from '../support/doors.js';
import { Journal, Recorder } from '../support/journal.js';

export function life(door: Door): void {
  const serve = servers();

  /** Methods that end in each way, behind middleware that defers. */
  function theatre(logger = new Recorder()) {
    const journal = new Journal();
    const watched: Middleware = (ctx, next) => {
      ctx.defer(() => journal.note(ctx.signal.aborted ? 'end' : 'end without a signal'));
      return next();
    };
    const closed: Middleware = () => {
      throw new HttpError(403);
    };

    @Controller()
    @UseMiddleware(watched)
    class Theatre {
      @Everywhere('/short')
      async *short(@Signal() signal: AbortSignal) {
        signal.addEventListener('abort', () => journal.note('aborted'));
        yield { aborted: signal.aborted };
      }

      @Everywhere('/long')
      async *long(@Signal() signal: AbortSignal) {
        signal.addEventListener('abort', () => journal.note('aborted'));
        yield {};
        await once(signal, 'abort');
        journal.note('told');
      }

      @Everywhere('/failing')
      failing(@Signal() signal: AbortSignal) {
        signal.addEventListener('abort', () => journal.note('aborted'));
        throw new Error('the curtain is stuck');
      }

      @Everywhere('/closed')
      @UseMiddleware(closed)
      closed() {
        journal.note('played');
      }

      @Everywhere('/several')
      async *several(@Ctx() ctx: Context) {
        ctx.defer(() => journal.note('first given'));
        ctx.defer(async () => {
          await turn();
          journal.note('second given');
        });
        ctx.defer(() => {
          throw new Error('broken');
        });
        ctx.defer(async () => {
          await turn();
          throw new Error('broken later');
        });
        yield {};
      }
    }
    return { journal, logger, server: serve({ controllers: [Theatre], logger }) };
  }

  it('runs what is deferred once, and aborts the signal, when the method has ended', async () => {
    const { server, journal } = theatre();
    const visit = await door.open(server, '/short');
    expect(await visit.value()).to.deep.equal({ aborted: false });
    await visit.ended();
    await journal.until('end');
    await server.close();
    expect(journal.entries).to.deep.equal(['aborted', 'end']);
  });

  it('runs what is deferred once, and aborts the signal, when the client leaves', async () => {
    const { server, journal, logger } = theatre();
    const visit = await door.open(server, '/long');
    await visit.value();
    expect(journal.entries).to.deep.equal([]);
    visit.leave();
    await journal.until('end');
    await journal.until('told');
    await server.close();
    expect(journal.entries).to.have.members(['aborted', 'end', 'told']);
    expect(logger.lines, 'a client that leaves is no failure').to.deep.equal([]);
  });

  it('runs what is deferred once, and aborts the signal, when the method throws', async () => {
    const { server, journal, logger } = theatre();
    const visit = await door.open(server, '/failing');
    await visit.ended();
    await journal.until('end');
    await server.close();
    expect(journal.entries).to.deep.equal(['aborted', 'end']);
    expect(logger.at('error').map(({ fields }) => (fields['err'] as Error).message)).to.deep.equal([
      'the curtain is stuck',
    ]);
  });

  it('runs what is deferred once when middleware refuses', async () => {
    const { server, journal } = theatre();
    expect((await door.open(server, '/closed')).status).to.equal(403);
    await journal.until('end');
    await server.close();
    expect(journal.entries).to.deep.equal(['end']);
  });

  it('runs what is deferred once when the server closes', async () => {
    const { server, journal } = theatre();
    const visit = await door.open(server, '/long');
    await visit.value();
    // A body that never ends is cut when the grace is over; what stays open is told at once.
    await server.app.close({ grace: door.kind === 'http' ? 1 : 1_000 });
    expect(journal.count('end')).to.equal(1);
    expect(journal.count('aborted')).to.equal(1);
    await visit.ended();
  });

  it('runs all that is deferred, the last given first, each awaited, and logs what fails', async () => {
    const { server, journal, logger } = theatre();
    await (await door.open(server, '/several')).ended();
    await journal.until('end');
    expect(journal.entries).to.deep.equal(['second given', 'first given', 'end']);
    expect(
      logger.lines.map(({ fields, message }) => [message, (fields['err'] as Error).message]),
    ).to.deep.equal([
      ['deferred work failed', 'broken later'],
      ['deferred work failed', 'broken'],
    ]);
  });

  it('runs what is deferred after the end, and aborts a signal that is first asked for then', async () => {
    const journal = new Journal();
    let left: Context | undefined;
    @Controller('/room')
    class Room {
      @Everywhere()
      async *enter(@Ctx() ctx: Context) {
        left = ctx;
        ctx.defer(() => journal.note('end'));
        yield {};
      }
    }
    const server = serve({ controllers: [Room] });
    await (await door.open(server, '/room')).ended();
    await journal.until('end');
    expect(left?.signal.aborted).to.equal(true);
    left?.defer(() => journal.note('late'));
    await journal.until('late');
    await server.close();
    expect(journal.entries).to.deep.equal(['end', 'late']);
  });

  it('runs what is deferred although the client has left while a guard waited', async () => {
    const journal = new Journal();
    const { server, client } = await waiting(journal, async (ctx, next) => {
      ctx.defer(() => journal.note(`end, ${ctx.signal.aborted ? 'aborted' : 'not aborted'}`));
      await next();
    });
    client.resetAndDestroy();
    await journal.until('left');
    await journal.until('end, aborted');
    await server.close();
    expect(journal.count('end, aborted')).to.equal(1);
  });

  it('runs no method for a client that has left while a guard waited', async () => {
    const journal = new Journal();
    const logger = new Recorder();
    const { server, client } = await waiting(journal, (_ctx, next) => next(), logger);
    client.resetAndDestroy();
    await journal.until('done');
    expect(server.app.container.resolve(Connections).count).to.equal(0);
    await server.close();
    expect(journal.entries).to.deep.equal(['guard', 'left', 'done']);
    expect(logger.lines).to.deep.equal([]);
  });

  /** A room whose guard waits until the client has left, and the client that it waits for. */
  async function waiting(journal: Journal, then: Middleware, logger = new Recorder()) {
    @Controller('/room')
    @UseMiddleware(
      async (_ctx, next) => {
        try {
          await next();
        } finally {
          journal.note('done');
        }
      },
      async (ctx, next) => {
        journal.note('guard');
        await new Promise((resolve) => ctx.request.socket.once('close', resolve));
        journal.note('left');
        await next();
      },
      then,
    )
    class Room {
      @Everywhere()
      enter() {
        journal.note('entered');
        return {};
      }
    }
    const server = serve({ controllers: [Room], logger });
    const client = await knock(server, door, '/room');
    await journal.until('guard');
    return { server, client };
  }
}

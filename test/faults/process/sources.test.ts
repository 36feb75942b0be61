import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import { Controller, Ctx, Get, UseMiddleware, type Context } from 'coequal';
import { mistreated } from '../../support/canary.js';
import { deferred } from '../../support/deferred.js';
import { doors, Everywhere, knock } from '../../support/doors.js';
import { eventually } from '../../support/eventually.js';

const broken = new Error('broken');

/** The stream that a method has made last, and when it was entered. */
let stream: Readable;
let entered = deferred();
let returned = 0;

/** A file that is not there: its error comes some turns after the stream was made. */
const missing = (): Readable => (stream = createReadStream('/nowhere/at/all'));
/** A stream that never gives anything of its own accord. */
const silent = (): Readable => (stream = new Readable({ read: () => undefined }));

/** A source whose clean-up fails. */
const unclean = (fail: () => unknown) => ({
  [Symbol.asyncIterator]: () => ({
    next: async () => {
      await turn();
      return { done: false, value: { at: 'the source' } };
    },
    return: () => {
      returned++;
      return fail();
    },
  }),
});

/** Resolves when the client has left. */
async function left(ctx: Context): Promise<void> {
  entered.resolve();
  await new Promise((resolve) => ctx.request.socket.once('close', resolve));
  await turn();
}

@Controller()
class Sources {
  @Get('/missing') missing() {
    return missing();
  }

  @Get('/sent') sent(@Ctx() ctx: Context) {
    ctx.send(missing());
  }

  @Get('/held')
  @UseMiddleware(async (_ctx, next) => {
    await next();
    await eventually(() => stream.closed);
  })
  held() {
    return missing();
  }

  @Get('/refused')
  @UseMiddleware(async (_ctx, next) => {
    await next();
    throw broken;
  })
  refused() {
    return silent();
  }

  @Everywhere('/unsent')
  @UseMiddleware(async (_ctx, next) => {
    await next();
    throw broken;
  })
  unsent() {
    return unclean(() => undefined);
  }

  @Get('/late') async late(@Ctx() ctx: Context) {
    await left(ctx);
    return missing();
  }

  @Get('/late/silent') async lateSilent(@Ctx() ctx: Context) {
    await left(ctx);
    return silent();
  }

  @Get('/silent') silent() {
    const made = silent();
    made.push('first');
    return made;
  }

  @Get('/whole') whole() {
    stream = Readable.from(['whole'], { autoDestroy: false });
    return stream;
  }

  @Everywhere('/throwing') throwing() {
    return unclean(() => {
      throw broken;
    });
  }

  @Everywhere('/rejecting') rejecting() {
    return unclean(() => Promise.reject(broken));
  }

  @Everywhere('/stuck') stuck() {
    return unclean(() => new Promise(() => undefined));
  }

  @Everywhere('/odd') odd() {
    return unclean(() => undefined);
  }
}

describe('Process', () => {
  describe('sources of user code', () => {
    const { server, log, holds } = mistreated({ controllers: [Sources] });
    const http = doors[0];
    if (http === undefined) throw new Error('there is no door for http');

    beforeEach(() => {
      entered = deferred();
      returned = 0;
    });

    for (const path of ['/missing', '/sent', '/held']) {
      holds(`that fail before their first bytes are answered by a 500 (${path})`, async () => {
        const visit = await http.open(server, path);
        expect(visit.problem).to.include({ status: 500 });
        expect(log.at('error')).to.have.length(1);
      });

      holds(`are given up for HEAD, and may fail (${path})`, async () => {
        const closed = eventually(() => stream.closed);
        const response = await server.fetch(path, { method: 'HEAD' });
        expect(response.status).to.be.oneOf([200, 500]);
        await closed;
      });
    }

    holds('are given up where middleware fails after all', async () => {
      expect((await http.open(server, '/refused')).problem).to.include({ status: 500 });
      expect(stream.destroyed).to.equal(true);
    });

    for (const door of doors.filter(({ kind }) => kind !== 'websocket')) {
      holds(`are ended where middleware fails after a ${door.kind} method returned them`, async () => {
        expect((await door.open(server, '/unsent')).problem).to.include({ status: 500 });
        expect(returned).to.equal(1);
      });
    }

    for (const [name, path] of [
      ['that fail', '/late'],
      ['that wait', '/late/silent'],
    ] as const) {
      holds(`${name} are given up where the client has left before they were made`, async () => {
        const client = await knock(server, http, path);
        await entered.promise;
        client.resetAndDestroy();
        await eventually(() => server.app.stats().inFlight.exchanges === 0);
        await eventually(() => stream.closed);
        expect(log.at('error')).to.deep.equal([]);
      });
    }

    holds('that fail when the client has left are told to nobody, and close', async () => {
      const abort = new AbortController();
      const response = await server.fetch('/silent', { signal: abort.signal });
      expect(response.status).to.equal(200);
      abort.abort();
      await once(stream, 'close');
      stream.emit('error', broken);
      expect(log.at('error')).to.deep.equal([]);
    });

    holds('that fail in the middle are cut, and told once', async () => {
      const response = await server.fetch('/silent');
      const body = response.text().then(
        () => 'whole',
        () => 'cut',
      );
      stream.destroy(broken);
      expect(await body).to.equal('cut');
      expect(log.at('error').map(({ fields }) => fields['err'])).to.deep.equal([broken]);
    });

    holds('that fail after their end harm nobody', async () => {
      expect(await (await server.fetch('/whole')).text()).to.equal('whole');
      stream.emit('error', broken);
      expect(log.at('error')).to.deep.equal([]);
    });

    for (const door of doors) {
      for (const path of ['/throwing', '/rejecting', '/stuck', '/odd']) {
        holds(
          `whose return() fails harm nobody when the client of a ${door.kind} leaves (${path})`,
          async () => {
            const visit = await door.open(server, path);
            await visit.value();
            visit.leave();
            await eventually(() => returned > 0);
            await eventually(() => server.app.stats().connections.sse === 0);
            expect(returned).to.equal(1);
          },
        );
      }
    }

    holds('whose return() fails harm nobody by HEAD', async () => {
      for (const path of ['/throwing', '/rejecting', '/stuck', '/odd']) {
        expect((await server.fetch(path, { method: 'HEAD' })).status).to.equal(200);
      }
    });
  });
});

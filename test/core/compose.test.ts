import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import type { Context, Middleware } from 'coequal';
import { compose } from '../../src/core/routing/middleware.js';
import { Journal, Recorder } from '../support/journal.js';

/** As much of a context as a chain asks for. */
function exchange() {
  const logger = new Recorder();
  const reported: unknown[] = [];
  const environment = { logger, report: (error: unknown) => reported.push(error) };
  const ctx = { kind: 'http', method: 'GET', path: '/', id: '1', environment } as unknown as Context;
  return { ctx, logger, reported, warnings: () => logger.at('warn').map(({ message }) => message) };
}

function link(run: Middleware, name = run.name || 'guard') {
  return { name, run };
}

async function failureOf(result: unknown): Promise<unknown> {
  try {
    await result;
  } catch (error) {
    return (error as Error).message;
  }
  return expect.fail('it did not fail');
}

describe('compose', () => {
  it('runs middleware in order, around the innermost step', async () => {
    const { ctx } = exchange();
    const journal = new Journal();
    const around = (name: string) =>
      link(async (_ctx, next) => {
        journal.note(`${name} >`);
        await next();
        journal.note(`< ${name}`);
      });
    await compose([around('a'), around('b')], () => journal.note('step'))(ctx);
    expect(journal.entries).to.deep.equal(['a >', 'b >', 'step', '< b', '< a']);
  });

  it('returns what the step came to, or a refusal that names the middleware', async () => {
    const step = async () => 'done';
    const pass = link(async (_ctx, next) => {
      await next();
    });
    const stop = link(() => undefined, 'stop');
    const catches = link((_ctx, next) => next().catch(() => undefined), 'catches');
    const fail = () => Promise.reject(new Error('no'));

    expect(await compose([pass, pass], step)(exchange().ctx)).to.equal('done');
    expect(await compose([pass, stop], step)(exchange().ctx)).to.deep.equal({
      type: 'refused',
      why: 'stop neither called next() nor answered',
    });
    expect(await compose([pass, catches], fail)(exchange().ctx)).to.deep.equal({
      type: 'refused',
      why: 'catches caught the error of next() and did not answer',
    });
  });

  it('is the innermost step itself without middleware', () => {
    const step = () => undefined;
    expect(compose([], step)).to.equal(step);
  });

  it('makes no promise where nothing waits', () => {
    const { ctx, warnings } = exchange();
    const journal = new Journal();
    const pass = link((_ctx, next) => void next());
    expect(compose([pass, pass], () => journal.note('step'))(ctx)).to.equal(undefined);
    expect(journal.entries).to.deep.equal(['step']);
    expect(warnings()).to.deep.equal([]);
  });

  it('throws at once what is thrown before anything waits', () => {
    const refuse = link(() => {
      throw new Error('no');
    });
    expect(() => compose([refuse], () => undefined)(exchange().ctx)).to.throw('no');
  });

  it('lets next() reject with what the rest throws, at once or later', async () => {
    const now = () => {
      throw new Error('no');
    };
    const later = async () => {
      await turn();
      throw new Error('no');
    };
    for (const step of [now, later]) {
      const { ctx } = exchange();
      const seen: unknown[] = [];
      const caught = link(async (_ctx, next) => {
        try {
          await next();
        } catch (error) {
          seen.push((error as Error).message);
        }
      });
      await compose([caught], step)(ctx);
      expect(seen).to.deep.equal(['no']);
      expect(await failureOf(compose([link((_ctx, next) => next())], step)(ctx))).to.equal('no');
    }
  });

  it('stops where a link does not call next()', async () => {
    const { ctx } = exchange();
    const journal = new Journal();
    const step = () => journal.note('step');
    await compose([link(() => undefined)], step)(ctx);
    await compose([link(() => turn())], step)(ctx);
    expect(journal.entries).to.deep.equal([]);
  });

  describe('next() twice', () => {
    const ways: [string, Middleware][] = [
      [
        'awaited',
        async function twice(_ctx, next) {
          await next();
          await next();
        },
      ],
      [
        'returned',
        function twice(_ctx, next) {
          void next();
          return next();
        },
      ],
      ['at the same time', (_ctx, next) => Promise.all([next(), next()])],
      [
        'awaited by nobody',
        (_ctx, next) => {
          void next();
          void next();
        },
      ],
    ];
    const steps = { 'at once': () => undefined, later: () => turn() };
    for (const [way, run] of ways) {
      for (const [when, settle] of Object.entries(steps)) {
        it(`is an error, and the rest runs once: ${way}, where the rest ends ${when}`, async () => {
          const { ctx } = exchange();
          let runs = 0;
          const chain = compose([link(run, 'twice')], () => {
            runs++;
            return settle();
          });
          expect(await failureOf(chain(ctx))).to.equal('twice called next() twice: once is the limit');
          expect(runs).to.equal(1);
        });
      }
    }
  });

  it('refuses a next() that comes after its middleware has returned: nothing runs behind the answer', async () => {
    const { ctx, logger } = exchange();
    const journal = new Journal();
    let late: (() => Promise<void>) | undefined;
    const careless: Middleware = (_ctx, next) => {
      late = next;
    };
    await compose([link(careless, 'careless')], () => journal.note('step'))(ctx);
    void late?.();
    await turn();
    expect(journal.entries).to.deep.equal([]);
    expect(logger.at('error').map(({ message }) => message)).to.deep.equal([
      'careless called next() after it had returned: await what comes before it',
    ]);
  });

  describe('a next() that nobody awaits', () => {
    const careless: Middleware = (_ctx, next) => void next();
    const warning = 'careless did not await next(): write `await next()` or `return next()`';

    it('is told once, and the answer waits for the rest', async () => {
      const { ctx, warnings } = exchange();
      const journal = new Journal();
      await compose([link(careless, 'careless')], async () => {
        await turn();
        journal.note('step');
      })(ctx);
      expect(journal.entries).to.deep.equal(['step']);
      expect(warnings()).to.deep.equal([warning]);
    });

    it('loses no error of the rest', async () => {
      const { ctx, warnings } = exchange();
      const step = async () => {
        await turn();
        throw new Error('no');
      };
      expect(await failureOf(compose([link(careless, 'careless')], step)(ctx))).to.equal('no');
      expect(warnings()).to.deep.equal([warning]);
    });

    it('is told of although the rest has ended meanwhile', async () => {
      const { ctx, warnings } = exchange();
      const slow: Middleware = async (_ctx, next) => {
        void next();
        await turn();
        await turn();
      };
      const step = async () => {
        throw new Error('no');
      };
      expect(await failureOf(compose([link(slow, 'careless')], step)(ctx))).to.equal('no');
      expect(warnings()).to.deep.equal([warning]);
    });

    it('and whose middleware throws: its error is the answer, the other one is reported', async () => {
      const { ctx, reported, warnings } = exchange();
      const both: Middleware = async (_ctx, next) => {
        void next();
        throw new Error('mine');
      };
      const step = async () => {
        throw new Error('of the rest');
      };
      expect(await failureOf(compose([link(both, 'careless')], step)(ctx))).to.equal('mine');
      await turn();
      expect(reported.map((error) => (error as Error).message)).to.deep.equal(['of the rest']);
      expect(warnings()).to.deep.equal([warning]);
    });
  });

  const careful: [string, Middleware][] = [
    ['return next()', (_ctx, next) => next()],
    [
      'await next()',
      async (_ctx, next) => {
        await next();
      },
    ],
    ['next().then()', (_ctx, next) => next().then(() => undefined)],
    ['next().finally()', (_ctx, next) => next().finally(() => undefined)],
    ['next().catch()', (_ctx, next) => next().catch(() => undefined)],
    ['Promise.all()', (_ctx, next) => Promise.all([next(), turn()])],
  ];
  for (const [way, run] of careful) {
    it(`takes ${way} for awaited`, async () => {
      const { ctx, warnings } = exchange();
      const journal = new Journal();
      await compose([link(run)], async () => {
        await turn();
        journal.note('step');
      })(ctx);
      expect(journal.entries).to.deep.equal(['step']);
      expect(warnings()).to.deep.equal([]);
    });
  }
});

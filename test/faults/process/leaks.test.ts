import { expect } from 'chai';
import type { Kind } from 'coequal';
import { Child, children } from '../../support/child.js';
import { leaveAll, POINTS } from '../../support/leaver.js';
import type { Measure } from '../../fixtures/leaking.js';
import { LONG, sample } from '../../support/long.js';

/** Exchanges of each kind that clients leave. */
const COUNT = LONG ? 5_000 : 400;

describe('Process', () => {
  describe('leaks', function () {
    this.timeout(600_000);
    const start = children();

    async function measure(child: Child, counting = true): Promise<Measure> {
      child.told.length = 0;
      child.process.send(counting);
      return (await child.until(() => true)) as Measure;
    }

    /** Of what there is more than before. */
    const more = ({ counts }: Measure, before: Measure): string[] =>
      Object.entries(counts)
        .filter(([name, count]) => count > (before.counts[name] ?? 0))
        .map(([name, count]) => `${name}: ${count}, after ${before.counts[name] ?? 0}`);

    // A heap takes seconds to count: without LONG, only the sockets', which have most points.
    for (const kind of sample(Object.keys(POINTS) as Kind[], 3, 2)) {
      it(`are none of ${COUNT} exchanges of ${kind} that are left at each point of their life`, async () => {
        const child = await start('leaking', [], ['--expose-gc']);
        const fresh = await measure(child, false);
        // The first exchanges make the code and the caches that all use.
        await leaveAll(kind, child.url, COUNT / 2);
        const base = await measure(child);
        await leaveAll(kind, child.url, COUNT);
        let after = await measure(child);
        // Garbage is collected, and idle timers are stopped, in their own time.
        for (let i = 0; i < 5 && more(after, base).length > 0; i++) after = await measure(child);

        expect(more(after, base)).to.deep.equal([]);
        expect(after.warnings).to.deep.equal([]);
        expect(after.errors).to.deep.equal([]);
        // What the first round has added once, and each later one would add again if it were a leak.
        expect(after.heap - base.heap).to.be.lessThan(base.heap - fresh.heap);
        if (kind !== 'http')
          expect(after.opened - base.opened, 'some have opened').to.be.greaterThan(COUNT / 8);
        expect(await (await fetch(`${child.url}/room/large`)).text()).to.have.length(300_000);
      });
    }
  });
});

import { SOCKETS, STREAMS } from '../lib/catalogue.mjs';
import { load, startApp } from '../lib/processes.mjs';
import { measure, oneByOne, reason, withServer } from '../lib/rounds.mjs';
import { median } from '../lib/statistics.mjs';

/** What an open and idle connection holds in memory, and what coming and going costs. */
export async function idle(options) {
  const sockets = await memory('memory of a socket', options.pick(SOCKETS), { path: '/idle' }, options);
  const streams = await memory(
    'memory of a stream',
    options.pick(STREAMS),
    { path: '/events', stream: true },
    options,
  );
  const cycles = await measure({
    entries: options.pick(SOCKETS),
    measurements: {
      'connect and close': oneByOne((app, { dialect }) => {
        const task = { task: 'cycles', port: app.port, dialect, path: '/idle', seconds: options.seconds };
        return withServer(app, (hold) => load(task, options.node, hold));
      }),
    },
    // There are few cycles in a second: what each runs takes long to be compiled.
    warmUps: 3,
    options,
    log: options.log,
  });
  return { sockets, streams, cycles };
}

/**
 * The young generation, which a busy server fills and then keeps, counts as resident: from Node 22 on it may grow to
 * more than 10,000 connections take. It has the size that it has with Node 20.
 */
const YOUNG = ['--max-semi-space-size=16'];

/** Bytes per connection, each time in a fresh process, after collection of garbage. */
async function memory(name, entries, target, { node, rounds, connections, log }) {
  const results = {};
  const leftOut = {};
  for (const entry of entries) {
    const taken = [];
    try {
      for (let round = 0; round < Math.min(rounds, 5); round++) taken.push(await once(entry));
      results[entry.name] = {
        heap: median(taken.map(({ heap }) => heap)),
        rss: median(taken.map(({ rss }) => rss)),
      };
    } catch (error) {
      leftOut[entry.name] = reason(error);
      log(`${entry.label} is left out: ${reason(error)}`);
    }
  }
  const base = results[entries[0].name];
  for (const figures of Object.values(results)) {
    if (base !== undefined) figures.ratio = figures.heap / base.heap;
    if (base !== undefined) figures.rssRatio = figures.rss / base.rss;
  }
  log(
    `${name}: ${Object.entries(results)
      .map(([app, { heap, rss }]) => `${app} ${heap.toFixed(0)} B (rss ${rss.toFixed(0)} B)`)
      .join('  ')}`,
  );
  return { results, leftOut };

  async function once(entry) {
    const app = await startApp(entry, node, {}, YOUNG);
    try {
      // A few connections first: code is compiled and caches are filled by the first, whatever their number.
      const task = { task: 'hold', port: app.port, dialect: entry.dialect, ...target };
      await load({ ...task, connections: 200 }, node);
      const seen = {};
      await load({ ...task, connections }, node, async (when) => void (seen[when] = await app.ask('memory')));
      const per = (key) => (seen.open[key] - seen.before[key]) / connections;
      return { heap: per('heap'), rss: per('rss') };
    } finally {
      await app.stop();
    }
  }
}

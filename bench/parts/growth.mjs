import { CHANNELS, GROWTH, SCOPES } from '../lib/catalogue.mjs';
import { load, startApp } from '../lib/processes.mjs';
import { reason, withServer } from '../lib/rounds.mjs';
import { median } from '../lib/statistics.mjs';
import { needWrk, wrk } from '../lib/wrk.mjs';

/** How costs grow: with routes, middleware, controllers, subscribers, channels and scopes. */
export async function growth(options) {
  needWrk();
  const leftOut = {};
  const guarded = async (name, run) => {
    try {
      return await run();
    } catch (error) {
      leftOut[name] = reason(error);
      options.log(`${name} is left out: ${reason(error)}`);
      return undefined;
    }
  };
  const results = { routes: {}, middleware: {} };
  for (const entry of options.pick(GROWTH)) {
    const { name } = entry;
    results.routes[name] = await guarded(`${name}, routes`, () => routes(entry, options));
    results.middleware[name] = await guarded(`${name}, middleware`, () => middleware(entry, options));
  }
  const coequal = GROWTH.find(({ name }) => name === 'coequal');
  results.startup = await guarded('start-up', () => startup(coequal, options));
  results.subscribers = await guarded('subscribers', () => subscribers(options));
  results.channels = await guarded('channels', () => channels(options));
  results.policies = await guarded('policies', () => policies(options));
  results.scopes = await guarded('scopes', () => scopes(options));
  return { results, leftOut };
}

/** Microseconds per request with that many routes. */
function routes(entry, options) {
  return curve('routes', [10, 100, 1_000, 10_000], entry, options, (app, count) => {
    return wrk({ port: app.port, path: '/', script: 'routes.lua', args: [count], seconds: options.seconds });
  });
}

/** Microseconds per request with that many middleware, each of which only calls the next. */
function middleware(entry, options) {
  return curve('middleware', [0, 1, 2, 5, 10], entry, options, (app) => {
    return wrk({ port: app.port, path: '/area0/items/1', seconds: options.seconds });
  });
}

async function curve(what, counts, entry, { node, rounds, seconds, log }, take) {
  const apps = [];
  const points = new Map(counts.map((count) => [count, []]));
  try {
    for (const count of counts) apps.push([count, await startApp(entry, node, { [what]: count })]);
    for (const [, app] of apps)
      await wrk({ port: app.port, path: '/area0/items/1', seconds: Math.min(seconds, 1) });
    for (let round = 0; round < rounds; round++) {
      for (const [count, app] of apps) points.get(count).push(1e6 / (await take(app, count)).rate);
    }
  } finally {
    await Promise.all(apps.map(([, app]) => app.stop()));
  }
  return told(`${entry.name}, µs by ${what}`, points, log);
}

/** Milliseconds until an application of a thousand controllers, or of fewer, listens. */
async function startup(entry, { node, rounds, log }) {
  const points = new Map([10, 100, 1_000].map((count) => [count, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [count, times] of points) {
      const app = await startApp(entry, node, { routes: count });
      times.push(app.startup);
      await app.stop();
    }
  }
  return told('start-up in ms by controllers', points, log);
}

/** Microseconds of one publish, by the number of its subscribers. */
function subscribers(options) {
  return publishing('µs per publish by subscribers', [10, 100, 1_000], options, (count) => ({
    receivers: count,
  }));
}

/** Microseconds of one publish to a hundred, by the number of other channels, each with a socket of its own. */
function channels(options) {
  return publishing('µs per publish by other channels', [0, 10, 100, 1_000], options, (count) => ({
    receivers: 100,
    others: Array.from({ length: count }, (_, i) => `/rooms/${i + 1}`),
  }));
}

async function publishing(title, counts, { node, rounds, seconds, log }, shape) {
  const points = new Map(counts.map((count) => [count, []]));
  const app = await startApp(CHANNELS, node);
  try {
    for (let round = 0; round < rounds; round++) {
      for (const [count, times] of points) {
        const { port, conductor } = app;
        const target = { task: 'broadcast', path: '/rooms/0', burst: 1, port, conductor, seconds };
        const task = { ...target, ...shape(count) };
        const { rate } = await withServer(app, (hold) => load(task, node, hold));
        times.push((1e6 / rate) * task.receivers);
      }
    }
  } finally {
    await app.stop();
  }
  return told(title, points, log);
}

/** What policies for slow readers cost while nobody is slow: deliveries per second, as a ratio to `close` of the same round. */
async function policies({ node, rounds, seconds, log }) {
  const paths = { close: '/rooms/0', 'drop-oldest': '/oldest', conflate: '/latest' };
  const bursts = { 'one at a time': 1, 'bursts of ten': 10 };
  const app = await startApp(CHANNELS, node);
  const ratios = {};
  try {
    const rate = async (policy, burst, time) => {
      const { port, conductor } = app;
      const task = { task: 'broadcast', path: paths[policy], burst, receivers: 1_000, seconds: time };
      return (await load({ ...task, port, conductor }, node)).rate;
    };
    for (const policy of Object.keys(paths)) await rate(policy, 1, 1);
    for (const [title, burst] of Object.entries(bursts)) {
      const taken = Object.fromEntries(Object.keys(paths).map((policy) => [policy, []]));
      for (let round = 0; round < rounds; round++) {
        const names = Object.keys(paths);
        const order = round % 2 === 0 ? names : names.reverse();
        const rates = {};
        for (const policy of order) rates[policy] = await rate(policy, burst, seconds);
        for (const policy of order) taken[policy].push(rates[policy] / rates.close);
      }
      ratios[title] = Object.fromEntries(
        Object.entries(taken).map(([policy, values]) => [
          policy,
          { median: median(values), low: Math.min(...values), high: Math.max(...values) },
        ]),
      );
      log(
        `policies, ${title}: ${Object.entries(ratios[title])
          .map(([policy, { median: ratio }]) => `${policy} ${ratio.toFixed(2)}`)
          .join('  ')}`,
      );
    }
  } finally {
    await app.stop();
  }
  return ratios;
}

/** Microseconds per request without and with a request-scoped service, and what tsyringe takes for that alone. */
async function scopes({ node, rounds, seconds, log }) {
  const app = await startApp(SCOPES, node);
  try {
    const times = { plain: [], scoped: [] };
    for (const path of ['plain', 'scoped']) await wrk({ port: app.port, path: `/${path}`, seconds: 1 });
    for (let round = 0; round < rounds; round++) {
      for (const path of ['plain', 'scoped']) {
        times[path].push(1e6 / (await wrk({ port: app.port, path: `/${path}`, seconds })).rate);
      }
    }
    const [plain, scoped] = [median(times.plain), median(times.scoped)];
    const resolve = app.resolve / 1000;
    log(
      `scopes: plain ${plain.toFixed(2)} µs, scoped ${scoped.toFixed(2)} µs, tsyringe alone ${resolve.toFixed(2)} µs`,
    );
    return { plain, scoped, resolve };
  } finally {
    await app.stop();
  }
}

function told(title, points, log) {
  const medians = [...points].map(([count, values]) => [count, median(values)]);
  log(`${title}: ${medians.map(([count, value]) => `${count}: ${value.toFixed(1)}`).join('  ')}`);
  return medians;
}

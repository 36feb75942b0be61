import { CHANNELS, GROWTH, POLICIES, SCOPES } from '../lib/catalogue.mjs';
import { load, startApp } from '../lib/processes.mjs';
import { line, reason, summaries } from '../lib/rounds.mjs';
import { median, quartiles } from '../lib/statistics.mjs';
import { needWrk, wrkInTurns } from '../lib/wrk.mjs';

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
  results.slowReaders = await guarded('policies for slow readers', () => slowReaders(options));
  results.requestScope = await guarded('request scope', () => requestScope(options));
  return { results, leftOut };
}

/** Microseconds per request with that many routes. */
function routes(entry, options) {
  const route = { path: '/', script: 'routes.lua' };
  return curve('routes', [10, 100, 1_000, 10_000], entry, options, (count) => ({ ...route, args: [count] }));
}

/** Microseconds per request with that many middleware, each of which only calls the next. */
function middleware(entry, options) {
  return curve('middleware', [0, 1, 2, 5, 10], entry, options, () => ({ path: '/area0/items/1' }));
}

async function curve(what, counts, entry, { node, rounds, seconds, log }, routeOf) {
  const points = new Map(counts.map((count) => [count, []]));
  const apps = [];
  try {
    for (const count of counts) apps.push(await startApp(entry, node, { [what]: count }));
    for (let round = -1; round < rounds; round++) {
      const outcomes = await wrkInTurns(apps, counts.map(routeOf), seconds);
      for (const [i, count] of counts.entries()) {
        if (outcomes[i] instanceof Error) throw outcomes[i];
        if (round >= 0) points.get(count).push(1e6 / outcomes[i].rate);
      }
    }
  } finally {
    await Promise.all(apps.map((app) => app.stop()));
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
        const { receivers, others } = shape(count);
        const targets = [{ path: '/rooms/0', port, conductor, others }];
        const [{ rate, error }] = await load(
          { task: 'broadcast', targets, receivers, burst: 1, seconds },
          node,
        );
        if (error !== undefined) throw new Error(error);
        times.push((1e6 / rate) * receivers);
      }
    }
  } finally {
    await app.stop();
  }
  return told(title, points, log);
}

/** What policies for slow readers cost while nobody is slow: deliveries per second of the server's processor. */
async function slowReaders(options) {
  const taken = {};
  for (const [title, burst] of Object.entries({ 'one at a time': 1, 'bursts of ten': 10 })) {
    const task = { task: 'publishTurns', paths: POLICIES.map(({ path }) => path), receivers: 1_000, burst };
    const { cycles } = await inTurns(CHANNELS, task, options);
    taken[title] = Object.fromEntries(
      POLICIES.map(({ name }, i) => [name, cycles.map((times) => ({ rate: 1e6 / times[i] }))]),
    );
  }
  const results = summaries(taken, POLICIES, quartiles);
  for (const title of Object.keys(results)) options.log(line(`policies, ${title}`, results[title], POLICIES));
  return results;
}

/** Microseconds per request without and with a request-scoped service, and what tsyringe takes for that alone. */
async function requestScope(options) {
  const task = {
    task: 'requestTurns',
    paths: ['/plain', '/scoped'],
    body: '{"message":"Hello, World!"}',
    connections: 32,
  };
  const { cycles, apps } = await inTurns(SCOPES, task, options);
  const [plain, scoped] = [0, 1].map((i) => median(cycles.map((times) => times[i])));
  const costs = cycles.map(([without, within]) => within - without);
  const [low, high] = quartiles(costs);
  const cost = median(costs);
  const resolve = median(apps.map((app) => app.resolve)) / 1000;
  options.log(
    `request scope: plain ${plain.toFixed(2)} µs, scoped ${scoped.toFixed(2)} µs, cost ${cost.toFixed(2)} µs ` +
      `(${low.toFixed(2)} to ${high.toFixed(2)}), tsyringe alone ${resolve.toFixed(2)} µs`,
  );
  return { plain, scoped, cost, low, high, resolve };
}

/** Runs a task of load-turns.mjs, each round with fresh processes: each finds its own place in memory. */
async function inTurns(entry, task, { node, rounds, seconds }) {
  const cycles = [];
  const apps = [];
  for (let round = 0; round < rounds; round++) {
    const app = await startApp(entry, node);
    try {
      const { port, conductor } = app;
      cycles.push(...(await load({ ...task, port, conductor, seconds }, node, app.busy)).cycles);
      apps.push(app);
    } finally {
      await app.stop();
    }
  }
  return { cycles, apps };
}

function told(title, points, log) {
  const medians = [...points].map(([count, values]) => [count, median(values)]);
  log(`${title}: ${medians.map(([count, value]) => `${count}: ${value.toFixed(1)}`).join('  ')}`);
  return medians;
}

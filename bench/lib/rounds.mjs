import { load, startApp } from './processes.mjs';
import { summary } from './statistics.mjs';

/**
 * Starts the applications, checks each, and takes the measurements in interleaved rounds: each round goes
 * through all of them, beginning with another one. An application that fails is left out, with its reason.
 *
 * @param warmUps rounds before the first, in which code is compiled and nothing is counted
 * @param measurements `{ name: (contestants) => Promise<outcomes> }`: of each, in their order, its figures, an error,
 *   or undefined where it does not apply
 */
export async function measure({ entries, measurements, check = async () => {}, warmUps = 0, options, log }) {
  const { node, rounds } = options;
  const leftOut = {};
  const apps = [];
  const drop = (entry, error) => {
    leftOut[entry.name] = reason(error);
    log(`${entry.label} is left out: ${leftOut[entry.name]}`);
  };
  for (const entry of entries) {
    let app;
    try {
      app = await startApp(entry, node);
      await check(app, entry);
      apps.push({ entry, app });
    } catch (error) {
      await app?.stop();
      drop(entry, error);
    }
  }

  const taken = {};
  for (const [name, take] of Object.entries(measurements)) {
    taken[name] = {};
    for (let round = -warmUps; round < rounds; round++) {
      const contestants = apps
        .map((_, i) => apps[(i + round + warmUps) % apps.length])
        .filter(({ entry }) => !taken[name][entry.name]?.failed);
      const outcomes = await take(contestants).catch((error) => contestants.map(() => error));
      for (const [i, { entry }] of contestants.entries()) {
        const before = (taken[name][entry.name] ??= []);
        if (outcomes[i] instanceof Error) {
          before.failed = true;
          drop({ ...entry, name: `${entry.name}, ${name}` }, outcomes[i]);
        } else if (outcomes[i] !== undefined && round >= 0) before.push(outcomes[i]);
      }
    }
    log(line(name, summaries({ [name]: taken[name] }, entries)[name], entries));
  }
  await Promise.all(apps.map(({ app }) => app.stop()));
  return { results: summaries(taken, entries), leftOut };
}

/** A measurement that is taken of one contestant after the other. */
export function oneByOne(take) {
  return async (contestants) => {
    const outcomes = [];
    for (const { app, entry } of contestants) outcomes.push(await take(app, entry).catch((error) => error));
    return outcomes;
  };
}

/** The line that names the error; a process that has ended leaves a whole stack. */
export function reason({ message }) {
  const lines = message.split('\n');
  return lines.find((one) => /Error\b.*:/.test(one)) ?? lines.slice(0, 3).join(' ');
}

/** `{ measurement: { application: figures } }` of the rounds in `{ measurement: { application: rounds } }`. */
export function summaries(taken, entries, spread) {
  const results = {};
  for (const [name, byApp] of Object.entries(taken)) {
    results[name] = {};
    for (const { name: app } of entries) {
      if (byApp[app]?.length > 0 && !byApp[app].failed) {
        results[name][app] = summary(byApp[app], byApp[entries[0].name] ?? [], spread);
      }
    }
  }
  return results;
}

/** A measurement's figures on one line. */
export function line(name, byApp, entries) {
  const [first] = entries;
  const parts = Object.entries(byApp).map(([app, figures]) => {
    if (app === first.name || figures.ratio === undefined) return `${app} ${compact(figures.rate)}`;
    return `${app} ${figures.ratio.toFixed(2)} (${figures.low.toFixed(2)}–${figures.high.toFixed(2)})`;
  });
  return `${name.padEnd(24)} ${parts.join('  ')}`;
}

function compact(rate) {
  return rate >= 10_000 ? `${(rate / 1000).toFixed(1)}k/s` : `${rate.toFixed(1)}/s`;
}

/** A measurement that the client takes of all contestants in turns: `task` with a target for each. */
export function contestOf(task, targetOf, node) {
  return async (contestants) => {
    const targets = contestants.map(({ app: { port, conductor }, entry }) => ({
      ...targetOf(entry),
      port,
      conductor,
    }));
    const outcomes = await load({ ...task, targets }, node, (i) => contestants[i].app.busy());
    return outcomes.map((one) => (one.error === undefined ? one : new Error(one.error)));
  };
}

/** Adds to the client's figures how busy the server's core was: near 1, the server is what was measured. */
export async function withServer(app, run) {
  let began;
  let cpu;
  let serverBusy;
  const figures = await run(async (what) => {
    const now = await app.busy();
    const at = performance.now();
    if (what === 'begin') [began, cpu] = [at, now];
    else serverBusy = (now - cpu) / 1000 / (at - began);
  });
  return { ...figures, serverBusy };
}

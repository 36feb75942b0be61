import { BROADCASTS } from '../lib/catalogue.mjs';
import { load } from '../lib/processes.mjs';
import { measure } from '../lib/rounds.mjs';

const RECEIVERS = 1_000;

/** One message to a thousand sockets, and to a thousand event streams: alone, and ten in one turn. */
export async function broadcast(options) {
  const sockets = await measure({
    entries: options.pick(BROADCASTS.sockets),
    measurements: bursts('sockets', { path: '/ticks' }, options),
    options,
    log: options.log,
  });
  const streams = await measure({
    entries: options.pick(BROADCASTS.streams),
    measurements: bursts('streams', { path: '/events', stream: true }, options),
    options,
    log: options.log,
  });
  return { sockets, streams };
}

function bursts(what, target, { node, seconds }) {
  const take = (burst) => async (contestants) => {
    const targets = contestants.map(({ app: { port, conductor }, entry: { dialect } }) => {
      return { ...target, port, conductor, dialect };
    });
    const processor = async (i) => {
      const { user, system } = await contestants[i].app.ask('cpu');
      return user + system;
    };
    const task = { task: 'broadcast', targets, burst, receivers: RECEIVERS, seconds };
    const outcomes = await load(task, node, processor);
    return outcomes.map((one) => (one.error === undefined ? one : new Error(one.error)));
  };
  return { [`${what}, one at a time`]: take(1), [`${what}, bursts of ten`]: take(10) };
}

import { BROADCASTS } from '../lib/catalogue.mjs';
import { contestOf, measure } from '../lib/rounds.mjs';

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
  const take = (burst) => {
    const task = { task: 'broadcast', burst, receivers: RECEIVERS, seconds };
    return contestOf(task, ({ dialect }) => ({ ...target, dialect }), node);
  };
  return { [`${what}, one at a time`]: take(1), [`${what}, bursts of ten`]: take(10) };
}

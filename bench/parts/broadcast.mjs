import { BROADCASTS } from '../lib/catalogue.mjs';
import { load } from '../lib/processes.mjs';
import { measure, oneByOne, withServer } from '../lib/rounds.mjs';

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
  const take = (burst) =>
    oneByOne((app, { dialect }) => {
      const { port, conductor } = app;
      const task = {
        task: 'broadcast',
        ...target,
        port,
        conductor,
        dialect,
        burst,
        receivers: RECEIVERS,
        seconds,
      };
      return withServer(app, (hold) => load(task, node, hold));
    });
  return { [`${what}, one at a time`]: take(1), [`${what}, bursts of ten`]: take(10) };
}

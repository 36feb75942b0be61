import { SOCKETS } from '../lib/catalogue.mjs';
import { contestOf, measure } from '../lib/rounds.mjs';

const CONNECTIONS = 64;

/** Echo over sockets: text of 64 bytes, a JSON object, a JSON-RPC call; one message at a time, and eight. */
export async function echo(options) {
  const measurements = {};
  for (const kind of ['text', 'json', 'rpc']) {
    for (const window of [1, 8]) {
      measurements[`${kind}, window ${window}`] = take(kind, window, options);
    }
  }
  return measure({ entries: options.pick(SOCKETS), measurements, options, log: options.log });
}

/** Calls are made by those that have them; the others take no part. */
function take(kind, window, { node, seconds }) {
  const task = { task: 'echo', kind, window, connections: CONNECTIONS, seconds };
  const all = contestOf(task, ({ dialect }) => ({ dialect }), node);
  if (kind !== 'rpc') return all;
  return async (contestants) => {
    const able = contestants.filter(({ entry }) => entry.rpc);
    const outcomes = await all(able);
    return contestants.map((one) => outcomes[able.indexOf(one)]);
  };
}

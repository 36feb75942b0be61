import { SOCKETS } from '../lib/catalogue.mjs';
import { load } from '../lib/processes.mjs';
import { measure, oneByOne, withServer } from '../lib/rounds.mjs';

const CONNECTIONS = 64;

/** Echo over sockets: text of 64 bytes, a JSON object, a JSON-RPC call; one message at a time, and eight. */
export async function echo(options) {
  const measurements = {};
  for (const kind of ['text', 'json', 'rpc']) {
    for (const window of [1, 8]) {
      measurements[`${kind}, window ${window}`] = oneByOne((app, entry) =>
        take(app, entry, kind, window, options),
      );
    }
  }
  return measure({ entries: options.pick(SOCKETS), measurements, options, log: options.log });
}

/** The client compares a first and a last exchange of each connection and counts those between. */
async function take(app, { dialect, rpc = false }, kind, window, { node, seconds }) {
  if (kind === 'rpc' && !rpc) return undefined;
  const task = { task: 'echo', port: app.port, dialect, kind, window, connections: CONNECTIONS, seconds };
  return withServer(app, (hold) => load(task, node, hold));
}

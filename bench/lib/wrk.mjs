import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as after } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { TURN } from './contest.mjs';
import { launch } from './processes.mjs';

const SCRIPTS = new URL('./', import.meta.url);

/** @throws Error telling how to get wrk, where it is missing. */
export function needWrk() {
  if (spawnSync('wrk', ['--version'], { stdio: 'ignore' }).error === undefined) return;
  throw new Error(
    'The HTTP measurements need wrk: `apt install wrk`, `brew install wrk` or https://github.com/wg/wrk',
  );
}

/**
 * Requests per second of the processor of several servers, which does not count what else the machine was doing. They
 * are asked in turns until each has been for `seconds`: the `wrk` of all others are stopped meanwhile. All answers must have succeeded; for a server whose have not, its error is given.
 */
export async function wrkInTurns(apps, routes, seconds) {
  const limit = Math.ceil(30 + apps.length * seconds * 4);
  const outcomes = [];
  const all = [];
  const each = async (first, act) => {
    for (let i = 0; i < all.length; i++) {
      const at = (i + first) % all.length;
      if (outcomes[at] instanceof Error) continue;
      outcomes[at] = await act(all[at]).catch((error) => all[at].fail(error));
    }
  };
  for (const [i, app] of apps.entries()) all.push(new Wrk(app, routes[i], limit));
  await each(0, (one) => one.start());
  for (let turn = 1; turn < (seconds * 1000) / TURN; turn++) await each(turn, (one) => one.turn());
  await each(0, (one) => one.end());
  return outcomes;
}

/** One `wrk`, which asks its server only while it has its turn. */
class Wrk {
  #app;
  #path;
  #command;
  #child = undefined;
  #over = Promise.resolve([]);
  #output = '';
  #busy = 0;

  constructor(app, { path, headers = {}, script, args = [] }, limit) {
    this.#app = app;
    this.#path = path;
    const command = ['wrk', '-t1', '-c64', `-d${limit}s`];
    for (const [name, value] of Object.entries(headers)) command.push('-H', `${name}: ${value}`);
    if (script !== undefined) command.push('-s', fileURLToPath(new URL(script, SCRIPTS)));
    command.push(`http://127.0.0.1:${app.port}${path}`);
    if (args.length > 0) command.push('--', ...args.map(String));
    this.#command = command;
  }

  /** The connections are opened in the first turn. */
  async start() {
    this.#busy = -(await this.#app.busy());
    this.#child = launch(1, this.#command, []);
    this.#child.stdout.on('data', (chunk) => (this.#output += chunk));
    this.#over = once(this.#child, 'close');
    await after(TURN);
    await this.#pause();
  }

  async turn() {
    await this.#resume();
    await after(TURN);
    await this.#pause();
  }

  /** Has a last turn, since `wrk` looks only now and then whether it is to end, and gives what it has counted. */
  async end() {
    await this.#resume();
    await after(TURN);
    this.#child.kill('SIGINT');
    await this.#over;
    this.#busy += await this.#app.busy();
    const count = Number(/(\d+) requests in/.exec(this.#output)?.[1]);
    const faults = /Socket errors:.*|Non-2xx or 3xx responses:.*/.exec(this.#output)?.[0];
    if (!(count > 0) || (faults !== undefined && !/connect 0, read 0, write 0/.test(faults))) {
      throw new Error(`wrk of ${this.#path}: ${faults ?? this.#output}`);
    }
    return { rate: count / (this.#busy / 1e6) };
  }

  fail(error) {
    this.#child.kill('SIGKILL');
    return error;
  }

  async #resume() {
    this.#busy -= await this.#app.busy();
    this.#child.kill('SIGCONT');
  }

  async #pause() {
    this.#child.kill('SIGSTOP');
    // What has been asked is answered before others have their turn: a server says so when it is done with it.
    await this.#app.busy();
    this.#busy += await this.#app.busy();
  }
}

import { spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { pin } from './processes.mjs';

const SCRIPTS = new URL('./', import.meta.url);

/** @throws Error telling how to get wrk, where it is missing. */
export function needWrk() {
  if (spawnSync('wrk', ['--version'], { stdio: 'ignore' }).error === undefined) return;
  throw new Error(
    'The HTTP measurements need wrk: `apt install wrk`, `brew install wrk` or https://github.com/wg/wrk',
  );
}

/** Requests per second and the 99th percentile of latency in ms. All answers must have succeeded. */
export async function wrk({ port, path, headers = {}, script, args = [], seconds, connections = 64 }) {
  const command = ['wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '--latency'];
  for (const [name, value] of Object.entries(headers)) command.push('-H', `${name}: ${value}`);
  if (script !== undefined) command.push('-s', fileURLToPath(new URL(script, SCRIPTS)));
  command.push(`http://127.0.0.1:${port}${path}`);
  if (args.length > 0) command.push('--', ...args.map(String));
  const output = await run(pin(1, command));
  const rate = Number(/Requests\/sec:\s+([\d.]+)/.exec(output)?.[1]);
  const faults = /Socket errors:.*|Non-2xx or 3xx responses:.*/.exec(output)?.[0];
  if (!(rate > 0) || (faults !== undefined && !/connect 0, read 0, write 0/.test(faults))) {
    throw new Error(`wrk of ${path}: ${faults ?? output}`);
  }
  return { rate, p99: milliseconds(/99%\s+([\d.]+)(us|ms|s)/.exec(output)) };
}

function run([program, ...args]) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (output += chunk));
    child.on('error', reject);
    child.on('close', () => resolve(output));
  });
}

function milliseconds(match) {
  return match === null ? undefined : Number(match[1]) * { us: 0.001, ms: 1, s: 1000 }[match[2]];
}

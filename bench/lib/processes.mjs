import { spawn, spawnSync } from 'node:child_process';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';

const ROOT = new URL('..', import.meta.url);
/** Bun is a program of its own, which its package brings; flags of Node mean nothing to it. */
const BUN = fileURLToPath(new URL('node_modules/bun/bin/bun.exe', ROOT));
const STARTUP = 60_000;
const LIMIT = 120_000;
const running = new Set();

/** The server has the first core, the load the second, where the system can pin and has two. */
export const pinned =
  cpus().length > 1 && spawnSync('taskset', ['--version'], { stdio: 'ignore' }).status === 0;

function pin(core, command) {
  return pinned ? ['taskset', '-c', String(core), ...command] : command;
}

/**
 * Starts an application and gives `{ port, conductor, ask, busy, stop }`, with whatever else its `start` told. `busy`
 * gives the µs that its processor has been busy.
 */
export async function startApp({ label, file, runtime, options = {} }, node, more = {}, flags = []) {
  const path = fileURLToPath(new URL(file, ROOT));
  const program = runtime === 'bun' ? [BUN] : [node, '--expose-gc', ...flags];
  const command = [...program, fileURLToPath(new URL('lib/host.mjs', ROOT)), path];
  const child = launch(0, [...command, JSON.stringify({ ...options, ...more })]);
  const ready = await new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`${label} has not started in ${STARTUP} ms`)), STARTUP);
    child.on('message', (message) => {
      if (message.ready === undefined) return;
      clearTimeout(late);
      resolve(message.ready);
    });
    child.once('exit', (code) => {
      clearTimeout(late);
      reject(new Error(`${label} ended with ${code}\n${child.said()}`));
    });
  });
  let last = 0;
  const ask = (what) =>
    new Promise((resolve, reject) => {
      const id = ++last;
      const gone = () => reject(new Error(`${label} has ended\n${child.said()}`));
      const listen = (message) => {
        if (message.id !== id) return;
        child.off('message', listen).off('exit', gone);
        resolve(message.answer);
      };
      child.on('message', listen).once('exit', gone);
      child.send({ id, ask: what });
    });
  const busy = async () => {
    const { user, system } = await ask('cpu');
    return user + system;
  };
  return { ...ready, ask, busy, stop: () => stop(child) };
}

/**
 * Runs one task of the client (load.mjs) in its own process. `hold` is called while its connections are open, for
 * tasks that wait for it, and what it gives is told to the task.
 */
export async function load(task, node, hold = async () => {}) {
  const child = launch(1, [node, fileURLToPath(new URL('lib/load.mjs', ROOT)), JSON.stringify(task)]);
  try {
    return await new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`${task.task} is not over in ${LIMIT} ms`)), LIMIT);
      child.on('message', (message) => {
        if (message.held !== undefined) hold(message.held).then((answer) => child.send({ answer }), reject);
        if (message.error) reject(new Error(message.error));
        if (message.result) resolve(message.result);
        if (message.error || message.result) clearTimeout(late);
      });
      child.once('exit', (code) => reject(new Error(`the client ended with ${code}\n${child.said()}`)));
    });
  } finally {
    await stop(child);
  }
}

/** Ends every process that was started here. */
export function stopAll() {
  return Promise.all([...running].map(stop));
}

// What is stopped meanwhile would otherwise outlive this process.
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Starts a program on one of the two cores, a Node program with a channel to it; it ends with this process. */
export function launch(core, command, channel = ['ipc']) {
  const [program, ...args] = pin(core, command);
  const env = { ...process.env, NODE_ENV: 'production' };
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe', ...channel], env });
  let said = '';
  const listen = (chunk) => (said = (said + chunk).slice(-2_000));
  child.stdout.on('data', listen);
  child.stderr.on('data', listen);
  child.said = () => said;
  running.add(child);
  child.once('exit', () => running.delete(child));
  return child;
}

async function stop(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const late = setTimeout(() => child.kill('SIGKILL'), 5_000);
  if (child.connected) child.disconnect();
  else child.kill('SIGKILL');
  await ended;
  clearTimeout(late);
}

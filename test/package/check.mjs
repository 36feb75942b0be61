// The package as its users get it: packed, linted, installed into an empty project, compiled by plain tsc
// and asked one request and one message. `npm run check:package`; prints one line a step.
import { spawn } from 'node:child_process';
import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { access, mkdtemp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const COMMAND_LIMIT = 180_000; // ms
const ANSWER_LIMIT = 15_000; // ms

const APPLICATION = `
import { Body, Controller, createApp, Get, Param, WebSocket, type Context } from 'coequal';

// What is internal is not declared.
// @ts-expect-error
export type Answer = Context['answer'];
// @ts-expect-error
export type Environment = Context['environment'];

@Controller()
class Greeter {
  @Get('/hello/:name') hello(@Param('name') name: string) { return { hello: name }; }
  @WebSocket('/echo') echo(@Body() text: string) { return text; }
}

const app = createApp({ controllers: [Greeter] });
const { port, url } = await app.listen({ port: 0, signals: true });
console.log(JSON.stringify({ port, url }));
`;

const COMPILER = {
  compilerOptions: {
    target: 'es2022',
    module: 'nodenext',
    strict: true,
    skipLibCheck: false,
    experimentalDecorators: true,
    emitDecoratorMetadata: true,
    types: ['node'],
  },
  files: ['app.ts'],
};

/** Bundlers, and how each is told to make one file of the application. */
const BUNDLERS = {
  esbuild: ['app.js', '--bundle', '--platform=node', '--format=esm', '--outfile=bundled/esbuild.mjs'],
  webpack: ['./app.js', '--target', 'node', '--mode', 'production', '--output-path', 'bundled'],
  rollup: ['app.js', '-p', 'node-resolve,commonjs,json', '-f', 'es', '-d', 'bundled/rollup'],
  bun: ['build', 'app.js', '--target=node', '--outdir=bundled/bun'],
};

/** What an application of ours installs beside the package; the ranges are those that we develop with. */
const BESIDE = ['tsyringe', 'reflect-metadata', 'typescript', '@types/node'];

const folder = await mkdtemp(join(tmpdir(), 'coequal-package-'));
let application;
let current = 'start';
try {
  const project = join(folder, 'project');
  const tarball = await step('npm pack', () => pack(folder));
  await step('publint', () => run(ROOT, bin('publint'), ['run', tarball, '--strict']));
  await step('attw', () =>
    run(ROOT, bin('attw'), [tarball, '--profile', 'esm-only', '--no-definitely-typed', '--no-color']),
  );
  await step('npm install into an empty project', () => install(project, tarball));
  await step('tsc', () => run(project, process.execPath, ['node_modules/typescript/bin/tsc', '-p', '.']));
  await step('npm install of bundlers', () =>
    run(project, 'npm', [
      'install',
      '--prefer-offline',
      '--no-audit',
      '--no-fund',
      'esbuild',
      'webpack',
      'webpack-cli',
      'rollup',
      '@rollup/plugin-node-resolve',
      '@rollup/plugin-commonjs',
      '@rollup/plugin-json',
      'bun',
    ]),
  );
  for (const [bundler, args] of Object.entries(BUNDLERS)) {
    await step(bundler, () => run(project, join(project, 'node_modules', '.bin', bundler), args));
  }
  await step('docs in the tarball', () => docs(project));
  application = start(project);
  const { port, url } = await step('listen', () => application.address());
  await step('a request', () => request(port, url));
  const socket = await step('a message', () => message(project, url));
  await step('SIGTERM', () => terminate(application, socket));
} catch (error) {
  const heard = application ? `\nthe application said:\n${application.output()}` : '';
  console.error(`FAILED  ${current}\n${error instanceof Error ? error.stack : String(error)}${heard}`);
  process.exitCode = 1;
} finally {
  application?.kill();
  await rm(folder, { recursive: true, force: true, maxRetries: 3 });
}
// A socket that a failure left open must not keep the script alive.
process.exit();

async function step(name, action) {
  current = name;
  const began = performance.now();
  const result = await action();
  console.log(`ok  ${name} (${Math.round(performance.now() - began)} ms)`);
  return result;
}

async function pack(destination) {
  await run(ROOT, 'npm', ['pack', '--pack-destination', destination]);
  const tarballs = (await readdir(destination)).filter((name) => name.endsWith('.tgz'));
  assert.equal(tarballs.length, 1, `one tarball, not ${tarballs.join(', ') || 'none'}`);
  return join(destination, tarballs[0]);
}

async function install(project, tarball) {
  const { devDependencies } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'));
  const beside = BESIDE.map((name) => {
    assert.ok(devDependencies[name], `${name} is missing in devDependencies`);
    return `${name}@${devDependencies[name]}`;
  });
  await mkdir(project);
  await writeFile(join(project, 'package.json'), '{ "name": "app", "private": true, "type": "module" }\n');
  await writeFile(join(project, 'tsconfig.json'), JSON.stringify(COMPILER));
  await writeFile(join(project, 'app.ts'), APPLICATION);
  await run(project, 'npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', tarball, ...beside]);
}

/** Each page's links to files of the package lead to one that is there. */
async function docs(project) {
  const root = join(project, 'node_modules', 'coequal');
  const pages = (await readdir(join(root, 'docs'))).filter((name) => name.endsWith('.md'));
  assert.ok(pages.includes('injection.md'), 'the pages are there');
  for (const page of ['README.md', ...pages.map((name) => `docs/${name}`)]) {
    const text = (await readFile(join(root, page), 'utf8')).replace(/```.*?```/gs, '');
    for (const [, target] of text.matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)) {
      await access(join(root, page, '..', target)).catch(() => assert.fail(`${page} links to ${target}`));
    }
  }
}

/** The application as a process: its address, all it printed, and its end. */
function start(project) {
  const child = spawn(process.execPath, ['app.js'], { cwd: project, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise((resolve) => {
    child.once('error', (error) => resolve({ error }));
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
  return {
    output: collect(child),
    ended,
    signal: (name) => child.kill(name),
    kill: () => child.kill('SIGKILL'),
    address() {
      const line = once(createInterface({ input: child.stdout }), 'line').then(([text]) => JSON.parse(text));
      const early = ended.then((end) => Promise.reject(new Error(`it ended early: ${JSON.stringify(end)}`)));
      return within(Promise.race([line, early]), 'the address');
    },
  };
}

async function request(port, url) {
  assert.ok(Number.isInteger(port) && port > 0, `port is a port, not ${port}`);
  assert.equal(new URL(url).port, String(port), 'the url has the port');
  const response = await fetch(new URL('/hello/world', url), { signal: AbortSignal.timeout(ANSWER_LIMIT) });
  const text = await response.text();
  assert.equal(response.status, 200, text);
  assert.match(response.headers.get('content-type') ?? '', /^application\/json/);
  assert.deepEqual(JSON.parse(text), { hello: 'world' });
}

/** One message and its echo, by the `ws` that was installed with the package. The socket stays open. */
async function message(project, url) {
  const { WebSocket } = createRequire(join(project, 'package.json'))('ws');
  const socket = new WebSocket(new URL('/echo', url.replace(/^http/, 'ws')));
  // An error between two steps fails the next one, which waits for this socket, and not the whole script.
  socket.on('error', () => socket.terminate());
  await within(once(socket, 'open'), 'the upgrade');
  socket.send('good morning');
  const [data, isBinary] = await within(once(socket, 'message'), 'the echo');
  assert.equal(isBinary, false, 'text comes back as text');
  assert.equal(data.toString(), 'good morning');
  return socket;
}

/** The open socket tells an orderly end (1012, service restart) from a process that was merely killed. */
async function terminate({ signal, ended }, socket) {
  const closed = once(socket, 'close');
  signal('SIGTERM');
  const [code] = await within(closed, 'the close of the socket');
  assert.equal(code, 1012, 'the socket is told that the service restarts');
  const end = await within(ended, 'the end of the process');
  assert.ok(
    end.code === 0 || end.code === 143 || end.signal === 'SIGTERM',
    `ended as ${JSON.stringify(end)}`,
  );
}

/** Runs a command to its end. What it printed is shown only if it fails. */
async function run(cwd, command, args) {
  const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'], env: environment() });
  const output = collect(child);
  const timer = setTimeout(() => child.kill('SIGKILL'), COMMAND_LIMIT);
  try {
    const [code, signal] = await once(child, 'close');
    if (code !== 0) {
      throw new Error(`${command} ${args.join(' ')} ended with ${code ?? signal}\n${output()}`);
    }
  } finally {
    clearTimeout(timer);
  }
}

/** npm hands its scripts the project's settings by environment; the empty project must not inherit them. */
function environment() {
  return Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^npm_(package|lifecycle|config_local_prefix)/.test(name),
    ),
  );
}

function collect({ stdout, stderr }) {
  const chunks = [];
  for (const stream of [stdout, stderr]) stream.on('data', (chunk) => chunks.push(chunk));
  return () => Buffer.concat(chunks).toString().trimEnd();
}

async function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${ANSWER_LIMIT} ms`)), ANSWER_LIMIT);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function bin(name) {
  return join(ROOT, 'node_modules', '.bin', name);
}

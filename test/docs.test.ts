import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';
import { LIMITS, TIMEOUTS } from '../src/core/exchange/limits.js';
import {
  brokenLinks,
  readDocs,
  readPages,
  writeModules,
  type Page,
  type Snippet,
} from './support/snippets.js';

const TSC = fileURLToPath(import.meta.resolve('typescript/package.json')).replace(
  /package\.json$/,
  'bin/tsc',
);
const MOCHA = fileURLToPath(import.meta.resolve('mocha/package.json')).replace(
  /package\.json$/,
  'bin/mocha.js',
);

const SECURITY = fileURLToPath(new URL('../../docs/security.md', import.meta.url));

/** Pages that a run of the benchmarks, or of the suite of faults, has written. */
const MEASURED = ['benchmarks', 'faults'];

/** Words that people search for when they look for what a page describes. */
const SEARCHED = [
  'dependency injection',
  'authentication',
  'authorization',
  'backpressure',
  'slow consumer',
  'rate limiting',
  'CSRF',
  'CORS',
  'graceful shutdown',
  'static files',
  'file upload',
  'pub/sub',
  'presence',
  'reconnect',
  'resume',
  'payload',
  'keep-alive',
  'deployment',
  'reverse proxy',
  'scaling',
];

describe('the documentation', function () {
  this.timeout(120_000);
  const pages = readPages();
  const { folder, moduleOf } = writeModules(pages);

  before('compiles each example under strict, with decorators', async () => {
    const { code, output } = await run(process.execPath, [TSC, '-p', folder, '--noEmitOnError']);
    expect(code, output).to.equal(0);
  });

  it('has examples on each page', () => {
    const bare = pages.filter(({ snippets }) => snippets.length === 0).map(({ name }) => name);
    expect(bare.filter((name) => !MEASURED.includes(name))).to.deep.equal([]);
  });

  it('links only to what exists', () => {
    expect(brokenLinks()).to.deep.equal([]);
  });

  it('uses the words that people search for', () => {
    const text = readDocs().join('\n').toLowerCase();
    expect(SEARCHED.filter((word) => !mentions(text, word.toLowerCase()))).to.deep.equal([]);
  });

  it('tells the limits and times that hold unless others are set', () => {
    const told = Object.fromEntries(limitsOf(readFileSync(SECURITY, 'utf8')));
    const prefixed = (name: string, values: object) =>
      Object.entries(values).map(([key, value]) => [`${name}.${key}`, value as number] as const);
    const all = [...prefixed('limits', LIMITS), ...prefixed('timeouts', TIMEOUTS)];
    expect(told).to.deep.equal(Object.fromEntries(all.filter(([, value]) => value !== Infinity)));
  });

  for (const page of pages) {
    for (const snippet of page.snippets.filter(({ run: runs }) => runs)) {
      it(`${snippet.place} prints what the page says`, async () => {
        expect(snippet.prints, 'the text block that follows').not.to.equal('');
        const printed = await printedBy(moduleOf(page, snippet.module));
        expectLike(printed, snippet.prints);
      });
    }
    for (const { place, module } of page.snippets.filter(isTest)) {
      it(`${place} is a test that passes`, async () => {
        const { code, output } = await run(process.execPath, [MOCHA, '--no-config', moduleOf(page, module)]);
        expect(code, output).to.equal(0);
        expect(output).to.match(/[1-9]\d* passing/);
      });
    }
    if (page.console.length > 0) {
      it(`${page.name} shows what its main.ts answers`, async () => {
        const server = spawn(process.execPath, [moduleOf(page, 'main')], {
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        try {
          const [line] = (await once(createInterface({ input: server.stdout }), 'line')) as [string];
          await replay(page, /http:\/\/\S+/.exec(line)?.[0] ?? '');
        } finally {
          const exit = once(server, 'exit');
          server.kill('SIGKILL');
          await exit;
        }
      });
    }
  }
});

/** Whether a text has a word of its own, in the singular or the plural, and not as a part of a path or a name. */
function mentions(text: string, word: string): boolean {
  return new RegExp(`(?<![\\w/.-])${word}s?(?![\\w/-])`).test(text.replace(/\s+/g, ' '));
}

/** Rows of a table that name a limit or a time-out, with the default as a number: bytes, milliseconds or a count. */
function limitsOf(page: string): (readonly [name: string, value: number])[] {
  const units: Record<string, number> = { KiB: 1_024, MiB: 1_048_576, s: 1_000 };
  const rows = page.matchAll(/^\| [^|]+ \| ([\d,]+)(?: (\w+))? \|.* `((?:limits|timeouts)\.\w+)`.*$/gm);
  return [...rows].map(([, count = '', unit = '', name = '']) => [
    name,
    Number(count.replaceAll(',', '')) * (units[unit] ?? 1),
  ]);
}

function isTest({ module }: Snippet): boolean {
  return module.endsWith('.test');
}

/** Compares what was printed with what the page shows, where `…` stands for anything. */
function expectLike(printed: string, shown: string): void {
  const pattern = shown.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  if (!new RegExp(`^${pattern.join('.*')}$`).test(printed)) expect(printed).to.equal(shown);
}

/** Imports a module, and gives what it printed by `console.log`. */
async function printedBy(module: string): Promise<string> {
  const { log } = console;
  const lines: string[] = [];
  console.log = (...values: unknown[]) => void lines.push(values.map(String).join(' '));
  try {
    await import(module);
  } finally {
    console.log = log;
  }
  return lines.join('\n').trimEnd();
}

/** Does what the console blocks of a page show: `$ curl …` with its answer, `$ … wscat …` with `<` and `>`. */
async function replay(page: Page, origin: string): Promise<void> {
  const commands = page.console.join('\n').split(/^\$ /m).slice(1);
  const known = commands.filter((command) => /^curl |wscat /.test(command));
  expect(known).not.to.have.length(0);
  for (const command of known) {
    const [first = '', ...rest] = command.trimEnd().split('\n');
    await (first.startsWith('curl') ? curl : wscat)(
      first.replace(/\b(ws:\/\/)?localhost:3000/, origin),
      rest,
    );
  }
}

/** Header fields of a command, `-H 'name: value'` each. */
function headersOf(command: string): Record<string, string> {
  const fields = [...command.matchAll(/-H '([^:]+): ([^']+)'/g)];
  return Object.fromEntries(fields.map(([, name = '', value = '']) => [name, value]));
}

async function curl(command: string, answer: readonly string[]): Promise<void> {
  const body = /-d '([^']*)'/.exec(command)?.[1];
  const leave = new AbortController();
  const response = await fetch(/http:\S+/.exec(command)?.[0] ?? '', {
    method: body === undefined ? 'GET' : 'POST',
    headers: headersOf(command),
    body,
    signal: leave.signal,
  });
  let text = '';
  const lines = answer.join('\n').trimEnd();
  for await (const chunk of response.body ?? []) {
    text += Buffer.from(chunk).toString();
    // A stream goes on: what is shown of it is enough.
    if (command.includes('-N') && text.split('\n').length > answer.length) break;
  }
  leave.abort();
  expectLike(text.trimEnd(), lines);
}

async function wscat(command: string, lines: readonly string[]): Promise<void> {
  const url = (/http:\S+/.exec(command)?.[0] ?? '').replace('http', 'ws');
  const socket = new WebSocket(url, { headers: headersOf(command) });
  const arrived: string[] = [];
  let wake = (): void => undefined;
  socket.on('message', (data) => {
    arrived.push(data.toString());
    wake();
  });
  await once(socket, 'open');
  for (const line of lines) {
    if (line.startsWith('> ')) socket.send(line.slice(2));
    if (!line.startsWith('< ')) continue;
    while (arrived.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    expectLike(arrived.shift() ?? '', line.slice(2));
  }
  socket.terminate();
}

function run(command: string, args: readonly string[]): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk) => (output += String(chunk)));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, output }));
  });
}

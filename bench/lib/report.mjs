import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem, type } from 'node:os';
import { fileURLToPath } from 'node:url';
import { PACKAGES } from './catalogue.mjs';
import { pinned } from './processes.mjs';
import { SECTIONS } from './sections.mjs';

const KEPT = new URL('../dist/results/', import.meta.url);
const DOCS = new URL('../../docs/', import.meta.url);

/** Keeps what a part has measured, so that the report can be put together from parts measured apart. */
export function keep(part, node, { rounds, seconds, connections }, outcome) {
  mkdirSync(KEPT, { recursive: true });
  const date = new Date().toISOString().slice(0, 10);
  const [major] = node.slice(1).split('.');
  const kept = { part, node, date, cpu: cpus()[0].model, rounds, seconds, connections, outcome };
  writeFileSync(new URL(`${part}-${major}.json`, KEPT), JSON.stringify(kept, null, 2));
}

/** Writes docs/benchmarks.md and its charts from all that is kept, and gives the names of the files. */
export function write() {
  const kept = existsSync(KEPT)
    ? readdirSync(KEPT).map((name) => JSON.parse(readFileSync(new URL(name, KEPT))))
    : [];
  if (kept.length === 0) throw new Error('nothing has been measured yet');
  const versions = [...new Set(kept.map(({ node }) => node))].sort(
    (a, b) => Number(major(a)) - Number(major(b)),
  );
  const charts = [];
  const chart = (name, svg) => {
    writeFileSync(new URL(name, DOCS), svg);
    charts.push(`docs/${name}`);
    return name;
  };
  mkdirSync(DOCS, { recursive: true });
  const text = [OPENING, measured(kept, versions)];
  for (const version of versions) {
    text.push(`## Node ${version.slice(1)}`);
    for (const [part, section] of Object.entries(SECTIONS)) {
      const found = kept.find((one) => one.part === part && one.node === version);
      if (found !== undefined)
        text.push(...section(found, (name, svg) => chart(`benchmarks-${name}-${major(version)}.svg`, svg)));
    }
    const missing = kept.filter(({ node }) => node === version).flatMap(leftOut);
    if (missing.length > 0) text.push('### Left out', missing.join('\n'));
  }
  writeFileSync(new URL('benchmarks.md', DOCS), `${text.join('\n\n')}\n`);
  return ['docs/benchmarks.md', ...charts];
}

const OPENING = `# Benchmarks

How \`coequal\` compares with a hand-written server and with other frameworks. All results are reported, the bad ones too.
\`npm run bench\` runs the benchmarks and writes this page; \`npm run bench -- --help\` shows how to run a part.

Ratios are relative to the hand-written server, which is 1.00: more is faster. In brackets: the lowest and the highest ratio
of the rounds.`;

function measured(kept, versions) {
  const { cpu, date } = kept[kept.length - 1];
  const taken = kept
    .map(({ part, node, rounds, seconds }) => `${part} ${rounds} × ${seconds} s (Node ${major(node)})`)
    .join(', ');
  const dates = [...new Set(kept.map((one) => one.date))].sort((a, b) => a.localeCompare(b));
  return `## How it was measured

- **Machine:** ${cpu.trim()}, ${cpus().length} logical processors, ${Math.round(totalmem() / 2 ** 30)} GiB, ${type()} ${release()}. Node ${versions.map((version) => version.slice(1)).join(' and ')}. ${dates.join(', ') || date}.
- **Processes:** each server has a process of its own and \`NODE_ENV=production\`. ${pinned ? 'It is pinned to the first core and the load to the second.' : 'Nothing is pinned: the system has no `taskset`, or one core.'} All traffic is on the loopback interface.
- **Rounds:** interleaved: each round goes through all servers, starting with a different one. Ratios are computed within a round; the median of the rounds is shown. ${taken}.
- **The same work:** before the measurement, each server's responses (status, type, body, headers set by middleware, rejection by the guard) are compared with the expected ones; a server that responds differently is left out.
- **Load:** \`wrk\` for HTTP, one thread and 64 connections. The speed of this machine varies from one second to the next, so within a round the servers take turns of 50 ms, while the \`wrk\` of the others is paused; so do echoes and broadcasts. Sockets and streams are loaded by a client of our own (\`bench/lib/load*.mjs\`): raw TCP, frames masked in advance, 64 connections for echoes and 1,000 receivers for broadcasts, with every reply and delivery counted. "Server busy" is the share of its core that the server used; if it is well below 1, the client was the bottleneck, and the ratio is understated.
- **Memory:** heap and buffers after a forced garbage collection, divided by the number of connections; resident memory beside it.
- **Secure defaults** of \`coequal\` (limits, timeouts, heartbeat, origin check) are on.
- **Versions:** ${[`coequal ${own()}`, ...PACKAGES.map((name) => `${name} ${versionOf(name)}`)].join(', ')}; \`wrk\` ${wrkVersion()}.`;
}

/** Outcomes are nested by what they measured; every level may have left something out. */
function leftOut({ part, outcome }) {
  const found = [];
  const visit = (value) => {
    if (value === null || typeof value !== 'object') return;
    for (const [name, reason] of Object.entries(value.leftOut ?? {})) {
      found.push(`- ${part}, ${name}: ${reason.split('\n')[0].replace(/\/\S*\//g, '')}`);
    }
    for (const [key, inner] of Object.entries(value)) if (key !== 'leftOut') visit(inner);
  };
  visit(outcome);
  return found;
}

function major(version) {
  return version.slice(1).split('.')[0];
}

function own() {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url))).version;
}

function versionOf(name) {
  return JSON.parse(
    readFileSync(fileURLToPath(new URL(`../node_modules/${name}/package.json`, import.meta.url))),
  ).version;
}

/** wrk tells its version and ends with 1. */
function wrkVersion() {
  try {
    return execFileSync('wrk', ['--version'], { encoding: 'utf8' });
  } catch (error) {
    return /wrk \S*?(\d+\.\d+\.\d+)/.exec(String(error.stdout))?.[1] ?? 'missing';
  }
}

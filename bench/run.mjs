import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, readdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const USAGE = `npm run bench                     all parts, and docs/benchmarks.md
npm run bench -- quick            the main ratios of coequal to what is written by hand, in three minutes
npm run bench -- realistic|http|echo|broadcast|idle|growth   some of the parts
npm run bench -- report           docs/benchmarks.md again, from the results that are kept

  --only a,b        only these applications (the hand-written one is always with them)
  --rounds n        interleaved rounds of each measurement (5)
  --seconds n       seconds of each round (3)
  --connections n   idle connections (10000)
  --node a,b        measure with these Node executables instead of this one, one after the other
  --before DIR      with quick: another checkout, installed and built; every ratio is this one to that one`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: 'string' },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    connections: { type: 'string', default: '10000' },
    node: { type: 'string', default: process.execPath },
    before: { type: 'string' },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

prepare(HERE);
if (values.before !== undefined) {
  const before = `${resolve(values.before)}/bench/`;
  prepare(before);
  lend(before);
}
const { parts } = await import('./parts/index.mjs');
const { stopAll } = await import('./lib/processes.mjs');
const { keep, write } = await import('./lib/report.mjs');
const { quick } = await import('./parts/quick.mjs');

const wanted = positionals.length > 0 ? positionals : Object.keys(parts);
const unknown = wanted.filter((name) => name !== 'quick' && name !== 'report' && !(name in parts));
if (values.help || unknown.length > 0) {
  console.log(USAGE);
  process.exit(unknown.length > 0 ? 1 : 0);
}
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stopAll().then(() => process.exit(1)));

try {
  for (const node of values.node.split(',')) await measureWith(node);
  if (!wanted.includes('quick')) console.log(`written: ${write().join(', ')}`);
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  await stopAll();
}

async function measureWith(node) {
  const version = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim();
  const given = { node, connections: Number(values.connections), pick, log: (line) => console.log(line) };
  if (values.before !== undefined) given.before = pathToFileURL(`${resolve(values.before)}/bench/`);
  if (values.rounds !== undefined) given.rounds = Number(values.rounds);
  if (values.seconds !== undefined) given.seconds = Number(values.seconds);
  for (const name of wanted) {
    if (name === 'report') continue;
    console.log(`\n${name}, Node ${version}`);
    if (name === 'quick') await quick(given);
    else {
      const options = { rounds: 5, seconds: 3, ...given };
      keep(name, version, options, await parts[name](options));
    }
  }
}

/** The first entry is what the others are measured against, and is always taken. */
function pick(entries) {
  if (values.only === undefined) return entries;
  const names = values.only.split(',');
  return entries.filter(({ name }, index) => index === 0 || names.includes(name));
}

/** An older checkout lacks the applications that came later: it runs those of this one, with its own coequal. */
function lend(bench) {
  for (const source of readdirSync(`${HERE}apps`, { recursive: true, encoding: 'utf8' })) {
    if (!source.endsWith('.ts') || existsSync(`${bench}apps/${source}`)) continue;
    const compiled = `dist/${source.replace(/ts$/, 'js')}`;
    cpSync(HERE + compiled, bench + compiled);
  }
}

/** The peers are installed at the first run; the applications written in TypeScript are compiled at each. */
function prepare(bench) {
  const windows = process.platform === 'win32';
  if (!existsSync(`${bench}node_modules`)) {
    console.log('installing what is compared (bench/package.json) …');
    execFileSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: bench, stdio: 'inherit', shell: windows });
  }
  if (!existsSync(`${bench}../dist/src/index.js`))
    console.error('coequal is not built: `npm run build` first');
  const tsc = `${bench}node_modules/typescript/bin/tsc`;
  const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', bench], { encoding: 'utf8' });
  if (status !== 0) console.error(stdout);
}

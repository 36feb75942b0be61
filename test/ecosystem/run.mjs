import { spawnSync } from 'node:child_process';
import { rmSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

// The packages are installed when the lockfile has changed; the suite is compiled against the built coequal each time.
const cwd = fileURLToPath(new URL('.', import.meta.url));
if (changed(`${cwd}package-lock.json`) > changed(`${cwd}node_modules/.package-lock.json`)) {
  console.log('installing the middleware and libraries (test/ecosystem/package.json) …');
  const quiet = ['--no-audit', '--no-fund', '--ignore-scripts', '--omit=peer', '--loglevel=error'];
  run('npm', ['ci', ...quiet], process.platform === 'win32');
}
rmSync(`${cwd}dist`, { recursive: true, force: true });
run(process.execPath, ['../../node_modules/typescript/bin/tsc', '-p', '.']);
run(process.execPath, ['../../node_modules/mocha/bin/mocha.js', ...process.argv.slice(2)]);

function changed(file) {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

function run(command, args, shell = false) {
  // Express prints errors that it answers, except in tests.
  const env = { ...process.env, NODE_ENV: 'test' };
  const { status } = spawnSync(command, args, { cwd, env, stdio: 'inherit', shell });
  if (status !== 0) process.exit(status ?? 1);
}

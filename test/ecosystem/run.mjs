import { spawnSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

// The packages are installed at the first run; the suite is compiled against the built coequal at each.
const cwd = fileURLToPath(new URL('.', import.meta.url));
if (!existsSync(`${cwd}node_modules`)) {
  console.log('installing the middleware and libraries (test/ecosystem/package.json) …');
  run('npm', ['ci', '--no-audit', '--no-fund'], process.platform === 'win32');
}
rmSync(`${cwd}dist`, { recursive: true, force: true });
run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', '.']);
run(process.execPath, ['node_modules/mocha/bin/mocha.js', ...process.argv.slice(2)]);

function run(command, args, shell = false) {
  const { status } = spawnSync(command, args, { cwd, stdio: 'inherit', shell });
  if (status !== 0) process.exit(status ?? 1);
}

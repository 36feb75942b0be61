import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import mocha from 'mocha';

const PAGE = fileURLToPath(new URL('../../../docs/faults.md', import.meta.url));

const OPENING = `# Fault tests

Hostile input and failures that must not break an application, as the suite in \`test/faults\` sends them over real sockets. After
each case, a request and a socket that was open before it check that nothing else was affected. \`npm run faults\` runs this suite
and writes this page.

| group | cases | passed |
| --- | ---: | ---: |`;

interface Group {
  run: number;
  held: number;
}

/** Mocha's usual report, and the table of docs/faults.md: one row for each suite within a group. */
export default class FaultsReporter extends mocha.reporters.Spec {
  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options);
    const groups = new Map<string, Group>();
    const count = (test: Mocha.Test, held: 0 | 1): void => {
      const name = test.titlePath().slice(0, -1).slice(0, 2).join(': ');
      const group = groups.get(name) ?? { run: 0, held: 0 };
      groups.set(name, { run: group.run + 1, held: group.held + held });
    };
    runner.on('pass', (test) => count(test, 1));
    // A hook that fails is a case that was not held.
    runner.on('fail', (test) => count(test, 0));
    runner.on('end', () => writeFileSync(PAGE, page(groups)));
  }
}

function page(groups: ReadonlyMap<string, Group>): string {
  const rows = [...groups].sort(([a], [b]) => a.localeCompare(b));
  const sum = (of: keyof Group): number => rows.reduce((total, [, group]) => total + group[of], 0);
  return [
    OPENING,
    ...rows.map(([name, { run, held }]) => `| ${name} | ${run} | ${held} |`),
    `| **all** | **${sum('run')}** | **${sum('held')}** |`,
    '',
  ].join('\n');
}

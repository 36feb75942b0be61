import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** What `unless` needs of mocha's context: `this` of a hook or a test. */
export type Skippable = Pick<Mocha.Context, 'skip' | 'test'>;

export interface UnlessOptions {
  /** Whether a skip is a failure. By default, whether `CI` is `true`. */
  ci?: boolean;
  print?: (line: string) => void;
}

/**
 * Lets a suite run unless something is missing, and says in one line what is skipped and how to get it.
 * Call it in `before`: `unless(!executable('redis-server') && 'redis-server', 'apt-get install redis-server', this)`.
 *
 * @throws Error under CI, where a skipped suite is a failure.
 */
export function unless(
  missing: string | undefined | false,
  remedy: string,
  suite: Skippable,
  { ci = process.env['CI'] === 'true', print = console.warn }: UnlessOptions = {},
): void {
  if (missing === undefined || missing === false) return;
  const line = `${title(suite)}: ${missing} is missing; to get it: ${remedy}`;
  if (ci) throw new Error(line);
  print(`skipped: ${line}`);
  suite.skip();
}

/** The path of the program that a shell would run by this name, `undefined` where there is none. */
export function executable(name: string): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  // Where Debian installs servers, on the path of root alone.
  folders.push('/usr/sbin');
  return folders.map((folder) => join(folder, name)).find(runs);
}

function title({ test }: Skippable): string {
  const hook = test !== undefined && 'type' in test && test.type === 'hook';
  return (hook ? test.parent : test)?.fullTitle() ?? 'this suite';
}

function runs(path: string): boolean {
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) return false;
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** A program of `test/fixtures` in a process of its own, that tells its address first, and then what it likes. */
export class Child {
  readonly told: unknown[] = [];
  readonly exit: Promise<[code: number | null, signal: NodeJS.Signals | null]>;
  stderr = '';
  url = '';

  private constructor(readonly process: ChildProcess) {
    this.exit = once(process, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
    process.on('message', (message) => this.told.push(message));
    process.stderr?.on('data', (text: Buffer) => (this.stderr += text.toString()));
  }

  static async start(fixture: string, args: string[] = [], execArgv: string[] = []): Promise<Child> {
    const path = fileURLToPath(new URL(`../fixtures/${fixture}.js`, import.meta.url));
    const stdio = ['ignore', 'inherit', 'pipe', 'ipc'] as const;
    const child = new Child(fork(path, args, { stdio: [...stdio], execArgv }));
    child.url = (await child.until((message) => typeof message === 'string')) as string;
    return child;
  }

  /** The first that it tells and that is meant. @throws Error if it ends before. */
  async until(meant: (message: unknown) => boolean): Promise<unknown> {
    for (;;) {
      const found = this.told.find(meant);
      if (found !== undefined) return found;
      if (this.process.exitCode !== null) throw new Error(`the process has ended: ${this.stderr}`);
      await Promise.race([once(this.process, 'message'), this.exit]);
    }
  }

  kill(signal: NodeJS.Signals): void {
    this.process.kill(signal);
  }
}

/** Starts programs for one test each: they are ended when it is over. Called in a `describe`. */
export function children(): typeof Child.start {
  const started: Child[] = [];
  afterEach(() => {
    for (const child of started.splice(0)) child.kill('SIGKILL');
  });
  return async (...given) => {
    const child = await Child.start(...given);
    started.push(child);
    return child;
  };
}

import { EventEmitter, once } from 'node:events';
import type { Logger } from 'coequal';

/** What has happened, in order, for tests that wait for it instead of sleeping. */
export class Journal {
  readonly entries: string[] = [];
  readonly #added = new EventEmitter();

  note(entry: string): void {
    this.entries.push(entry);
    this.#added.emit('added');
  }

  count(entry: string): number {
    return this.entries.filter((one) => one === entry).length;
  }

  /** Resolves when `entry` has been noted `times` times; a test that waits in vain is ended by its runner. */
  async until(entry: string, times = 1): Promise<void> {
    while (this.count(entry) < times) await once(this.#added, 'added');
  }
}

export interface LogLine {
  level: 'info' | 'warn' | 'error';
  fields: Record<string, unknown>;
  message: string;
}

/** A logger that keeps what it is told. */
export class Recorder implements Logger {
  readonly lines: LogLine[] = [];

  info = this.#level('info');
  warn = this.#level('warn');
  error = this.#level('error');

  at(level: LogLine['level']): LogLine[] {
    return this.lines.filter((line) => line.level === level);
  }

  #level(level: LogLine['level']): (fields: object, message: string) => void {
    return (fields, message) => void this.lines.push({ level, fields: { ...fields }, message });
  }
}

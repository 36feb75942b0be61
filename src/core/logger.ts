import { inspect } from 'node:util';
import { isThenable } from './thenable.js';

/** What the application writes its log to: pino, or anything of its shape. */
export interface Logger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** One line on standard error for each warning and error, with the stack of what was thrown. */
export const consoleLogger: Logger = {
  info() {},
  warn: (fields, message) => console.warn(line('warn', fields, message)),
  error: (fields, message) => console.error(line('error', fields, message)),
};

/** The logger of an application that was told `logger: false`. */
export const silentLogger: Logger = { info() {}, warn() {}, error() {} };

/** A logger whose failure is no failure of what it tells of: standard error has the line instead. */
export function careful(logger: Logger): Logger {
  const guarded = (level: keyof Logger) => (fields: object, message: string) => {
    const failed = (err: unknown): void => {
      onConsole('error', { err }, 'the logger failed');
      onConsole(level, fields, message);
    };
    try {
      const written: unknown = logger[level](fields, message);
      if (isThenable(written)) void Promise.resolve(written).then(undefined, failed);
    } catch (error) {
      failed(error);
    }
  };
  return { info: guarded('info'), warn: guarded('warn'), error: guarded('error') };
}

/** The line, or as much of it as can be written: what was thrown may throw when it is looked at. */
function onConsole(level: keyof Logger, fields: object, message: string): void {
  try {
    consoleLogger[level](fields, message);
  } catch {
    console.error(`${level}: ${message}`);
  }
}

function line(level: string, fields: object, message: string): string {
  const { err, ...rest } = fields as { err?: unknown };
  const facts = Object.keys(rest).length > 0 ? ` ${JSON.stringify(rest)}` : '';
  return `${level}: ${message}${facts}${err === undefined ? '' : `\n${stack(err)}`}`;
}

function stack(error: unknown, told = new Set<unknown>()): string {
  if (!(error instanceof Error)) return typeof error === 'string' ? error : inspect(error);
  const own = error.stack ?? String(error);
  told.add(error);
  // An error may be its own cause.
  return error.cause === undefined || told.has(error.cause)
    ? own
    : `${own}\ncaused by: ${stack(error.cause, told)}`;
}

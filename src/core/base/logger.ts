import { inspect } from 'node:util';
import { isThenable } from './promises.js';

/** What the application logs to: pino, or an object with these methods. */
export interface Logger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** C0 and C1 controls, DEL, the line and paragraph separators, and the marks that turn the direction of text. */
const CONTROLS = /[\p{Cc}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;
const CONTROLS_ALL = new RegExp(CONTROLS, 'gu');

/** One line on standard error for each warning and error, with the stack of what was thrown. */
export const consoleLogger: Logger = {
  info() {},
  warn: (fields, message) => console.warn(line('warn', fields, message)),
  error: (fields, message) => console.error(line('error', fields, message)),
};

/** The logger of an application that was told `logger: false`. */
export const silentLogger: Logger = { info() {}, warn() {}, error() {} };

/**
 * A logger whose failure is no failure of what it tells of: standard error has the line instead. It is given no control
 * characters in messages and fields, whoever made them: loggers that write lines of text would write those as well.
 */
export function guardLogger(logger: Logger): Logger {
  const guarded = (level: keyof Logger) => (given: object, text: string) => {
    const [fields, message] = [escapeFields(given), escapeControls(text)];
    const failed = (err: unknown): void => {
      onConsole('error', { err }, 'logger failed');
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

/** The fields, a copy only where one of their texts has controls: almost none has. */
function escapeFields(fields: object): object {
  let copy: Record<string, unknown> | undefined;
  for (const [name, value] of Object.entries(fields)) {
    if (typeof value !== 'string' || !CONTROLS.test(value)) continue;
    copy ??= { ...fields };
    copy[name] = escapeControls(value);
  }
  return copy ?? fields;
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
  const facts = Object.keys(rest).length > 0 ? ` ${escapeControls(JSON.stringify(rest))}` : '';
  return `${level}: ${escapeControls(message)}${facts}${err === undefined ? '' : `\n${stack(err)}`}`;
}

/**
 * Text on one line of a log, and nothing but text on a terminal: line breaks, escapes and other controls are escaped,
 * as are characters that reorder what surrounds them. A client would forge lines by them.
 */
export function escapeControls(text: string): string {
  if (!CONTROLS.test(text)) return text;
  return text.replace(CONTROLS_ALL, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** What was thrown, over several lines: those of its stack are ours, those of its message may be a client's. */
function escapeStack(error: Error, text: string): string {
  const message = String(error.message);
  const at = message === '' ? -1 : text.indexOf(message);
  if (at === -1) return escapeLines(text);
  const end = at + message.length;
  return escapeControls(text.slice(0, end)) + escapeLines(text.slice(end));
}

/** Several lines, all but the first indented: who can break a line still writes none that begins as ours do. */
function escapeLines(text: string): string {
  const [first = '', ...others] = text.split('\n').map(escapeControls);
  return [first, ...others.map((one) => (/^(?:\s|$)/.test(one) ? one : `    ${one}`))].join('\n');
}

function stack(error: unknown, told = new Set<unknown>()): string {
  if (typeof error === 'string') return `    ${escapeControls(error)}`;
  if (!(error instanceof Error)) return escapeLines(inspect(error));
  const own = escapeStack(error, error.stack ?? String(error));
  told.add(error);
  // An error may be its own cause.
  return error.cause === undefined || told.has(error.cause)
    ? own
    : `${own}\ncaused by: ${stack(error.cause, told)}`;
}

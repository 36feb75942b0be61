import { inspect } from 'node:util';
import { isThenable } from './promises.js';

/** Receives the log of the application: pino, or any object with these methods. */
export interface Logger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** C0 and C1 controls, DEL, line and paragraph separators, and marks that change the direction of text. */
const CONTROLS = /[\p{Cc}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;
const CONTROLS_ALL = new RegExp(CONTROLS, 'gu');

/** Writes a line to standard error for each warning and error, with the stack of the error. */
export const consoleLogger: Logger = {
  info() {},
  warn: (fields, message) => console.warn(line('warn', fields, message)),
  error: (fields, message) => console.error(line('error', fields, message)),
};

/** The logger for `logger: false`. */
export const silentLogger: Logger = { info() {}, warn() {}, error() {} };

/**
 * A logger that never throws: if the given one fails, the line goes to standard error. It escapes control characters in
 * messages and fields, because loggers that write lines of text would write them as they are.
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

/** The fields; a copy only if one of their texts has control characters. */
function escapeFields(fields: object): object {
  let copy: Record<string, unknown> | undefined;
  for (const [name, value] of Object.entries(fields)) {
    if (typeof value !== 'string' || !CONTROLS.test(value)) continue;
    copy ??= { ...fields };
    copy[name] = escapeControls(value);
  }
  return copy ?? fields;
}

/** Writes the line, or its message alone if the error throws when it is inspected. */
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
 * Escapes line breaks, terminal escapes, other control characters and marks that reorder text. A client could forge log lines
 * with them.
 */
export function escapeControls(text: string): string {
  if (!CONTROLS.test(text)) return text;
  return text.replace(CONTROLS_ALL, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Escapes a stack: its own lines stay lines, those of the message, which may be a client's, do not. */
function escapeStack(error: Error, text: string): string {
  const message = String(error.message);
  const at = message === '' ? -1 : text.indexOf(message);
  if (at === -1) return escapeLines(text);
  const end = at + message.length;
  return escapeControls(text.slice(0, end)) + escapeLines(text.slice(end));
}

/** Several lines, indented from the second on, so that no line of a client begins like one of the log. */
function escapeLines(text: string): string {
  const [first = '', ...others] = text.split('\n').map(escapeControls);
  return [first, ...others.map((one) => (/^(?:\s|$)/.test(one) ? one : `    ${one}`))].join('\n');
}

function stack(error: unknown, seen = new Set<unknown>()): string {
  if (typeof error === 'string') return `    ${escapeControls(error)}`;
  if (!(error instanceof Error)) return escapeLines(inspect(error));
  const own = escapeStack(error, error.stack ?? String(error));
  seen.add(error);
  // An error may be its own cause.
  return error.cause === undefined || seen.has(error.cause)
    ? own
    : `${own}\ncaused by: ${stack(error.cause, seen)}`;
}

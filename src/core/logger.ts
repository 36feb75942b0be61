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

function line(level: string, fields: object, message: string): string {
  const { err, ...rest } = fields as { err?: unknown };
  const facts = Object.keys(rest).length > 0 ? ` ${JSON.stringify(rest)}` : '';
  return `${level}: ${message}${facts}${err === undefined ? '' : `\n${stack(err)}`}`;
}

function stack(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = error.stack ?? String(error);
  return error.cause === undefined ? own : `${own}\ncaused by: ${stack(error.cause)}`;
}

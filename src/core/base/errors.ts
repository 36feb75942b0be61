import { STATUS_CODES, type OutgoingHttpHeaders } from 'node:http';
import { codeOfStatus, type ConfigurationErrorCode } from './error-codes.js';

/** A problem document (RFC 9457), as clients receive it. `errors` lists the invalid parts of the input. */
export interface Problem {
  type?: string;
  title: string;
  status: number;
  /** A stable name of the error for programs: `INVALID_INPUT`. */
  code: string;
  detail?: string;
  requestId?: string;
  errors?: Violation[];
  [extension: string]: unknown;
}

/** One invalid part of the input: its path, such as `items.0.price`, and what is wrong with it. */
export interface Violation {
  path: string;
  message: string;
}

/** Options of `HttpError`. */
export interface HttpErrorOptions {
  /** A stable name of the error for programs, such as `OUT_OF_STOCK`; that of the status by default, such as `CONFLICT`. */
  code?: string;
  /** The error that led here. It is logged with errors of 500 or more, and never sent to the client. */
  cause?: unknown;
  /** Header fields of the response, such as `WWW-Authenticate` or `Retry-After`. */
  headers?: OutgoingHttpHeaders;
  /** Further members of the problem document. */
  extensions?: Record<string, unknown>;
}

/**
 * An error that the client may see. Before the head it is a response with `status` and a problem document (RFC 9457). For a
 * message of a socket it is an `{ error }` reply, for a call a JSON-RPC error. In a socket method that runs once it sets the
 * close code.
 *
 * @example
 * ```ts
 * throw new HttpError(409, 'The account is locked', {
 *   code: 'ACCOUNT_LOCKED',
 *   headers: { 'retry-after': '60' },
 *   extensions: { lockedUntil: '2026-02-01' },
 * });
 * ```
 */
export class HttpError extends Error {
  readonly status: number;
  readonly code: string;
  readonly detail: string | undefined;
  readonly headers: OutgoingHttpHeaders | undefined;
  readonly extensions: Record<string, unknown> | undefined;

  /**
   * @param status a status of an error: 400 to 599
   * @param detail what went wrong, for the client; the name of the status by default
   * @throws TypeError for any other status
   */
  constructor(status: number, detail?: string, { code, cause, headers, extensions }: HttpErrorOptions = {}) {
    super(detail ?? STATUS_CODES[status] ?? `Status ${status}`, cause === undefined ? undefined : { cause });
    if (!Number.isInteger(status) || status < 400 || status > 599) {
      throw new TypeError(`HttpError takes a status from 400 to 599, not ${String(status)}`);
    }
    this.name = 'HttpError';
    this.status = status;
    this.code = code ?? codeOfStatus(status);
    this.detail = detail;
    this.headers = headers;
    this.extensions = extensions;
  }
}

/**
 * A mistake in the program, found at start-up. The message names class, method, parameter and remedy; docs/errors.md lists the
 * codes.
 */
export class ConfigurationError extends Error {
  readonly code: ConfigurationErrorCode;

  constructor(
    message: string,
    { code = 'INVALID_OPTION', ...options }: ErrorOptions & { code?: ConfigurationErrorCode } = {},
  ) {
    super(message, options);
    this.name = 'ConfigurationError';
    this.code = code;
  }
}

/** The client has disconnected before its response was complete. The server has not failed. */
export class Disconnected extends Error {
  constructor(message = 'the client has disconnected') {
    super(message);
    this.name = 'AbortError';
  }
}

/** `thrown instanceof type`; false for a proxy that throws. */
export function safeInstanceof<T>(type: abstract new (...args: never[]) => T, thrown: unknown): thrown is T {
  try {
    return thrown instanceof type;
  } catch {
    return false;
  }
}

/** Whether an error is the `AbortError` of work that a signal has aborted. */
export function isAbort(thrown: unknown): boolean {
  try {
    return (thrown as Error | undefined)?.name === 'AbortError';
  } catch {
    return false;
  }
}

/** The problem document of an error. A `code` among the extensions takes the place of the error's own. */
export function problem({ status, code, detail, extensions }: HttpError, requestId?: string): Problem {
  const document: Problem = { code, ...extensions, title: STATUS_CODES[status] ?? 'Error', status };
  if (detail !== undefined) document.detail = detail;
  if (requestId !== undefined) document.requestId = requestId;
  return document;
}

/** The close code (RFC 6455, section 7.4) for an error of a socket's method. */
export function closeCode({ status }: HttpError): number {
  return CLOSE_CODES.get(status) ?? 4000 + status;
}

const CLOSE_CODES = new Map([
  [401, 3000],
  [403, 3003],
  [408, 3008],
  [503, 1013],
]);

/** A limit has rejected an exchange. That is load shedding, not a failure of the server. */
export class LimitReached extends HttpError {}

/** A text cut to the 123 bytes that the reason of a close frame may have (RFC 6455, section 5.5). */
export function closeReason(text: string): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= 123) return text;
  // A character that was cut in two decodes to U+FFFD.
  return bytes
    .subarray(0, 123)
    .toString()
    .replace(/\uFFFD$/, '');
}

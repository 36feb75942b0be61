import type { OutgoingHttpHeaders } from 'node:http';
import type { Context } from './context.js';
import { HttpError, safeInstanceof } from '../base/errors.js';
import { isThenable } from '../base/promises.js';

declare module './environment.js' {
  interface Environment {
    /**
     * Reports an error to the route's `onError`, the application's, and the log. Gives what the client may see of it,
     * later where an `onError` is asynchronous.
     */
    report(error: unknown, context: Context, onError?: OnError): HttpError | Promise<HttpError>;
  }
}

/** What maps errors: of the application, or of one socket's route. */
export type OnError = (error: unknown, ctx: Context) => unknown;

/** The error as the client may see it: one that says its status keeps it, all others are a bare 500. */
export function toHttpError(error: unknown): HttpError {
  return known(error) ?? new HttpError(500, undefined, { cause: error });
}

/**
 * An error that says which status it stands for: an `HttpError`, or one of the shape that `http-errors`, body-parser
 * and express-jwt share: `status` or `statusCode`, `headers`, and `expose`, without which its
 * message is not shown.
 */
export function known(error: unknown): HttpError | undefined {
  if (safeInstanceof(HttpError, error)) return error;
  if (typeof error !== 'object' || error === null) return undefined;
  try {
    const { status, statusCode, expose, message, headers } = error as Record<string, unknown>;
    const code = [status, statusCode].find(isErrorStatus);
    if (code === undefined) return undefined;
    const detail = expose === true && typeof message === 'string' ? message : undefined;
    return new HttpError(code, detail, { cause: error, headers: fieldsOf(headers) });
  } catch {
    // A proxy that throws when it is asked says nothing.
    return undefined;
  }
}

/**
 * What `onError` makes of an error, of several the first that maps it; later where one of them is asynchronous.
 * That one fails itself is logged, and the error is what it was.
 */
export function applyOnError(
  hooks: readonly (OnError | undefined)[],
  error: unknown,
  ctx: Context,
): HttpError | undefined | Promise<HttpError | undefined> {
  const [hook, ...others] = hooks;
  if (hooks.length === 0) return undefined;
  if (hook === undefined) return applyOnError(others, error, ctx);
  const next = (result: unknown): ReturnType<typeof applyOnError> =>
    safeInstanceof(HttpError, result) ? result : applyOnError(others, error, ctx);
  const fail = (err: unknown): ReturnType<typeof applyOnError> => {
    ctx.environment.logger.error({ err, requestId: ctx.id }, 'onError failed');
    return applyOnError(others, error, ctx);
  };
  try {
    const result = hook(error, ctx);
    if (!isThenable(result)) return next(result);
    return within(ctx.environment.timeouts.handshake, result).then(next, fail);
  } catch (err) {
    return fail(err);
  }
}

/** Goes on with an error's visible form: at once where it is known, as it is without an asynchronous `onError`. */
export function whenShown<T>(
  shown: HttpError | Promise<HttpError>,
  next: (shown: HttpError) => T,
): T | Promise<T> {
  return isThenable(shown) ? (shown as Promise<HttpError>).then(next) : next(shown as HttpError);
}

/** The result, within a time: a client would wait for ever for the answer to an error. @throws Error afterwards. */
async function within(limit: number, result: PromiseLike<unknown>): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined = undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`onError did not return within ${limit} ms`)), limit);
  });
  try {
    return await Promise.race([Promise.resolve(result), late]);
  } finally {
    clearTimeout(timer);
  }
}

function isErrorStatus(status: unknown): status is number {
  return Number.isInteger(status) && (status as number) >= 400 && (status as number) <= 599;
}

/** Fields that an error wants in its response, without those that the response itself decides. */
function fieldsOf(headers: unknown): OutgoingHttpHeaders {
  if (typeof headers !== 'object' || headers === null) return {};
  return Object.fromEntries(
    Object.entries(headers).filter(
      ([name, value]) => NAME.test(name) && !OWN.test(name) && isFieldValue(value),
    ),
  ) as OutgoingHttpHeaders;
}

/** Fields that the response decides itself: of its body, of its framing, and of its connection. */
const OWN =
  /^(?:content-.*|transfer-encoding|trailer|keep-alive|te|proxy-connection|connection|upgrade|set-cookie)$/i;
const NAME = /^[!#$%&'*+.^_`|~\w-]+$/;

function isFieldValue(value: unknown): boolean {
  if (Array.isArray(value)) return value.every((one) => isFieldValue(one));
  return typeof value === 'number' || (typeof value === 'string' && /^[\t\x20-\x7e\x80-\xff]*$/.test(value));
}

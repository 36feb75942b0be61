import type { Context } from '../../core/exchange/context.js';
import { ConfigurationError, HttpError } from '../../core/base/errors.js';
import { known } from '../../core/exchange/shown-error.js';
import { isThenable } from '../../core/base/promises.js';

/** Decides whether an exchange may read the channel that `params` select: only `true`, or a promise of it, admits it. */
export type Authorize = (ctx: Context, params: Readonly<Record<string, string>>) => unknown;

/** An injectable class with a method `authorize`, and services of its own. */
export type AuthorizeClass = new (...args: never[]) => { authorize: Authorize };

/**
 * Returns `value` if `authorize` returns `true`, or a promise of it.
 * @throws HttpError 403 otherwise, or the `HttpError` that `authorize` throws. Other errors are logged.
 */
export function admit<T>(authorize: Authorize, ctx: Context, template: string, value: T): T | Promise<T> {
  const decide = (allowed: unknown): T => {
    if (allowed === true) return value;
    throw denied();
  };
  const fail = (error: unknown): never => {
    // If the client has left, the error is most often a consequence of that.
    if (known(error) !== undefined || ctx.ended) throw error;
    const { environment, id: requestId } = ctx;
    environment.logger.error({ err: error, channel: template, requestId }, 'authorize of a channel failed');
    throw denied(error);
  };
  let allowed: unknown;
  try {
    allowed = authorize(ctx, ctx.params);
    if (isThenable(allowed)) return Promise.resolve(allowed).then(decide, fail);
  } catch (error) {
    return fail(error);
  }
  return decide(allowed);
}

/** Whether it is a class with a method `authorize`, not a function. */
export function isAuthorizeClass(authorize: Authorize | AuthorizeClass): authorize is AuthorizeClass {
  const { prototype } = authorize as { prototype?: { authorize?: unknown } };
  return typeof prototype?.authorize === 'function';
}

/**
 * Rejects an `authorize` that is neither a function nor such a class. An explicit `undefined` is a mistake, too: it would
 * open the channel to everyone.
 * @throws ConfigurationError
 */
export function checkAuthorize(authorize: unknown, template: string): void {
  const wrong = wrongAuthorize(authorize);
  if (wrong === undefined) return;
  throw new ConfigurationError(
    `defineChannel('${template}'): authorize is ${wrong}. Give a function (ctx, params), or an injectable class with ` +
      'authorize(ctx, params); leave authorize out to let everyone read the channel',
    { code: 'INVALID_CHANNEL' },
  );
}

function wrongAuthorize(authorize: unknown): string | undefined {
  if (authorize === undefined) return 'undefined, most often because of a circular import';
  if (typeof authorize !== 'function') {
    return authorize === null
      ? 'null'
      : typeof authorize === 'object'
        ? 'an object'
        : `a ${typeof authorize}`;
  }
  const isClass = Object.getOwnPropertyDescriptor(authorize, 'prototype')?.writable === false;
  return isClass && !isAuthorizeClass(authorize as AuthorizeClass)
    ? `the class ${authorize.name}, which has no method authorize`
    : undefined;
}

function denied(cause?: unknown): HttpError {
  return new HttpError(403, 'The channel may not be read', { code: 'CHANNEL_FORBIDDEN', cause });
}

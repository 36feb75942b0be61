import { ConfigurationError } from '../base/errors.js';
import type { MethodMetadata } from '../routing/metadata.js';

/**
 * Refuses decorators that have no effect on a method.
 * @throws ConfigurationError for a method without a route but with other decorators, and for an `@HttpCode` that cannot apply
 */
export function checkMethod(name: string, method: MethodMetadata): void {
  if (method.routes.length === 0) refuseUnreachable(name, method);
  checkStatus(name, method);
}

/** A method without any decorator left may be a base for derived classes: that one is no mistake. */
function refuseUnreachable(
  name: string,
  { middleware, parameters, status, unguarded }: MethodMetadata,
): void {
  if (middleware.length === 0 && parameters.size === 0 && status === undefined && unguarded === undefined)
    return;
  const what = parameters.size > 0 ? 'decorated parameters' : 'middleware or a status';
  throw new ConfigurationError(
    `${name} has ${what} but no route: add @Get(), @Sse(), @WebSocket() or @Rpc()`,
    { code: 'INVALID_DECORATOR' },
  );
}

function checkStatus(name: string, { status, routes }: MethodMetadata): void {
  if (status === undefined) return;
  if (routes.length > 0 && routes.every(({ kind }) => kind === 'websocket' || kind === 'rpc')) {
    throw new ConfigurationError(
      `${name}: @HttpCode has no meaning on a socket or a call, which has no status of its own: remove it`,
      { code: 'INVALID_DECORATOR' },
    );
  }
  if (Number.isInteger(status) && status >= 200 && status <= 599) return;
  throw new ConfigurationError(
    `${name}: @HttpCode takes a whole number from 200 to 599, not ${String(status)}`,
    { code: 'INVALID_DECORATOR' },
  );
}

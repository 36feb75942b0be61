import type { DependencyContainer } from 'tsyringe';
import type { PerMessageDeflateOptions } from 'ws';
import type { Context } from '../exchange/context.js';
import type { Broker } from '../../live/broker/broker.js';
import type { UserId } from '../../live/connections/user-id.js';
import type { Class } from '../injection/injection.js';
import type { RegisteredUser } from '../base/registered-types.js';
import type { Logger } from '../base/logger.js';
import type { MiddlewareLike } from '../routing/middleware.js';
import { ConfigurationError } from '../base/errors.js';
import { LIMITS, TIMEOUTS, type Limits, type Timeouts } from '../exchange/limits.js';
import {
  callback,
  checkOptionsOf,
  COUNT,
  describe,
  isFunction,
  isObject,
  OBJECT,
  POSITIVE,
  SWITCH,
  TEXT,
  withMethods,
  type Check,
  type Checks,
} from '../base/option-checks.js';
import type { Validator } from '../parameters/validator.js';
import { originRule, type OriginPolicy } from '../routing/origins.js';

/** Options of `createApp`. */
export interface AppOptions {
  /** The controller classes. */
  controllers: readonly Class[];
  /** Runs around every exchange, in order, before the middleware of class and method; also if no route matches. */
  middleware?: readonly MiddlewareLike[];
  /** The parent of the application's own container; tsyringe's global one by default. */
  container?: DependencyContainer;
  /** pino, or any object with its `info`, `warn` and `error`. By default warnings and errors go to standard error; `false` for no log. */
  logger?: Logger | false;
  /**
   * Sees every error of every exchange, once. If it returns an `HttpError`, or a promise of one, the client gets that instead.
   * The response waits for it for at most `timeouts.handshake`.
   */
  onError?: (error: unknown, context: Context) => unknown;
  /**
   * Validates inputs that are declared as classes: `classValidator()` from `coequal/class-validator`, or your own. Without a
   * validator, such an input is an error at start-up.
   */
  validator?: Validator;
  /** Limits on what clients may send and occupy; see `Limits` for the defaults. */
  limits?: Partial<Limits>;
  /** Timeouts in milliseconds; see `Timeouts` for the defaults. */
  timeouts?: Partial<Timeouts>;
  /** Milliseconds between two pings or keep-alive comments: 25,000 by default. A peer that is silent for two intervals is cut. */
  heartbeat?: number;
  /**
   * Which pages may open sockets and, with `sessions()`, send unsafe methods: `'same-origin'` (the default), `'*'`, a list of
   * origins, or a function. Pages of the own origin always may. A `@WebSocket` route may have its own policy.
   */
  origins?: OriginPolicy;
  /** Proxies whose `X-Forwarded-*` is trusted: addresses, subnets, or `loopback`, `linklocal`, `uniquelocal`. None by default. */
  trustProxy?: string | readonly string[];
  /**
   * Returns the id by which `Connections`, limits and presence know a user; `user.id` by default. A string, a number, a bigint,
   * or an object with a `toString` of its own, such as a database's id. Ids are compared by their text.
   */
  userId?: (user: RegisteredUser) => UserId | undefined;
  /** Carries channels, presence and revocation between processes. In memory, for one process, by default. */
  broker?: Broker;
  /** Whether `/livez` and `/readyz` respond to health checks: 200, and `/readyz` 503 once the application is closing. `false` by default. */
  health?: boolean;
  /**
   * Compression of messages on sockets, permessage-deflate (RFC 7692): `true`, or the options of `ws`, such as `threshold`.
   * `false` by default, because it costs memory per socket.
   */
  perMessageDeflate?: boolean | PerMessageDeflateOptions;
}

const APP: Checks<AppOptions> = {
  controllers: undefined,
  middleware: ['a list of middleware', Array.isArray],
  container: ["a container of tsyringe's", isObject],
  logger: undefined,
  onError: callback('(error, ctx)'),
  validator: [
    'classValidator() from coequal/class-validator, or an object with validates(type) and validate(type, value, input)',
    withMethods('', 'validates', 'validate')[1],
  ],
  limits: ['an object of limits', isObject],
  timeouts: ['an object of times in milliseconds', isObject],
  heartbeat: POSITIVE,
  origins: undefined,
  trustProxy: [
    "the proxies to trust, by address, subnet, or 'loopback', 'linklocal' and 'uniquelocal'",
    (value) =>
      typeof value === 'string' || (Array.isArray(value) && value.every((one) => typeof one === 'string')),
  ],
  userId: callback('(user)'),
  broker: ['a broker, which carries messages between processes', withMethods('', 'publish', 'close')[1]],
  health: SWITCH,
  perMessageDeflate: [
    "true, false or an object of ws's options",
    (value) => typeof value === 'boolean' || isObject(value),
  ],
};

const BITS: Check = [
  'a number from 8 to 15, or a boolean',
  (value) => typeof value === 'number' || typeof value === 'boolean',
];

const DEFLATE: Checks<PerMessageDeflateOptions> = {
  serverNoContextTakeover: SWITCH,
  clientNoContextTakeover: SWITCH,
  serverMaxWindowBits: BITS,
  clientMaxWindowBits: BITS,
  zlibDeflateOptions: OBJECT,
  zlibInflateOptions: OBJECT,
  threshold: ['a number of bytes', COUNT[1]],
  concurrencyLimit: POSITIVE,
};

/** @throws ConfigurationError for unknown or wrong options: a misspelt limit would be a missing limit */
export function checkOptions(options: AppOptions): void {
  if (!isObject(options)) {
    throw new ConfigurationError('createApp takes its options: createApp({ controllers: [...] })', {
      code: 'INVALID_OPTION',
    });
  }
  checkOptionsOf(options, APP, 'createApp');
  if (!Array.isArray(options.controllers)) {
    throw new ConfigurationError('createApp: `controllers` is missing: give the list of controller classes', {
      code: 'INVALID_CONTROLLER',
    });
  }
  checkControllers(options.controllers);
  checkOptionsOf(options.limits ?? {}, each(LIMITS, POSITIVE), 'createApp, limits');
  checkOptionsOf(options.timeouts ?? {}, each(TIMEOUTS, POSITIVE), 'createApp, timeouts');
  checkLogger(options.logger);
  if (options.origins !== undefined) originRule(options.origins, 'createApp');
  const { perMessageDeflate } = options;
  if (typeof perMessageDeflate === 'object') {
    checkOptionsOf(perMessageDeflate, DEFLATE, 'createApp, perMessageDeflate');
  }
}

function each<T extends object>(names: T, check: Check): Checks<Partial<T>> {
  return Object.fromEntries(Object.keys(names).map((name) => [name, check])) as Checks<Partial<T>>;
}

/** Rejects undefined entries, which circular imports leave, and duplicates. */
function checkControllers(controllers: readonly unknown[]): void {
  for (const [index, controller] of controllers.entries()) {
    const at = `createApp: controllers[${index}]`;
    if (controller === undefined) {
      throw new ConfigurationError(
        `${at} is undefined, most often because of a circular import: two files import each other, and this one ` +
          'is read before its class is there. Move what both need into a third file',
        { code: 'INVALID_CONTROLLER' },
      );
    }
    if (typeof controller !== 'function') {
      throw new ConfigurationError(`${at} is ${describe(controller)}, not a class: give the class itself`, {
        code: 'INVALID_CONTROLLER',
      });
    }
    const first = controllers.indexOf(controller);
    if (first < index) {
      throw new ConfigurationError(
        `${at} is ${controller.name}, which is controllers[${first}] already: remove one of them`,
        { code: 'INVALID_CONTROLLER' },
      );
    }
  }
}

function checkLogger(logger: unknown): void {
  if (logger === undefined || logger === false) return;
  const given = Object(logger) as Record<string, unknown>;
  if (isFunction(given['log']) && 'transports' in given) {
    throw new ConfigurationError(
      'createApp: logger looks like winston, which takes (message, fields), not (fields, message): give ' +
        '{ info: (f, m) => log.info(m, f), warn: (f, m) => log.warn(m, f), error: (f, m) => log.error(m, f) }',
      { code: 'INVALID_OPTION' },
    );
  }
  for (const level of ['info', 'warn', 'error']) {
    if (isFunction(given[level])) continue;
    throw new ConfigurationError(
      `createApp: logger has no method ${level}(fields, message): give pino, anything of its shape, or false`,
      { code: 'INVALID_OPTION' },
    );
  }
}

interface Listen {
  port?: unknown;
  host?: unknown;
  signals?: unknown;
}

const LISTEN: Checks<Listen> = {
  port: [
    'a whole number from 0 to 65535, Number(process.env.PORT) for example',
    (value) => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 65_535,
  ],
  host: ['a name or an address', TEXT[1]],
  signals: SWITCH,
};

/** @throws ConfigurationError for options of `listen()` that are unknown or of another type */
export function checkListenOptions(options: Listen): void {
  if (!isObject(options)) {
    throw new ConfigurationError(
      `listen takes its options: listen({ port: 3000 }), not ${describe(options)}`,
      { code: 'INVALID_OPTION' },
    );
  }
  checkOptionsOf(options, LISTEN, 'listen');
}

const CLOSE: Checks<{ grace?: unknown }> = { grace: ['a number of milliseconds', COUNT[1]] };

/** @throws ConfigurationError for options of `close()` that are unknown or of another type */
export function checkCloseOptions(options: { grace?: unknown }): void {
  checkOptionsOf(options, CLOSE, 'close');
}

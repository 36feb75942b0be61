import { Backlog } from '../../live/connections/backlog.js';
import { Channels } from '../../live/broadcast/channels.js';
import { Connections } from '../../live/connections/connections.js';
import type { Heartbeat } from '../../live/connections/heartbeat.js';
import { LocalBroker } from '../../live/broker/local-broker.js';
import { idText } from '../../live/connections/user-id.js';
import type { Context } from '../exchange/context.js';
import { Counters, type Environment } from '../exchange/environment.js';
import { safeInstanceof, LimitReached, type HttpError } from '../base/errors.js';
import { guardLogger, consoleLogger, silentLogger, type Logger } from '../base/logger.js';
import { LIMITS, TIMEOUTS } from '../exchange/limits.js';
import type { AppOptions } from './options.js';
import { originRule } from '../routing/origins.js';
import { origination } from './trust-proxy.js';
import type { KeepAlive } from '../node/response.js';
import { ShedLoad } from '../exchange/shed-load.js';
import { applyOnError, toHttpError, type OnError } from '../exchange/shown-error.js';

/** Creates what all exchanges of an application share. */
export function createEnvironment(
  options: AppOptions,
  heartbeat: Heartbeat,
  pending: (work: Promise<unknown>) => void,
  server: () => KeepAlive,
): Environment {
  const { origins = 'same-origin', trustProxy, userId, broker } = options;
  const logger = options.logger === false ? silentLogger : guardLogger(options.logger ?? consoleLogger);
  const limits = { ...LIMITS, ...options.limits };
  const carrier = broker ?? new LocalBroker(Date.now, limits.history);
  const shed = new ShedLoad(logger);
  const channels = new Channels(carrier, (err) => logger.error({ err }, 'a channel failed'), limits.value);
  const connections = new Connections(heartbeat, carrier, limits, channels.topics);
  return {
    logger,
    limits,
    timeouts: { ...TIMEOUTS, ...options.timeouts },
    origins: originRule(origins, 'createApp'),
    broker: carrier,
    channels,
    connections,
    get lastRevocation() {
      return connections.lastRevocation;
    },
    backlog: new Backlog(limits),
    counters: new Counters(),
    get server() {
      return server();
    },
    ...naming(userId, logger),
    ...origination(trustProxy),
    report: (error, ctx, onError) => report(error, ctx, logger, shed, [onError, options.onError]),
    shed,
    pending,
  };
}

/** Statuses of requests in a method, coding or version that the server does not implement: not its failure. */
const UNSUPPORTED: ReadonlySet<number> = new Set([501, 505]);

/** Gives an error to each `onError` and to the log, and returns the error that the client may see. */
function report(
  error: unknown,
  ctx: Context,
  logger: Logger,
  shed: ShedLoad,
  hooks: readonly (OnError | undefined)[],
): HttpError | Promise<HttpError> {
  const log = (other: HttpError | undefined): HttpError =>
    logError(error, other ?? toHttpError(error), ctx, logger, shed);
  const result = applyOnError(hooks, error, ctx);
  return result instanceof Promise ? result.then(log) : log(result);
}

/** Logs errors of the server, and counts what its limits have rejected. */
function logError(error: unknown, shown: HttpError, ctx: Context, logger: Logger, shed: ShedLoad): HttpError {
  if (safeInstanceof(LimitReached, error)) shed.refused(error.status, error.message);
  else if (shown.status >= 500 && !UNSUPPORTED.has(shown.status)) {
    const { id: requestId, kind, method, path, trace } = ctx;
    const fields = {
      err: error,
      requestId,
      traceId: trace?.traceId,
      kind,
      method,
      path,
      status: shown.status,
    };
    logger.error(fields, `${method} ${path} failed`);
  }
  return shown;
}

/** Finds the ids of users. A user without a usable id is logged, once for each type of id. */
function naming(userId: AppOptions['userId'], logger: Logger): Pick<Environment, 'userId' | 'reportUnnamed'> {
  const idOf = userId ?? ((user: unknown) => (user as { id?: unknown }).id);
  const logged = new Set<string>();
  return {
    userId: ({ user }) => (user === undefined || user === null ? undefined : idText(idOf(user))),
    reportUnnamed: ({ user, kind, method, path }) => {
      if (user === undefined || user === null) return;
      const id: unknown = idOf(user);
      const type = Object.prototype.toString.call(id).slice(8, -1);
      // A `userId` function may return undefined on purpose.
      if (logged.has(type) || (userId !== undefined && id === undefined)) return;
      logged.add(type);
      logger.warn(
        { kind, method, path, id: type },
        'user without a usable id: its connections cannot be found, counted or revoked; give it an id, or set createApp({ userId })',
      );
    },
  };
}

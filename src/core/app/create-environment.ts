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

/** Makes what all exchanges of an application share. */
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

/** What a client asked for and nobody here speaks: a method, a coding, a version. The server has not failed. */
const UNSPOKEN: ReadonlySet<number> = new Set([501, 505]);

/** Tells each `onError` and the log of an error. What the client may see of it is the result. */
function report(
  error: unknown,
  ctx: Context,
  logger: Logger,
  shed: ShedLoad,
  hooks: readonly (OnError | undefined)[],
): HttpError | Promise<HttpError> {
  const log = (other: HttpError | undefined): HttpError =>
    logged(error, other ?? toHttpError(error), ctx, logger, shed);
  const result = applyOnError(hooks, error, ctx);
  return result instanceof Promise ? result.then(log) : log(result);
}

/** Logs an error that is the server's own, and counts what its limits have refused. */
function logged(error: unknown, shown: HttpError, ctx: Context, logger: Logger, shed: ShedLoad): HttpError {
  if (safeInstanceof(LimitReached, error)) shed.refused(error.status, error.message);
  else if (shown.status >= 500 && !UNSPOKEN.has(shown.status)) {
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

/** Names users by their ids. One that cannot be named, and so be found, counted or revoked, is logged: once of a kind. */
function naming(userId: AppOptions['userId'], logger: Logger): Pick<Environment, 'userId' | 'reportUnnamed'> {
  const idOf = userId ?? ((user: unknown) => (user as { id?: unknown }).id);
  const told = new Set<string>();
  return {
    userId: ({ user }) => (user === undefined || user === null ? undefined : idText(idOf(user))),
    reportUnnamed: ({ user, kind, method, path }) => {
      if (user === undefined || user === null) return;
      const id: unknown = idOf(user);
      const type = Object.prototype.toString.call(id).slice(8, -1);
      // Whoever gives `userId` may say of a user that there is no id.
      if (told.has(type) || (userId !== undefined && id === undefined)) return;
      told.add(type);
      logger.warn(
        { kind, method, path, id: type },
        'user without a usable id: its connections cannot be found, counted or revoked; give it an id, or set createApp({ userId })',
      );
    },
  };
}

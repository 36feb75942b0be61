import type { Admission } from '../../live/connections/connections.js';
import { Session } from '../exchange/session.js';
import { StreamedResponse } from '../../live/connections/streamed-response.js';
import type { Context } from '../exchange/context.js';
import { HttpError } from '../base/errors.js';

/**
 * Registers a connection, reads its session once more, and only then lets it open: a session that ends in
 * between is either read as ended, or finds the connection to end.
 *
 * @throws HttpError 401 for a session that has ended, 429 and 503 for too many connections.
 */
export function admit(ctx: Context, open: (admission: Admission) => void): void | Promise<void> {
  const admission = ctx.environment.connections.admit(ctx);
  const { session } = ctx as { session: unknown };
  const accept = (alive: boolean): void => {
    try {
      if (ctx.ended || ctx.headSent) {
        admission.withdraw();
        // A stream may be on channels already: it is never to open, and leaves them.
        return ctx.connection?.abandon();
      }
      ctx.environment.connections.mustBeOpen();
      ctx.environment.connections.mustNotBeRevoked(ctx);
      if (!alive) throw new HttpError(401, 'The session has ended', { code: 'SESSION_ENDED' });
      open(admission);
    } catch (error) {
      admission.withdraw();
      throw error;
    }
  };
  if (!(session instanceof Session) || session.id === undefined) return accept(true);
  return session.verify().then(accept, (error: unknown) => {
    admission.withdraw();
    throw error;
  });
}

/**
 * Registers a response that is about to be streamed, so that it ends as a connection does: by revocation, by its deadline,
 * with its session. A session is not read once more: an exchange that streams has just done so.
 *
 * @throws HttpError 401 for a session that has ended, 429 and 503 for too many connections.
 */
export function admitStream(ctx: Context): void {
  const { connections } = ctx.environment;
  const admission = connections.admit(ctx);
  const stream = new StreamedResponse(ctx);
  const refuse = (): never => {
    throw new Error(`${ctx.method} ${ctx.path} has been answered already: send() takes one body`);
  };
  ctx.connection = {
    send: refuse,
    take: refuse,
    expires: (date) => stream.expires(date),
    abandon: () => stream.terminate(),
  };
  connections.add(stream, admission);
}

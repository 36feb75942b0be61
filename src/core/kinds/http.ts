import { Readable } from 'node:stream';
import { Channel } from '../../live/broadcast/channel.js';
import type { Step } from '../routing/middleware.js';
import type { Context } from '../exchange/context.js';
import { NOTHING, type Outcome } from '../exchange/outcome.js';
import { Disconnected, HttpError } from '../base/errors.js';
import { valuesOf } from './forwarded.js';
import { respond, respondError } from './http-body.js';
import { isSource } from './source-queue.js';
import { isThenable } from '../base/promises.js';

/** Reads the parameters of a method, calls it, and gives its return value. */
export type Call = (ctx: Context) => unknown;

/** The innermost of an HTTP route: what the method returns is the body. */
export function httpStep(call: Call, status: number | undefined): Step {
  return (ctx) => {
    // The client has left: as in the other kinds, the method does not run.
    if (ctx.ended) throw new Disconnected();
    const value = call(ctx);
    return isThenable(value)
      ? Promise.resolve(value).then((later) => decide(ctx, later, status))
      : decide(ctx, value, status);
  };
}

/** Sends the response: what the exchange has sent, or what its method returned. */
export function sendResponse(ctx: Context, outcome: Outcome): void | Promise<void> {
  const { response, answer, explicitStatus } = ctx;
  if (answer?.value instanceof Channel)
    return answer.value.newest(ctx.environment.limits.buffered).then((kept) => respond(ctx, kept));
  if (answer !== undefined || outcome.type !== 'refused') return respond(ctx, answer?.value);
  // The middleware may have written the response itself, or have set no more than a status.
  if (response.headersSent || response.writableEnded) return undefined;
  if (explicitStatus >= 400) return respondError(ctx, new HttpError(explicitStatus));
  if (explicitStatus !== 0) return respond(ctx, undefined);
  throw new Error(
    `${outcome.why} ${ctx.method} ${ctx.path}: return next(), send an answer, or throw an HttpError`,
  );
}

/** Makes what a method returned the answer. What it sent by hand already stays. */
function decide(ctx: Context, value: unknown, status: number | undefined): Outcome | Promise<Outcome> {
  if (status !== undefined && ctx.explicitStatus === 0) ctx.explicitStatus = status;
  if (value === undefined) return NOTHING;
  // A request of a channel is a request of what it has kept.
  if (value instanceof Channel)
    return value.newest(ctx.environment.limits.buffered).then((kept) => sent(ctx, kept));
  // Its values are taken after the head, and still in the asynchronous context that the middleware has made.
  if (isSource(value)) {
    ctx.keepAsyncContext();
    // The client has left. The source may hold something since it was made.
    if (ctx.ended && !(value instanceof Readable)) {
      const ending = valuesOf(value).return?.();
      return ending === undefined ? NOTHING : ending.then(() => NOTHING);
    }
  }
  return sent(ctx, value);
}

function sent(ctx: Context, value: unknown): Outcome {
  ctx.send(value);
  return NOTHING;
}

import { Readable } from 'node:stream';
import { Channel } from '../../live/broadcast/channel.js';
import type { Step } from '../routing/middleware.js';
import type { Context } from '../exchange/context.js';
import { Disconnected, HttpError } from '../base/errors.js';
import { valuesOf } from './forwarded.js';
import { respond, respondError } from './http-body.js';
import { isSource } from './source-queue.js';
import { isThenable } from '../base/promises.js';

/** What a method does in an exchange: parameters are read, the method is called, its value comes back. */
export type Call = (ctx: Context) => unknown;

/** The innermost of an HTTP route: what the method returns is the body. */
export function httpStep(call: Call, status: number | undefined): Step {
  return (ctx) => {
    // As in the other kinds: what nobody waits for is not begun.
    if (ctx.ended) throw new Disconnected();
    ctx.reached = true;
    const value = call(ctx);
    return isThenable(value)
      ? Promise.resolve(value).then((later) => decide(ctx, later, status))
      : decide(ctx, value, status);
  };
}

/** Sends the answer that was decided. */
export function concludeHttp(ctx: Context): void | Promise<void> {
  if (ctx.answered && ctx.answer instanceof Channel)
    return ctx.answer.newest(ctx.environment.limits.buffered).then((kept) => respond(ctx, kept));
  if (ctx.answered) respond(ctx, ctx.answer);
  else if (ctx.reached) respond(ctx, undefined);
  else concludeRefusal(ctx);
}

/** Answers an exchange that middleware kept from its method: by what it sent, or by the status that it set. */
export function concludeRefusal(ctx: Context): void {
  const { response, explicitStatus } = ctx;
  if (response.headersSent || response.writableEnded) return;
  if (ctx.answered) respond(ctx, ctx.answer);
  else if (explicitStatus >= 400) respondError(ctx, new HttpError(explicitStatus));
  else if (explicitStatus !== 0) respond(ctx, undefined);
  else {
    const name = ctx.stoppedBy ?? 'the middleware';
    throw new Error(
      `${name} neither called next() nor answered ${ctx.method} ${ctx.path}: return next(), send an answer, or throw an HttpError`,
    );
  }
}

/** Makes what a method returned the answer. What it sent by hand already stays. */
function decide(ctx: Context, value: unknown, status: number | undefined): unknown {
  if (status !== undefined && ctx.explicitStatus === 0) ctx.explicitStatus = status;
  if (value === undefined) return undefined;
  // A request of a channel is a request of what it has kept.
  if (value instanceof Channel)
    return value.newest(ctx.environment.limits.buffered).then((kept) => ctx.send(kept));
  // Its values are taken after the head, and still in the asynchronous context that the middleware has made.
  if (isSource(value)) {
    ctx.bind();
    // Nobody reads it any more, and it may hold something since it was made.
    if (ctx.ended && !(value instanceof Readable)) return valuesOf(value).return?.();
  }
  ctx.send(value);
  return undefined;
}

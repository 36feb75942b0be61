import { channel, tracingChannel, type TracingChannel } from 'node:diagnostics_channel';
import type { Context } from './context.js';
import { isThenable } from '../base/promises.js';

/** The message of the tracing channels `coequal:exchange`, `coequal:message` and `coequal:call`. */
export interface Traced {
  readonly ctx: Context;
  /** Controller and method: `RoomController.show`. */
  readonly name: string;
  /** At `end`: whether the work is asynchronous, so that it is over at `asyncEnd`. */
  later: boolean;
  error?: unknown;
}

/**
 * Channels of `node:diagnostics_channel` that tools listen to. While nobody does, nothing is made for them.
 * Tracing channels are told of the making of each head, each message and each call; the plain ones of each
 * connection that opens and closes (`{ connection }`), and of each value published (`{ channel, value }`).
 */
// Twice the same type: their order differs between versions of @types/node.
export const exchangeTracing = tracingChannel<Traced, Traced>('coequal:exchange');
export const messageTracing = tracingChannel<Traced, Traced>('coequal:message');
export const callTracing = tracingChannel<Traced, Traced>('coequal:call');
export const connectionOpened = channel('coequal:connection.open');
export const connectionClosed = channel('coequal:connection.close');
export const valuePublished = channel('coequal:publish');

/** Does a piece of work, and tells those who listen of its beginning and its end. */
export function traced<T>(
  tracing: TracingChannel<Traced, Traced>,
  ctx: Context,
  name: string,
  work: () => T | PromiseLike<T>,
): T | PromiseLike<T> {
  if (!tracing.hasSubscribers) return work();
  const told: Traced = { ctx, name, later: false };
  const failed = (error: unknown): never => {
    told.error = error;
    tracing.error.publish(told);
    throw error;
  };
  const settled = (): void => {
    tracing.asyncStart.publish(told);
    tracing.asyncEnd.publish(told);
  };
  return tracing.start.runStores(told, () => {
    try {
      const result = work();
      if (!isThenable(result)) return result;
      told.later = true;
      return Promise.resolve(result).catch(failed).finally(settled);
    } catch (error) {
      return failed(error);
    } finally {
      tracing.end.publish(told);
    }
  });
}

import { setTimeout as wait } from 'node:timers/promises';
import { Channel } from '../../live/broadcast/channel.js';
import { EventStream, hasFinished } from '../../live/connections/event-stream.js';
import { admit } from './admission.js';
import type { Step } from '../routing/middleware.js';
import type { Context } from '../exchange/context.js';
import { Disconnected, isAbort } from '../base/errors.js';
import { concludeRefusal, type Call } from './http.js';
import { isResponse, valuesOf } from './forwarded.js';
import { isCut, respond } from './http-body.js';
import { isSource, SourceQueue } from './source-queue.js';
import { isThenable } from '../base/promises.js';

/** Milliseconds for which a stream's head waits for the first event: a failure before it is still an answer. */
const FIRST_EVENT = 250;

/** The innermost of an event stream: the method runs before the head, so that what it throws is an answer. */
export function sseStep(call: Call, status: number | undefined, guard: Step): Step {
  return (ctx) => {
    if (ctx.ended) throw new Disconnected();
    ctx.reached = true;
    // It has had all there is: an EventSource takes a 204 for the end (HTML standard, section 9.2.3).
    if (hasFinished(ctx)) {
      ctx.status = 204;
      return undefined;
    }
    ctx.guard = guard;
    if (status !== undefined && ctx.explicitStatus === 0) ctx.explicitStatus = status;
    const stream = new EventStream(ctx);
    ctx.outlet = stream;
    stream.taker = (value) => take(ctx, stream, value);
    if (ctx.answered) {
      const { answer } = ctx;
      ctx.answer = undefined;
      ctx.send(answer);
    }
    const value = call(ctx);
    return isThenable(value)
      ? Promise.resolve(value).then((later) => begin(ctx, stream, later))
      : begin(ctx, stream, value);
  };
}

/** Sends the head, and lets the events flow. */
export function concludeSse(ctx: Context): void | Promise<void> {
  const stream = ctx.outlet;
  if (!(stream instanceof EventStream)) return concludeRefusal(ctx);
  if (ctx.explicitStatus === 204 || ctx.explicitStatus === 304) return respondInstead(ctx, stream, undefined);
  stream.decided = true;
  return admit(ctx, (admission) => {
    stream.open();
    ctx.environment.connections.add(stream, admission);
    const { answer } = ctx;
    if (answer instanceof SourceQueue && answer.idle)
      ctx.bound?.runInAsyncScope(() => run(ctx, stream, answer));
  });
}

/** Answers by something else than a stream: nothing is open then, and what was to be sent is dropped. */
function respondInstead(ctx: Context, stream: EventStream, value: unknown): void {
  ctx.outlet = undefined;
  stream.abandon();
  ctx.answered = true;
  ctx.answer = value;
  // Outside of the chain its head is sent at once.
  if (value === undefined) respond(ctx, undefined);
}

/** A source whose first value has been asked for already. */
class Begun implements AsyncIterator<unknown> {
  #first: Promise<IteratorResult<unknown>> | undefined;
  #returned: Promise<IteratorResult<unknown>> | undefined = undefined;

  constructor(readonly source: AsyncIterator<unknown>) {
    this.#first = source.next();
  }

  /** Resolves with the first value, or after a while without one. @throws what the source throws first. */
  async settled(): Promise<void> {
    const patience = new AbortController();
    const late = wait(FIRST_EVENT, undefined, { ref: false, signal: patience.signal }).catch(() => undefined);
    try {
      await Promise.race([this.#first, late]);
    } finally {
      patience.abort();
    }
  }

  next(): Promise<IteratorResult<unknown>> {
    const first = this.#first;
    this.#first = undefined;
    return first ?? this.source.next();
  }

  /** Tells the source that nobody reads. It may be stuck: nobody waits for its answer. */
  cancel(): void {
    this.return().catch(() => undefined);
  }

  /** Tells the source once, whoever asks. */
  return(): Promise<IteratorResult<unknown>> {
    return (this.#returned ??= this.#return());
  }

  async #return(): Promise<IteratorResult<unknown>> {
    return (await this.source.return?.()) ?? { done: true, value: undefined };
  }
}

/** What the method has returned. A source is asked for its first value before the head. */
function begin(ctx: Context, stream: EventStream, value: unknown): unknown {
  if (value === undefined) return ctx.answer instanceof SourceQueue ? ctx.answer.begun : undefined;
  if (ctx.outlet !== stream) {
    discardSource(value);
    throw new Error(`${ctx.method} ${ctx.path} has been answered already: send() has taken a Response`);
  }
  take(ctx, stream, value);
  return ctx.answer instanceof SourceQueue ? ctx.answer.begun : undefined;
}

/** Does what the value says, returned or sent. False says that the reader is behind. */
function take(ctx: Context, stream: EventStream, value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return stream.send(value);
  if (value instanceof Channel) {
    value.subscribe(stream);
    return true;
  }
  if (isResponse(value)) {
    if (stream.decided) {
      throw new Error(
        `${ctx.method} ${ctx.path} has begun its event stream already: send or return a Response before that`,
      );
    }
    respondInstead(ctx, stream, value);
    return true;
  }
  if (!isSource(value)) return stream.send(value);
  if (stream.closed !== undefined) {
    discardSource(value);
    return false;
  }
  const known = ctx.answer instanceof SourceQueue ? ctx.answer : undefined;
  const queue = known ?? beginSource(ctx, stream, value);
  if (known !== undefined) known.add(valuesOf(value));
  ctx.answer = queue;
  if (ctx.headSent && queue.idle) run(ctx, stream, queue);
  return !stream.behind;
}

/** Asks a source for its first value: a failure before the head is still an answer. */
function beginSource(ctx: Context, stream: EventStream, value: object): SourceQueue {
  // What the source does later, it does in the asynchronous context of the middleware.
  ctx.bind();
  const queue = new SourceQueue(ctx, stream);
  const source = new Begun(valuesOf(value));
  queue.add(source);
  queue.begun = source.settled();
  // Once the head is out nobody waits for it: the pump is told, too.
  queue.begun.catch(() => undefined);
  // Where middleware fails after all, or the client leaves, nobody pumps: the sources are told all the same.
  ctx.defer(() => queue.cancel());
  return queue;
}

function discardSource(value: unknown): void {
  if (isSource(value)) new Begun(valuesOf(value)).cancel();
}

/** Pumps at the reader's pace; the stream ends with the last of its sources. */
function run(ctx: Context, stream: EventStream, sources: SourceQueue): void {
  void sources.run().then(
    () => stream.complete(),
    (error: unknown) => {
      // A source that was aborted because the client has left did as it was told.
      const told = stream.closed !== undefined && (isAbort(error) || isCut(error));
      if (!told) void ctx.environment.report(error, ctx);
      stream.terminate();
    },
  );
}

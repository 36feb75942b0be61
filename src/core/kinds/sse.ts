import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { Channel } from '../../live/broadcast/channel.js';
import { EventStream, hasFinished } from '../../live/connections/event-stream.js';
import { admit } from './admission.js';
import type { Admission } from '../../live/connections/connections.js';
import type { Step } from '../routing/middleware.js';
import type { Context } from '../exchange/context.js';
import { answered, NOTHING, OPENED, type Outcome } from '../exchange/outcome.js';
import { Disconnected, isAbort } from '../base/errors.js';
import { sendResponse, type Call } from './http.js';
import { isResponse, valuesOf } from './forwarded.js';
import { isCut } from './http-body.js';
import { isSource, SourceQueue } from './source-queue.js';
import { isThenable } from '../base/promises.js';

/** Milliseconds for which a stream's head waits for the first event: a failure before it is still an answer. */
const FIRST_EVENT = 250;

/** The innermost step of an event stream: the method runs before the head, so that what it throws is a response. */
export function sseStep(call: Call, status: number | undefined, guard: Step): Step {
  return (ctx) => {
    if (ctx.ended) throw new Disconnected();
    // An EventSource takes a 204 for the end (HTML standard, section 9.2.3).
    if (hasFinished(ctx)) {
      ctx.status = 204;
      return NOTHING;
    }
    if (status !== undefined && ctx.explicitStatus === 0) ctx.explicitStatus = status;
    const stream = new MethodStream(ctx, guard);
    ctx.connection = stream;
    const { answer } = ctx;
    ctx.answer = undefined;
    if (answer !== undefined) ctx.send(answer.value);
    const value = call(ctx);
    return isThenable(value)
      ? Promise.resolve(value).then((later) => stream.begin(later))
      : stream.begin(value);
  };
}

/** Sends the head of an event stream, and then its events; or a response, if nothing is to be streamed. */
export function openStream(ctx: Context, outcome: Outcome): void | Promise<void> {
  const stream = ctx.connection;
  if (!(stream instanceof MethodStream)) return sendResponse(ctx, outcome);
  if (ctx.explicitStatus !== 204 && ctx.explicitStatus !== 304) return admit(ctx, (one) => stream.start(one));
  stream.replaceBy(undefined);
  return sendResponse(ctx, NOTHING);
}

/** `EventSource` sends the id as UTF-8 (HTML standard, section 9.2.4), but Node reads each byte as a character. */
export function decodeLastEventId({ headers }: IncomingMessage): void {
  const id = headers['last-event-id'];
  if (typeof id !== 'string' || !/[\x80-\xff]/.test(id)) return;
  const bytes = Buffer.from(id, 'latin1');
  if (isUtf8(bytes)) headers['last-event-id'] = bytes.toString();
}

/** The event stream of a method. Until its head is sent, a response can replace it. */
class MethodStream extends EventStream {
  #sources: SourceQueue | undefined = undefined;
  /** Settles when the first value of the first source is known, or was waited for long enough. */
  #primed: Promise<void> | undefined = undefined;
  #decided = false;

  constructor(
    context: Context,
    private readonly middleware: Step,
  ) {
    super(context);
  }

  protected override get guard(): Step {
    return this.middleware;
  }

  /** Takes what the method has returned. The outcome waits for the first value of a source. */
  begin(value: unknown): Outcome | Promise<Outcome> {
    if (value !== undefined) {
      const { context } = this;
      if (context.connection !== this) {
        discardSource(value);
        throw new Error(
          `${context.method} ${context.path} has been answered already: send() has taken a Response`,
        );
      }
      this.take(value);
    }
    return this.#primed === undefined ? OPENED : this.#primed.then(() => OPENED);
  }

  /** Handles a value that the method has returned or sent. False says that the reader is behind. */
  override take(value: unknown): boolean {
    if (typeof value !== 'object' || value === null) return this.send(value);
    if (value instanceof Channel) {
      value.subscribe(this);
      return true;
    }
    if (isResponse(value)) {
      const { method, path } = this.context;
      if (this.#decided)
        throw new Error(
          `${method} ${path} has begun its event stream already: send or return a Response before that`,
        );
      this.replaceBy(value);
      return true;
    }
    if (!isSource(value)) return this.send(value);
    if (this.closed !== undefined) {
      discardSource(value);
      return false;
    }
    if (this.#sources === undefined) this.#prime(value);
    else this.#sources.add(valuesOf(value));
    if (this.context.headSent) this.#pump();
    return !this.needsDrain;
  }

  /** Responds with something else than a stream: what was to be sent on it is dropped. */
  replaceBy(value: unknown): void {
    const { context } = this;
    context.connection = undefined;
    this.abandon();
    context.answer = answered(value);
  }

  /** Sends the head, and lets the events flow. */
  start(admission: Admission): void {
    const { asyncContext, environment } = this.context;
    this.#decided = true;
    this.open();
    environment.connections.add(this, admission);
    asyncContext?.runInAsyncScope(() => this.#pump());
  }

  /** Requests the first value of a source, so that a failure before the head is a response. */
  #prime(value: object): void {
    const { context } = this;
    // The source goes on in the asynchronous context of the middleware.
    context.keepAsyncContext();
    const queue = new SourceQueue(context, this);
    const source = new PrimedIterator(valuesOf(value));
    queue.add(source);
    this.#sources = queue;
    this.#primed = source.settled();
    // After the head nothing waits for it: the pump gets the error, too.
    this.#primed.catch(() => undefined);
    // If middleware fails after all, or the client leaves, no pump ends the sources.
    context.defer(() => queue.cancel());
  }

  /** Sends the values of the sources at the reader's pace, and ends the stream with the last of them. */
  #pump(): void {
    if (this.#sources?.idle !== true) return;
    void this.#sources.run().then(
      () => this.complete(),
      (error: unknown) => {
        // A source that is aborted because the client has left has not failed.
        const isAborted = this.closed !== undefined && (isAbort(error) || isCut(error));
        if (!isAborted) void this.context.environment.report(error, this.context);
        this.terminate();
      },
    );
  }
}

/** A source whose first value has been asked for already. */
class PrimedIterator implements AsyncIterator<unknown> {
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

function discardSource(value: unknown): void {
  if (isSource(value)) new PrimedIterator(valuesOf(value)).cancel();
}

import type { Context } from '../exchange/context.js';
import { isThenable } from '../base/promises.js';

/** Runs the rest of the chain. Resolves when the response is decided, before it is sent. Call it once, and await it. */
export type Next = () => Promise<void>;

/**
 * Middleware runs before a request, an event stream and an upgrade alike. To respond, throw an `HttpError`, call `ctx.send()`, or
 * set `ctx.status`; otherwise call `next()`.
 */
export type Middleware = (ctx: Context, next: Next) => unknown;

/** Middleware as an injectable class, with services of its own. */
export interface MiddlewareClass {
  use(ctx: Context, next: Next): unknown;
}

/** What `@UseMiddleware` and `createApp({ middleware })` take: functions and injectable classes. */
export type MiddlewareLike = Middleware | (new (...args: never[]) => MiddlewareClass);

/** A function of the context; what it leaves behind is on the context. */
export type Step = (ctx: Context) => unknown;

/** One link of a chain: the function, and the name by which errors and `explain()` call it. */
export interface Link {
  readonly name: string;
  readonly run: Middleware;
}

const DONE: Promise<void> = Promise.resolve();

/** Folds middleware around a step, once: plain calls, with promises only where middleware makes them. */
export function compose(links: readonly Link[], innermost: Step): Step {
  return links.reduceRight<Step>((inner, link) => wrap(link, inner), innermost);
}

function wrap(link: Link, inner: Step): Step {
  return (ctx) => {
    const passage = new Passage(link.name, ctx, inner);
    const result = link.run(ctx, () => passage.next());
    // What `next()` gives where nothing is waited for is no reason to wait, either.
    if (!isThenable(result) || result === DONE) return passage.leave();
    if (result === passage.rest) return passage.hand(passage.rest);
    return Promise.resolve(result).then(
      () => passage.leave(),
      (error: unknown) => passage.fail(error),
    );
  };
}

/** One way through one middleware: sees that `next()` is called once at most, in time, and that it is awaited. */
class Passage {
  rest: Rest | undefined = undefined;
  #called = false;
  #left = false;
  #misuse: Rest | undefined = undefined;

  constructor(
    readonly name: string,
    readonly ctx: Context,
    readonly inner: Step,
  ) {}

  next(): Promise<void> {
    if (this.#called) return this.#refuse('twice: once is the limit');
    if (this.#left) return this.#refuse('after it had returned: await what comes before it');
    this.#called = true;
    let result: unknown;
    try {
      result = this.inner(this.ctx);
    } catch (error) {
      return (this.rest = new Rest(Promise.reject(error)));
    }
    return isThenable(result) ? (this.rest = new Rest(result)) : DONE;
  }

  /** The middleware has returned what `next()` gave. */
  hand({ promise }: Rest): Promise<void> {
    this.#left = true;
    return promise;
  }

  /** The middleware has returned. Where the rest still runs, the answer waits for it and the author is told. */
  leave(): unknown {
    const { rest } = this;
    this.#left = true;
    if (!this.#called) this.ctx.stoppedBy = this.name;
    if (this.#misuse !== undefined && !this.#misuse.observed) {
      const { promise } = this.#misuse;
      return rest === undefined ? promise : rest.over.then(() => promise);
    }
    if (rest === undefined || (rest.settled && rest.observed)) return undefined;
    if (!rest.settled || !rest.observed) this.#warn();
    return rest.observed ? rest.over : rest.promise;
  }

  /** The middleware has thrown: its error is the answer, and a later one of the rest is only logged. */
  fail(error: unknown): never {
    const { rest } = this;
    this.#left = true;
    if (rest !== undefined && !rest.observed) {
      this.#warn();
      rest.promise.catch((err: unknown) => void this.ctx.environment.report(err, this.ctx));
    }
    throw error;
  }

  /** A call of `next()` that cannot be: its error is the answer's, or the log's where nobody waits any more. */
  #refuse(why: string): Promise<void> {
    const err = new Error(`${this.name} called next() ${why}`);
    const refusal = new Rest(Promise.reject(err));
    if (this.#left) this.ctx.environment.logger.error({ err, requestId: this.ctx.id }, err.message);
    else this.#misuse = refusal;
    return refusal;
  }

  #warn(): void {
    const { kind, method, path } = this.ctx;
    this.ctx.environment.logger.warn(
      { middleware: this.name, kind, method, path },
      `${this.name} did not await next(): write \`await next()\` or \`return next()\``,
    );
  }
}

/** The promise that `next()` gives: knows whether anybody waits for it, so that no failure gets lost. */
class Rest implements Promise<void> {
  readonly promise: Promise<void>;
  /** Resolves when the rest is over, however it ended. */
  readonly over: Promise<void>;
  observed = false;
  settled = false;

  constructor(promise: PromiseLike<unknown>) {
    const settle = (): void => {
      this.settled = true;
    };
    this.promise = Promise.resolve(promise) as Promise<void>;
    this.over = this.promise.then(settle, settle);
  }

  then<A = void, B = never>(
    fulfilled?: ((value: void) => A | PromiseLike<A>) | null,
    rejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.observed = true;
    return this.promise.then(fulfilled, rejected);
  }

  catch<B = never>(rejected?: ((reason: unknown) => B | PromiseLike<B>) | null): Promise<void | B> {
    return this.then(null, rejected);
  }

  finally(done?: (() => void) | null): Promise<void> {
    this.observed = true;
    return this.promise.finally(done);
  }

  get [Symbol.toStringTag](): string {
    return 'Promise';
  }
}

import type { Context } from '../exchange/context.js';
import { refused, type Outcome, type Refused } from '../exchange/outcome.js';
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

/** A function of the context that returns what it came to. */
export type Step<T = Outcome> = (ctx: Context) => T | PromiseLike<T>;

/** Middleware that is ready to run: a function, or the method of an injectable class. */
export interface ResolvedMiddleware {
  /** The name that errors and `explain()` show. */
  readonly name: string;
  readonly run: Middleware;
  /** Names of the scoped classes that it needs. */
  readonly scoped: readonly string[];
}

type Runnable = Pick<ResolvedMiddleware, 'name' | 'run'>;

const DONE: Promise<void> = Promise.resolve();

/** Composes middleware around a step, once at start-up: plain calls, with promises only where middleware returns them. */
export function compose<T>(middleware: readonly Runnable[], innermost: Step<T>): Step<T | Refused> {
  return middleware.reduceRight<Step<T | Refused>>((inner, one) => wrap(one, inner), innermost);
}

function wrap<T>({ name, run }: Runnable, inner: Step<T>): Step<T | Refused> {
  const stopped = refused(`${name} neither called next() nor answered`);
  return (ctx) => {
    const guard = new NextGuard(name, ctx, inner, stopped);
    const result = run(ctx, () => guard.next());
    // `next()` returns DONE if the rest ran synchronously: there is nothing to wait for.
    if (!isThenable(result) || result === DONE) return guard.leave();
    if (result === guard.rest) return guard.hand(guard.rest);
    return Promise.resolve(result).then(
      () => guard.leave(),
      (error: unknown) => guard.fail(error),
    );
  };
}

/** Checks, for one run of one middleware, that `next()` is called at most once, before the middleware returns, and awaited. */
class NextGuard<T> {
  rest: TrackedPromise<T> | undefined = undefined;
  #called = false;
  #left = false;
  #misuse: TrackedPromise<never> | undefined = undefined;

  constructor(
    readonly name: string,
    readonly ctx: Context,
    readonly inner: Step<T>,
    /** What the chain came to: a refusal until the rest has run. */
    private outcome: T | Refused,
  ) {}

  next(): Promise<void> {
    if (this.#called) return this.#refuse('twice: once is the limit');
    if (this.#left) return this.#refuse('after it had returned: await what comes before it');
    this.#called = true;
    let result: T | PromiseLike<T>;
    try {
      result = this.inner(this.ctx);
    } catch (error) {
      return (this.rest = new TrackedPromise<T>(Promise.reject(error)));
    }
    if (isThenable(result)) return (this.rest = new TrackedPromise(result as PromiseLike<T>));
    this.outcome = result as T;
    return DONE;
  }

  /** The middleware has returned the promise of `next()`. */
  hand({ promise }: TrackedPromise<T>): Promise<T> {
    this.#left = true;
    return promise;
  }

  /** The middleware has returned. If the rest still runs, the response waits for it, and a warning is logged. */
  leave(): T | Refused | Promise<T | Refused> {
    const { rest } = this;
    this.#left = true;
    if (this.#misuse !== undefined && !this.#misuse.observed) {
      const { promise } = this.#misuse;
      return rest === undefined ? promise : rest.over.then(() => promise);
    }
    if (rest === undefined) return this.outcome;
    if (rest.settled && rest.observed) return rest.value ?? this.#caught();
    this.#warn();
    return rest.observed ? rest.over.then(() => rest.value ?? this.#caught()) : rest.promise;
  }

  /** The middleware has thrown: its error decides the response; a later error of the rest is only logged. */
  fail(error: unknown): never {
    const { rest } = this;
    this.#left = true;
    if (rest !== undefined && !rest.observed) {
      this.#warn();
      rest.promise.catch((err: unknown) => void this.ctx.environment.report(err, this.ctx));
    }
    throw error;
  }

  /** Rejects a wrong call of `next()`. Its error decides the response, or is logged if the middleware has returned already. */
  #refuse(why: string): Promise<void> {
    const err = new Error(`${this.name} called next() ${why}`);
    const refusal = new TrackedPromise<never>(Promise.reject(err));
    if (this.#left) this.ctx.environment.logger.error({ err, requestId: this.ctx.id }, err.message);
    else this.#misuse = refusal;
    return refusal;
  }

  #caught(): Refused {
    return refused(`${this.name} caught the error of next() and did not answer`);
  }

  #warn(): void {
    const { kind, method, path } = this.ctx;
    this.ctx.environment.logger.warn(
      { middleware: this.name, kind, method, path },
      `${this.name} did not await next(): write \`await next()\` or \`return next()\``,
    );
  }
}

/** The promise that `next()` returns. It knows whether a handler is attached, so that no rejection gets lost. */
class TrackedPromise<T> implements Promise<void> {
  readonly promise: Promise<T>;
  /** Resolves when the promise has settled, either way. */
  readonly over: Promise<void>;
  observed = false;
  settled = false;
  /** What the rest came to. Middleware does not see it. */
  value: T | undefined = undefined;

  constructor(promise: PromiseLike<T>) {
    this.promise = Promise.resolve(promise);
    this.over = this.promise.then(
      (value) => {
        this.settled = true;
        this.value = value;
      },
      () => {
        this.settled = true;
      },
    );
  }

  then<A = void, B = never>(
    fulfilled?: ((value: void) => A | PromiseLike<A>) | null,
    rejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.observed = true;
    return this.promise.then(() => fulfilled?.() as A, rejected);
  }

  catch<B = never>(rejected?: ((reason: unknown) => B | PromiseLike<B>) | null): Promise<void | B> {
    return this.then(null, rejected);
  }

  finally(done?: (() => void) | null): Promise<void> {
    return this.then(null).finally(done);
  }

  get [Symbol.toStringTag](): string {
    return 'Promise';
  }
}

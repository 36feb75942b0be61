import { AsyncLocalStorage } from 'node:async_hooks';
import { tracingChannel } from 'node:diagnostics_channel';
import type { Traced, TraceParent } from 'coequal';

/** What is used of a span of `@opentelemetry/api`. */
export interface Span {
  setStatus(status: { code: number; message?: string }): unknown;
  recordException(error: Error): void;
  end(): void;
}

/** What is used of a tracer of `@opentelemetry/api`; `C` is its `Context`. */
export interface Tracer<C = unknown> {
  startSpan(
    name: string,
    options?: { kind?: number; attributes?: Record<string, string> },
    context?: C,
  ): Span;
}

/** `SpanKind.SERVER` and `SpanStatusCode.ERROR`. */
const SERVER = 1;
const ERROR = 2;

const current = new AsyncLocalStorage<Span>();

/** The span of the request, message or call that this code works for. */
export function currentSpan(): Span | undefined {
  return current.getStore();
}

/**
 * Makes a span of each head, message and call. The result ends that.
 *
 * @param parentOf makes the tracer's context of what `traceparent` said:
 * `({ traceId, parentId, sampled }) => trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId: parentId,
 * traceFlags: sampled ? 1 : 0, isRemote: true })`
 */
export function traceWith<C>(tracer: Tracer<C>, parentOf: (parent: TraceParent) => C): () => void {
  const stops = ['exchange', 'message', 'call'].map((work) => {
    const channels = tracingChannel(`coequal:${work}`);
    const spans = new WeakMap<Traced, Span>();
    const begin = (message: unknown): Span => {
      const told = message as Traced;
      const { kind, method, path, id, trace } = told.ctx;
      const attributes = {
        'coequal.kind': kind,
        'coequal.request': id,
        'http.request.method': method,
        'url.path': path,
      };
      const parent = trace === undefined ? undefined : parentOf(trace);
      const span = tracer.startSpan(`${work} ${told.name}`, { kind: SERVER, attributes }, parent);
      spans.set(told, span);
      return span;
    };
    const fail = (message: unknown): void => {
      const told = message as Traced;
      const error = told.error instanceof Error ? told.error : new Error(String(told.error));
      spans.get(told)?.recordException(error);
      spans.get(told)?.setStatus({ code: ERROR, message: error.message });
    };
    const finish = (message: unknown): void => spans.get(message as Traced)?.end();
    // What goes on after `end` is over at `asyncEnd`.
    const finishUnlessLater = (message: unknown): void => {
      if (!(message as Traced).later) finish(message);
    };
    channels.start.bindStore(current, begin);
    channels.error.subscribe(fail);
    channels.end.subscribe(finishUnlessLater);
    channels.asyncEnd.subscribe(finish);
    return () => {
      channels.start.unbindStore(current);
      channels.error.unsubscribe(fail);
      channels.end.unsubscribe(finishUnlessLater);
      channels.asyncEnd.unsubscribe(finish);
    };
  });
  return () => {
    for (const stop of stops) stop();
  };
}

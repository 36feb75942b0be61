import type { Context } from '../exchange/context.js';
import type { Reader } from '../routing/metadata.js';
import { isThenable } from '../base/promises.js';

/** Calls a method with what its readers read. Without promises where no reader gives one. */
export type Invoke = (instance: object, ctx: Context, message?: unknown) => unknown;

type Method = (this: object, ...args: unknown[]) => unknown;

/** Folds the readers of a method into one function: up to three parameters are called without a list. */
export function invoker(method: Method, readers: readonly Reader[]): Invoke {
  const [first, second, third] = readers;
  if (first === undefined) return (instance) => method.call(instance);
  if (second === undefined) {
    return (instance, ctx, message) => {
      const a = first(ctx, message);
      return isThenable(a)
        ? Promise.resolve(a).then((value) => method.call(instance, value))
        : method.call(instance, a);
    };
  }
  if (third === undefined) {
    return (instance, ctx, message) => {
      const a = first(ctx, message);
      if (isThenable(a)) return readRest([a], readers, ctx, message, (args) => method.apply(instance, args));
      const b = second(ctx, message);
      return isThenable(b)
        ? Promise.resolve(b).then((value) => method.call(instance, a, value))
        : method.call(instance, a, b);
    };
  }
  return (instance, ctx, message) => {
    const args = readAll(readers, ctx, message);
    return isThenable(args)
      ? args.then((all) => method.apply(instance, all as unknown[]))
      : method.apply(instance, args);
  };
}

/** Reads all parameters, in order: the first that fails is the one that is told. */
export function readAll(
  readers: readonly Reader[],
  ctx: Context,
  message: unknown,
): unknown[] | Promise<unknown[]> {
  const args: unknown[] = [];
  for (const reader of readers) {
    const value = reader(ctx, message);
    args.push(value);
    if (isThenable(value)) return readRest(args, readers, ctx, message, (all) => all);
  }
  return args;
}

async function readRest<T>(
  args: unknown[],
  readers: readonly Reader[],
  ctx: Context,
  message: unknown,
  then: (args: unknown[]) => T,
): Promise<Awaited<T>> {
  args[args.length - 1] = await args.at(-1);
  for (let i = args.length; i < readers.length; i++) {
    const value = readers[i]?.(ctx, message);
    args.push(isThenable(value) ? await value : value);
  }
  return await then(args);
}

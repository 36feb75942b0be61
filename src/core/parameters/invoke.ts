import type { Context } from '../exchange/context.js';
import type { Reader } from '../routing/metadata.js';
import { isThenable } from '../base/promises.js';

/** Calls a method with the values of its readers. Returns a promise only if a reader or the method does. */
export type Invoke = (instance: object, ctx: Context, message?: unknown) => unknown;

type Method = (this: object, ...args: unknown[]) => unknown;

/** Combines a method with the readers of its parameters. */
export function invoker(method: Method, readers: readonly Reader[]): Invoke {
  return (instance, ctx, message) => {
    const args = readAll(readers, ctx, message);
    return isThenable(args)
      ? args.then((all) => method.apply(instance, all as unknown[]))
      : method.apply(instance, args);
  };
}

/** Reads all parameters one after another; the first reader that fails decides the error. */
export function readAll(
  readers: readonly Reader[],
  ctx: Context,
  message: unknown,
): unknown[] | Promise<unknown[]> {
  const args: unknown[] = [];
  for (const reader of readers) {
    const value = reader(ctx, message);
    args.push(value);
    if (isThenable(value)) return readRest(args, readers, ctx, message);
  }
  return args;
}

async function readRest(
  args: unknown[],
  readers: readonly Reader[],
  ctx: Context,
  message: unknown,
): Promise<unknown[]> {
  args[args.length - 1] = await args.at(-1);
  for (const reader of readers.slice(args.length)) args.push(await reader(ctx, message));
  return args;
}

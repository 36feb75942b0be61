import type { Context, Kind } from '../core/context.js';
import { ConfigurationError } from '../core/errors.js';
import { methodMetadata, type ParameterMetadata, type ParameterSite } from '../core/metadata.js';
import {
  callback,
  checkOptionsOf,
  describe,
  oneOf,
  SWITCH,
  TEXT,
  type Checks,
} from '../core/option-checks.js';

export interface ParamOptions<Args extends unknown[]> {
  /** The kinds in which the parameter has a meaning; elsewhere it is an error at start-up. All by default. */
  kinds?: readonly Kind[];
  /** The value comes from the client: convert it to the declared type, or validate it by a schema given last. */
  input?: boolean;
  /** The value stays the same for as long as a connection lives: read it once, not for every message. */
  stable?: boolean;
  /** Finds mistakes at start-up: returns what is wrong and how to mend it. */
  check?: (site: ParameterSite, ...args: Args) => string | undefined;
  /** @internal The first argument names a field; without one the whole record is given, as it is. */
  named?: boolean;
  /** @internal */
  takes?: 'body' | 'socket' | 'connection';
}

const KIND = oneOf('http', 'sse', 'websocket');
const OPTIONS: Checks<ParamOptions<never>> = {
  kinds: [`a list of ${KIND[0]}`, (value) => Array.isArray(value) && value.every(KIND[1])],
  input: SWITCH,
  stable: SWITCH,
  check: callback('(site, …args)'),
  named: SWITCH,
  takes: TEXT,
};

/** A decorator for parameters, with or without arguments. */
export type Param<Args extends unknown[]> = (...args: Args) => ParameterDecorator;

/**
 * Makes a parameter decorator: `const Plan = param('Plan', (ctx) => ctx.user.plan)`, used as `@Plan()`.
 * `read` may be asynchronous and takes what the decorator is given after the context.
 */
export function param<Args extends unknown[] = []>(
  name: string,
  read: (ctx: Context, ...args: Args) => unknown,
  options: ParamOptions<Args> = {},
): Param<Args> {
  checkOptionsOf(options, OPTIONS, `param('${name}')`);
  if (typeof read !== 'function') {
    throw new ConfigurationError(`param('${name}') takes a function (ctx, …args), not ${describe(read)}`);
  }
  return (...args) =>
    (prototype, method, index) => {
      const metadata: ParameterMetadata = {
        name,
        args,
        read: read as (ctx: Context, ...args: unknown[]) => unknown,
        kinds: options.kinds,
        input: options.input ?? false,
        stable: options.stable ?? false,
        named: options.named ?? false,
        takes: options.takes,
        check: options.check as ((site: ParameterSite, ...args: unknown[]) => string | undefined) | undefined,
      };
      methodMetadata(prototype, method, name).parameters.set(index, metadata);
    };
}

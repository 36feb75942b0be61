import type { Context, Kind } from '../core/exchange/context.js';
import { ConfigurationError } from '../core/base/errors.js';
import { methodMetadata, type ParameterMetadata, type ParameterSite } from '../core/routing/metadata.js';
import {
  callback,
  checkOptionsOf,
  describe,
  oneOf,
  SWITCH,
  TEXT,
  type Checks,
} from '../core/base/option-checks.js';

/** Options of `param`. */
export interface ParamOptions<Args extends unknown[]> {
  /** The kinds of methods in which the parameter may be used; elsewhere it is an error at start-up. All by default. */
  kinds?: readonly Kind[];
  /** Whether the value comes from the client: it is converted to the declared type, or validated by a schema given last. `false` by default. */
  input?: boolean;
  /** Whether the value stays the same for as long as a connection lives: it is read once, not for every message. `false` by default. */
  stable?: boolean;
  /** Finds mistakes at start-up: returns what is wrong and how to fix it, or `undefined`. */
  check?: (site: ParameterSite, ...args: Args) => string | undefined;
  /** @internal The first argument names a field; without one the value is the whole record. */
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
 * Creates a parameter decorator.
 *
 * @param name the name of the decorator, for error messages
 * @param read reads the value; it gets the arguments of the decorator after the context, and may be asynchronous
 * @example
 * ```ts
 * const Language = param('Language', (ctx) => ctx.headers['accept-language'] ?? 'en', { stable: true });
 *
 * greet(@Language() language: string) {}
 * ```
 */
export function param<Args extends unknown[] = []>(
  name: string,
  read: (ctx: Context, ...args: Args) => unknown,
  options: ParamOptions<Args> = {},
): Param<Args> {
  checkOptionsOf(options, OPTIONS, `param('${name}')`);
  if (typeof read !== 'function') {
    throw new ConfigurationError(`param('${name}') takes a function (ctx, …args), not ${describe(read)}`, {
      code: 'INVALID_PARAMETER',
    });
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
      const { parameters } = methodMetadata(prototype, method, name);
      const other = parameters.get(index);
      if (other !== undefined) {
        throw new ConfigurationError(
          `${prototype.constructor.name}.${String(method)}, parameter ${index}, has @${name} and @${other.name}: ` +
            'a parameter takes one decorator, so remove one of them',
          { code: 'INVALID_PARAMETER' },
        );
      }
      parameters.set(index, metadata);
    };
}

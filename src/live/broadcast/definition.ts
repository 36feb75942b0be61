import { isSchema } from '../../core/input/convert.js';
import { ConfigurationError } from '../../core/base/errors.js';
import {
  callback,
  checkOptionsOf,
  COUNT,
  isFunction,
  isObject,
  type Checks,
} from '../../core/base/option-checks.js';
import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { RegisteredUser } from '../../core/base/registered-types.js';
import { checkAuthorize, type Authorize, type AuthorizeClass } from './authorization.js';
import type { HistoryBounds } from '../broker/history.js';
import { idText } from '../connections/user-id.js';

/** What happens to a slow consumer: it is closed, loses the oldest messages, or gets only the latest message per key. */
export type Overflow<T> = 'close' | 'drop-oldest' | Conflate<T>;

/** The policy that `conflate(key)` makes: a reader that is behind gets only the latest message per key. */
export interface Conflate<T> {
  readonly key: (value: T) => unknown;
}

/**
 * Overflow policy for a channel: a reader that is behind gets only the latest message per key.
 *
 * @example
 * ```ts
 * defineChannel<Price>('prices/:market', { overflow: conflate((price) => price.symbol) });
 * ```
 */
export function conflate<T>(key: (value: T) => unknown): Conflate<T> {
  return { key };
}

/** Options of `defineChannel`. */
export interface ChannelOptions<T> {
  /** Messages to keep for readers that return: a number, or bounds `{ messages, bytes, age }` with `age` in milliseconds. None by default. */
  history?: number | Partial<HistoryBounds>;
  /** What happens to a slow consumer; `'close'` by default. */
  overflow?: Overflow<T>;
  /**
   * Decides whether an exchange may read the channel: a function, or an injectable class with a method `authorize(ctx, params)`.
   * Only `true`, or a promise of it, admits the reader; everything else is a 403. An `HttpError` that it throws is the response.
   * Without it, everyone who passes the middleware may read.
   */
  authorize?: Authorize | AuthorizeClass;
  /** A synchronous Standard Schema for published values; `publish` throws for a value that it rejects. */
  schema?: StandardSchemaV1;
  /** Tracks who reads the channel; returns what others may see of a user. Off by default. */
  presence?: (user: RegisteredUser) => unknown;
}

/** What `defineChannel` returns: a template for channel names, with its policies. */
export interface ChannelDefinition<T> {
  readonly template: string;
  readonly parameters: readonly string[];
  readonly options: ChannelOptions<T>;
  /** The name of the channel that the parameters select: `rooms/lobby`. @throws TypeError if one is missing or empty */
  name(params: Readonly<Record<string, unknown>>): string;
}

const OPTIONS: Checks<ChannelOptions<never>> = {
  history: [
    'a number of messages from 0, or bounds { messages, bytes, age }',
    (value) => (typeof value === 'number' && value >= 0) || isObject(value),
  ],
  overflow: [
    "'close', 'drop-oldest' or conflate(key)",
    (value) =>
      value === 'close' ||
      value === 'drop-oldest' ||
      (isObject(value) && isFunction((value as Conflate<never>).key)),
  ],
  authorize: undefined,
  schema: ['a Standard Schema', isSchema],
  presence: callback('(user)'),
};
const BOUNDS: Checks<HistoryBounds> = { messages: COUNT, bytes: COUNT, age: COUNT };

/**
 * Defines channels (pub/sub) by a template for their names, with their policies. Define each channel once and import it: two
 * definitions that can produce the same name are an error.
 *
 * @param template segments and parameters between single slashes: `'rooms/:room'`
 * @throws ConfigurationError for an invalid template, unknown options, and an `authorize` that cannot decide
 * @example
 * ```ts
 * const Room = defineChannel<Message>('rooms/:room', {
 *   history: 100,
 *   authorize: (ctx, { room }) => ctx.user.rooms.includes(room),
 * });
 * ```
 */
export function defineChannel<T = unknown>(
  template: string,
  options: ChannelOptions<T> = {},
): ChannelDefinition<T> {
  const segments = template.split('/');
  if (!segments.every((segment) => SEGMENT.test(segment))) {
    throw new ConfigurationError(
      `defineChannel('${template}'): a template is a name such as 'rooms/:room', of words and parameters between single slashes`,
      { code: 'INVALID_CHANNEL' },
    );
  }
  checkOptionsOf(options, OPTIONS, `defineChannel('${template}')`);
  if (isObject(options.history)) {
    checkOptionsOf(options.history as HistoryBounds, BOUNDS, `defineChannel('${template}'), history`);
  }
  if ('authorize' in options) checkAuthorize(options.authorize, template);
  const parameters = segments.filter(isParameter).map((segment) => segment.slice(1));
  const name = (params: Readonly<Record<string, unknown>>): string =>
    segments
      .map((segment) =>
        isParameter(segment) ? filled(segment, params[segment.slice(1)], template) : segment,
      )
      .join('/');
  const definition = { template, parameters, options: Object.freeze({ ...options }), name };
  DEFINITIONS.add(definition);
  return definition;
}

/** Whether `defineChannel` returned this very object: a copy may lack policies. */
export function isDefinition(definition: ChannelDefinition<never>): boolean {
  return DEFINITIONS.has(definition);
}

/** Whether a value can be read as a definition. */
export function isDefinitionLike(value: unknown): value is ChannelDefinition<never> {
  const { template, name } = (value ?? {}) as Partial<ChannelDefinition<never>>;
  return typeof template === 'string' && typeof name === 'function';
}

const DEFINITIONS = new WeakSet<object>();

/** A literal without `:`, `#`, `?` and `*`; or a parameter `:name`, or `:*` for a wildcard. */
const SEGMENT = /^(?:[^:#?*][^#?*]*|:(?:\w+|\*))$/;

function isParameter(segment: string): boolean {
  return segment.startsWith(':');
}

/** The segments of a template, for a `TemplateTree`: each parameter fills exactly one. */
export function segmentsOf({ template }: ChannelDefinition<never>): string[] {
  return template.split('/').map((segment) => (isParameter(segment) ? ':' : segment));
}

/** Escapes a value, so that it fills one segment and cannot spell another name. */
function filled(segment: string, value: unknown, template: string): string {
  const text = typeof value === 'boolean' ? String(value) : idText(value);
  if (text !== undefined && text !== '') return encodeURIComponent(text);
  throw new TypeError(
    `the channel ${template} needs the parameter ${segment}: text that is not empty, a number, or an object with its own toString()`,
  );
}

/** The bounds of the history; undefined if the channel has none. */
export function boundsOf(history: ChannelOptions<never>['history']): HistoryBounds | undefined {
  if (history === undefined || history === 0) return undefined;
  const given = typeof history === 'number' ? { messages: history } : history;
  return { messages: Infinity, bytes: Infinity, age: Infinity, ...given };
}

import { isSchema } from '../core/convert.js';
import { ConfigurationError } from '../core/errors.js';
import { callback, checkOptionsOf, COUNT, isFunction, isObject, type Checks } from '../core/option-checks.js';
import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { RegisteredUser } from '../core/register.js';
import { checkAuthorize, type Authorize, type AuthorizeClass } from './authorization.js';
import type { HistoryBounds } from './history.js';
import { idText } from './user-id.js';

/** What a full reader costs: the connection, the oldest messages, or all but the latest per key. */
export type Overflow<T> = 'close' | 'drop-oldest' | Conflate<T>;

/** Keeps only the latest message per key for a reader that is behind. */
export interface Conflate<T> {
  readonly key: (value: T) => unknown;
}

/** `overflow: conflate((price) => price.symbol)`: whoever is behind gets the latest of each, and none of the rest. */
export function conflate<T>(key: (value: T) => unknown): Conflate<T> {
  return { key };
}

export interface ChannelOptions<T> {
  /** Messages that are kept for readers that return; or bounds in messages, bytes and milliseconds. */
  history?: number | Partial<HistoryBounds>;
  /** What a full reader costs; `'close'` by default. */
  overflow?: Overflow<T>;
  /**
   * Whether an exchange may read the channel. Only `true`, or a promise of it, admits the reader; everything else is a
   * 403. An `HttpError` that it throws is the response. A function, or an injectable class with `authorize(ctx, params)`.
   */
  authorize?: Authorize | AuthorizeClass;
  /** What may be published: a Standard Schema, synchronous. What it refuses is the publisher's error. */
  schema?: StandardSchemaV1;
  /** Keeps who is on the channel, and says what others may see of a user. */
  presence?: (user: RegisteredUser) => unknown;
}

/** A sort of channel with its policies: `defineChannel<Message>('rooms/:room', { history: 100 })`. */
export interface ChannelDefinition<T> {
  readonly template: string;
  readonly parameters: readonly string[];
  readonly options: ChannelOptions<T>;
  /** The name of the one channel that the parameters pick. @throws TypeError if one is missing. */
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
 * Declares a sort of channel, once, with its policies. Names are told apart by their template: an application takes one
 * definition for each name.
 * @throws ConfigurationError for a template that is not one, for unknown options, and for an `authorize` that cannot decide
 */
export function defineChannel<T = unknown>(
  template: string,
  options: ChannelOptions<T> = {},
): ChannelDefinition<T> {
  const segments = template.split('/');
  if (!segments.every((segment) => SEGMENT.test(segment))) {
    throw new ConfigurationError(
      `defineChannel('${template}'): a template is a name such as 'rooms/:room', of words and parameters between single slashes`,
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

/** Whether a definition is what `defineChannel` returned, not a copy of it. */
export function isDefinition(definition: ChannelDefinition<never>): boolean {
  return DEFINITIONS.has(definition);
}

/** Whether a value can be read as a definition. */
export function isDefinitionLike(value: unknown): value is ChannelDefinition<never> {
  const { template, name } = (value ?? {}) as Partial<ChannelDefinition<never>>;
  return typeof template === 'string' && typeof name === 'function';
}

const DEFINITIONS = new WeakSet<object>();

/** A literal, which never looks like a parameter or another topic of the channel; or `:name`, or `:*` for a wildcard. */
const SEGMENT = /^(?:[^:#?*][^#?*]*|:(?:\w+|\*))$/;

function isParameter(segment: string): boolean {
  return segment.startsWith(':');
}

/** The segments of a template, for a `TemplateTree`. A value never fills more than one, nor less. */
export function segmentsOf({ template }: ChannelDefinition<never>): string[] {
  return template.split('/').map((segment) => (isParameter(segment) ? ':' : segment));
}

/** A value as a segment: escaped, so that it cannot spell another name. */
function filled(segment: string, value: unknown, template: string): string {
  const text = typeof value === 'boolean' ? String(value) : idText(value);
  if (text !== undefined && text !== '') return encodeURIComponent(text);
  throw new TypeError(
    `the channel ${template} needs the parameter ${segment}: text that is not empty, a number, or an object with its own toString()`,
  );
}

/** The bounds of a history; undefined where the channel keeps none. */
export function boundsOf(history: ChannelOptions<never>['history']): HistoryBounds | undefined {
  if (history === undefined || history === 0) return undefined;
  const given = typeof history === 'number' ? { messages: history } : history;
  return { messages: Infinity, bytes: Infinity, age: Infinity, ...given };
}

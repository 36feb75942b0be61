import { ConfigurationError, unknownKeys } from '../core/errors.js';
import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { Context } from '../core/context.js';
import type { RegisteredUser } from '../core/register.js';
import type { HistoryBounds } from './history.js';

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

/** Decides whether an exchange may read the channel that `params` pick: only `true` admits. */
export type Authorize = (ctx: Context, params: Readonly<Record<string, string>>) => unknown;

/** An injectable class that decides, with services of its own. */
export type AuthorizeClass = new (...args: never[]) => { authorize: Authorize };

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

const KNOWN: ReadonlySet<string> = new Set<keyof ChannelOptions<never>>([
  'history',
  'overflow',
  'authorize',
  'schema',
  'presence',
]);

/** Declares a sort of channel, once, with its policies. */
export function defineChannel<T = unknown>(
  template: string,
  options: ChannelOptions<T> = {},
): ChannelDefinition<T> {
  if (template === '' || template.startsWith('/') || template.includes('#')) {
    throw new ConfigurationError(`defineChannel('${template}'): a template is a name such as 'rooms/:room'`);
  }
  unknownKeys(options, KNOWN, `defineChannel('${template}')`);
  const segments = template.split('/');
  const parameters = segments.filter((segment) => segment.startsWith(':')).map((segment) => segment.slice(1));
  const name = (params: Readonly<Record<string, unknown>>): string =>
    segments
      .map((segment) => {
        if (!segment.startsWith(':')) return segment;
        const value = params[segment.slice(1)] as string | number | null | undefined;
        if (value === undefined || value === null || value === '')
          throw new TypeError(`the channel ${template} needs the parameter ${segment}`);
        return encodeURIComponent(String(value));
      })
      .join('/');
  const definition = { template, parameters, options, name };
  DEFINITIONS.add(definition);
  return definition;
}

/** Whether a value is what `defineChannel` gave. */
export function isChannelDefinition(value: unknown): value is ChannelDefinition<never> {
  return typeof value === 'object' && value !== null && DEFINITIONS.has(value);
}

const DEFINITIONS = new WeakSet<object>();

/** Whether two templates can be filled to one name. A value is never more than one segment, nor less. */
export function canCollide(one: string, other: string): boolean {
  const [these, those] = [one.split('/'), other.split('/')];
  return (
    these.length === those.length &&
    these.every(
      (segment, i) => segment === those[i] || segment.startsWith(':') || those[i]?.startsWith(':') === true,
    )
  );
}

/** The bounds of a history; undefined where the channel keeps none. */
export function boundsOf(history: ChannelOptions<never>['history']): HistoryBounds | undefined {
  if (history === undefined || history === 0) return undefined;
  const given = typeof history === 'number' ? { messages: history } : history;
  return { messages: Infinity, bytes: Infinity, age: Infinity, ...given };
}

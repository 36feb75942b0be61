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

export interface ChannelOptions<T> {
  /** Messages that are kept for readers that return; or bounds in messages, bytes and milliseconds. */
  history?: number | Partial<HistoryBounds>;
  /** What a full reader costs; `'close'` by default. */
  overflow?: Overflow<T>;
  /** Whether an exchange may read the channel; false is a 403, and what is thrown is the answer. */
  authorize?: (ctx: Context, params: Readonly<Record<string, string>>) => unknown;
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
  if (template === '' || template.startsWith('/')) {
    throw new ConfigurationError(`defineChannel('${template}'): a template is a name such as 'rooms/:room'`);
  }
  unknownKeys(options, KNOWN, `defineChannel('${template}')`);
  const segments = template.split('/');
  const parameters = segments.filter((segment) => segment.startsWith(':')).map((segment) => segment.slice(1));
  const name = (params: Readonly<Record<string, unknown>>): string =>
    segments
      .map((segment) => {
        if (!segment.startsWith(':')) return segment;
        const value = params[segment.slice(1)] as string | number | undefined;
        if (value === undefined)
          throw new TypeError(`the channel ${template} needs the parameter ${segment}`);
        return encodeURIComponent(String(value));
      })
      .join('/');
  return { template, parameters, options, name };
}

/** The bounds of a history; undefined where the channel keeps none. */
export function boundsOf(history: ChannelOptions<never>['history']): HistoryBounds | undefined {
  if (history === undefined || history === 0) return undefined;
  const given = typeof history === 'number' ? { messages: history } : history;
  return { messages: Infinity, bytes: Infinity, age: Infinity, ...given };
}

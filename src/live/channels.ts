import type { Context } from '../core/context.js';
import { ConfigurationError, HttpError } from '../core/errors.js';
import { isThenable } from '../core/thenable.js';
import type { Broker } from './broker.js';
import { Channel } from './channel.js';
import {
  canCollide,
  type Authorize,
  type AuthorizeClass,
  type ChannelDefinition,
} from './channel-definition.js';
import { Topics } from './topic.js';

/** Makes the function of an injectable class that authorizes. */
export type ResolveAuthorize = (target: AuthorizeClass, channel: string) => Authorize;

/** The channels of the application: injectable wherever something is to be published. */
export class Channels {
  /** @internal */ readonly topics: Topics;
  /** Every definition that the application uses, and who may read its channels. */
  readonly #readers = new Map<ChannelDefinition<never>, Authorize | undefined>();

  /** @internal */
  constructor(broker: Broker, report: (error: unknown) => void, most?: number) {
    this.topics = new Topics(broker, report, most);
  }

  /**
   * The channel that the parameters pick: `channels.of(Room, { room: 'lobby' })`. Code in the server may read it:
   * `authorize` decides on `@Channel` alone.
   * @throws TypeError if a parameter of the template is missing or empty; ConfigurationError if another definition of
   * the application has channels of the same name.
   */
  of<T>(definition: ChannelDefinition<T>, params: Readonly<Record<string, unknown>> = {}): Channel<T> {
    if (!this.#readers.has(definition as ChannelDefinition<never>))
      this.declare(definition as ChannelDefinition<never>);
    return new Channel(definition, definition.name(params), this.topics);
  }

  /**
   * @internal Enters a definition.
   * @throws ConfigurationError if another one can be filled to the same name: each would admit the readers of the other.
   */
  declare(definition: ChannelDefinition<never>, resolve?: ResolveAuthorize): void {
    if (this.#readers.has(definition)) return;
    for (const { template } of this.#readers.keys()) {
      if (!canCollide(template, definition.template)) continue;
      throw new ConfigurationError(
        `defineChannel('${definition.template}') and defineChannel('${template}') can have a channel of the same name, ` +
          'with two policies: define the channel once and import it, or give one of them another template',
      );
    }
    this.#readers.set(definition, authorizeOf(definition, resolve));
  }

  /** @internal The channel that the path of an exchange picks. @throws HttpError 403 unless the exchange may read it. */
  read(definition: ChannelDefinition<never>, ctx: Context): Channel<never> | Promise<Channel<never>> {
    if (!this.#readers.has(definition)) this.declare(definition);
    const channel = new Channel(definition, definition.name(ctx.params), this.topics, ctx);
    const authorize = this.#readers.get(definition);
    if (authorize === undefined) return channel;
    const decide = (allowed: unknown): Channel<never> => {
      if (allowed !== true) throw new HttpError(403, 'The channel may not be read');
      return channel;
    };
    const allowed = authorize(ctx, ctx.params);
    return isThenable(allowed) ? Promise.resolve(allowed).then(decide) : decide(allowed);
  }
}

function authorizeOf(
  { template, options: { authorize } }: ChannelDefinition<never>,
  resolve: ResolveAuthorize | undefined,
): Authorize | undefined {
  if (authorize === undefined) return undefined;
  if (!isAuthorizeClass(authorize)) return authorize;
  // Code in the server reads without asking: it need not be made for a channel that no route reads.
  return resolve?.(authorize, template) ?? (() => false);
}

function isAuthorizeClass(authorize: Authorize | AuthorizeClass): authorize is AuthorizeClass {
  const { prototype } = authorize as { prototype?: { authorize?: unknown } };
  return typeof prototype?.authorize === 'function';
}

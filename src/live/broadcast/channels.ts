import type { Context } from '../../core/exchange/context.js';
import { ConfigurationError, HttpError } from '../../core/base/errors.js';
import { TemplateTree } from '../../core/base/template-tree.js';
import { admit, isAuthorizeClass, type Authorize, type AuthorizeClass } from './authorization.js';
import type { Broker } from '../broker/broker.js';
import { Channel } from './channel.js';
import { segmentsOf, type ChannelDefinition } from './definition.js';
import { Topics } from './topics.js';

declare module '../../core/exchange/environment.js' {
  interface Environment {
    readonly broker: Broker;
    readonly channels: Channels;
  }
}

/** Makes the `authorize` function of an injectable class. */
export type ResolveAuthorize = (target: AuthorizeClass, channel: string) => Authorize;

/**
 * The channels of the application. Inject it to publish from services.
 *
 * @example
 * ```ts
 * @injectable()
 * class Quotes {
 *   constructor(private readonly channels: Channels) {}
 *
 *   update(market: string, price: Price) {
 *     this.channels.of(Prices, { market }).publish(price);
 *   }
 * }
 * ```
 */
export class Channels {
  /** @internal */ readonly topics: Topics;
  /** Definitions that were compared with all others, and can produce none of their names. */
  readonly #compared = new WeakSet<ChannelDefinition<never>>();
  /** Definitions that routes read. */
  readonly #declared = new TemplateTree<ChannelDefinition<never>>();
  /** The latest definitions that only code on the server uses, which may define any number. */
  #others = new TemplateTree<ChannelDefinition<never>>();
  #count = 0;
  /** The `authorize` functions of the definitions that routes read; undefined: every reader is admitted. */
  readonly #authorize = new Map<ChannelDefinition<never>, Authorize | undefined>();

  /** @internal */
  constructor(broker: Broker, report: (error: unknown) => void, most?: number) {
    this.topics = new Topics(broker, report, most);
  }

  /**
   * The channel that the parameters select: `channels.of(Room, { room: 'lobby' })`. It is for code on the server, so `authorize`
   * is not called: that is for `@Channel`.
   *
   * @throws TypeError if a parameter of the template is missing or empty; ConfigurationError if another definition of
   * the application has channels of the same name.
   */
  of<T>(definition: ChannelDefinition<T>, params: Readonly<Record<string, unknown>> = {}): Channel<T> {
    if (this.#compare(definition)) this.#remember(definition);
    return new Channel(definition, definition.name(params), this.topics);
  }

  /**
   * @internal Declares at start-up a definition that a route reads.
   * @throws ConfigurationError if another definition can produce the same name: each would admit the readers of the other
   */
  declare(definition: ChannelDefinition<never>, resolve: ResolveAuthorize): void {
    if (this.#authorize.has(definition)) return;
    this.#compare(definition);
    this.#declared.add(segmentsOf(definition), definition);
    const { authorize } = definition.options;
    const isClass = authorize !== undefined && isAuthorizeClass(authorize);
    this.#authorize.set(definition, isClass ? resolve(authorize, definition.template) : authorize);
  }

  /**
   * @internal The channel that the path parameters of an exchange select.
   * @throws HttpError 403 if the exchange may not read it; 404 if the path leaves one of its parameters empty
   */
  read(definition: ChannelDefinition<never>, ctx: Context): Channel<never> | Promise<Channel<never>> {
    const { params } = ctx;
    if (!definition.parameters.every((name) => params[name])) throw new HttpError(404);
    const channel = new Channel(definition, definition.name(params), this.topics, ctx);
    const { options, template } = definition;
    if (options.authorize === undefined) return channel;
    return admit(this.#authorize.get(definition) ?? denyAll, ctx, template, channel);
  }

  /** True for a new definition. @throws ConfigurationError if it shares names with another */
  #compare(definition: ChannelDefinition<never>): boolean {
    if (this.#compared.has(definition)) return false;
    const segments = segmentsOf(definition);
    const [other] = [...this.#declared.overlapping(segments), ...this.#others.overlapping(segments)];
    if (other !== undefined) {
      throw new ConfigurationError(
        `defineChannel('${definition.template}') and defineChannel('${other.template}') can have a channel of the same name, ` +
          'with two policies: define the channel once and import it, or give one of them another template',
        { code: 'INVALID_CHANNEL' },
      );
    }
    this.#compared.add(definition);
    return true;
  }

  #remember(definition: ChannelDefinition<never>): void {
    if (this.#count >= REMEMBERED) {
      this.#count = 0;
      this.#others = new TemplateTree();
    }
    this.#count++;
    this.#others.add(segmentsOf(definition), definition);
  }
}

/** How many definitions are remembered that no route reads. */
const REMEMBERED = 1_000;

/** Admits no reader: the policy of a definition that no route has declared. */
function denyAll(): boolean {
  return false;
}

import type { Authorize, AuthorizeClass } from '../../live/broadcast/authorization.js';
import { isDefinition, isDefinitionLike, type ChannelDefinition } from '../../live/broadcast/definition.js';
import { ConfigurationError } from '../base/errors.js';
import { Scope } from '../injection/injection.js';
import type { MethodMetadata, Reader } from '../routing/metadata.js';
import { concluding, scopeInUse } from '../routing/scoped-step.js';
import type { Compilation, Controller } from './controller.js';

/**
 * Declares the channels that a controller's methods read, before any request comes.
 * @throws ConfigurationError for a copy of a definition, and for an `authorize` class that cannot be made
 */
export function declareChannels(controller: Controller): void {
  const { metadata, compilation } = controller;
  for (const [name, { parameters }] of metadata.methods) {
    for (const definition of channelsOf(parameters)) {
      // A copy could lack policies of the definition, and read the same channels.
      if (!isDefinition(definition)) {
        throw new ConfigurationError(
          `${controller.nameOf(name)} takes a copy of defineChannel('${definition.template}'): give what defineChannel() returned itself`,
          { code: 'INVALID_CHANNEL' },
        );
      }
      compilation.channels.declare(definition, (target, template) =>
        authorizer(target, template, compilation),
      );
    }
  }
}

/** Readers that check whether an exchange may read the channels of a method's parameters. */
export function channelReaders(
  parameters: MethodMetadata['parameters'],
  { channels }: Compilation,
): Reader[] {
  return channelsOf(parameters).map((definition) => (ctx) => channels.read(definition, ctx));
}

function channelsOf(parameters: MethodMetadata['parameters']): ChannelDefinition<never>[] {
  return [...parameters.values()].flatMap(({ args }) => args.filter(isDefinitionLike));
}

/** Makes the `authorize` function of an injectable class: on its one instance, or on one made in a scope. */
function authorizer(target: AuthorizeClass, template: string, { injection, logger }: Compilation): Authorize {
  const provider = injection.provider(target, `authorize of defineChannel('${template}')`);
  const { instance } = provider;
  if (instance !== undefined) return (ctx, params) => instance.authorize(ctx, params);
  return (ctx, params) => {
    // A request in progress has a scope: a second one would take a second connection from a pool.
    const shared = scopeInUse(ctx);
    if (shared !== undefined) return provider.resolve(shared).authorize(ctx, params);
    const own = new Scope(ctx);
    return concluding(
      () => provider.resolve(own).authorize(ctx, params),
      (outcome) => own.dispose(logger, outcome),
    );
  };
}

import {
  instanceCachingFactory,
  instancePerContainerCachingFactory,
  predicateAwareClassFactory,
  type DependencyContainer,
  type InjectionToken,
} from 'tsyringe';
import type { Registration } from './tsyringe.js';

/** Where a factory of tsyringe that caches keeps its product: for all containers, or for each. */
export type Caching = 'everywhere' | 'per container';

/** How the factory of a registration caches; undefined for one that is not of tsyringe's. */
export function cachingOf({ provider }: Registration): Caching | undefined {
  const { useFactory } = provider;
  return typeof useFactory === 'function' ? CACHING.get(sourceOf(useFactory)) : undefined;
}

/** What the factories resolved, by its token: another application resolves the same token for itself. */
const TOKENS = new WeakMap<object, InjectionToken<unknown>>();

/**
 * Runs factories that cache for all containers, so that each application or scope gets a product of its own. That holds
 * for what they resolve from their container. What they construct themselves only they can give.
 */
export class CachingFactories {
  readonly #facade: DependencyContainer;
  readonly #own = new Map<Registration, { token: unknown; product: unknown }>();
  /** The products that the running factory has resolved so far. */
  #resolved = new Set<unknown>();

  constructor(private readonly container: DependencyContainer) {
    this.#facade = Object.create(container) as DependencyContainer;
    this.#facade.resolve = <T>(token: InjectionToken<T>): T => {
      const product = this.container.resolve(token);
      if (typeof product === 'object' && product !== null) {
        this.#resolved.add(product);
        TOKENS.set(product, token);
      }
      return product;
    };
  }

  /** The product, and whether the factory constructed it itself, now or in an earlier call. */
  give(registration: Registration): { product: unknown; opaque: boolean } {
    const outer = this.#resolved;
    this.#resolved = new Set();
    try {
      const given = (registration.provider.useFactory as Factory)(this.#facade);
      const token = typeof given === 'object' && given !== null ? TOKENS.get(given) : undefined;
      if (token === undefined) return { product: given, opaque: true };
      const own = this.#own.get(registration);
      if (!this.#resolved.has(given) && own?.token === token) return { product: own.product, opaque: false };
      const product = this.#resolved.has(given) ? given : this.container.resolve(token);
      this.#own.set(registration, { token, product });
      return { product, opaque: false };
    } finally {
      this.#resolved = outer;
    }
  }
}

type Factory = (container: DependencyContainer) => unknown;

/** Closures of one function have one source, minified or not. */
function sourceOf(factory: object): string {
  return Function.prototype.toString.call(factory);
}

const NEVER = (): never => {
  throw new Error('a factory that is never called');
};

const CACHING: ReadonlyMap<string, Caching> = new Map([
  [sourceOf(instanceCachingFactory(NEVER)), 'everywhere'],
  [sourceOf(predicateAwareClassFactory(NEVER, Object, Object)), 'everywhere'],
  [sourceOf(instancePerContainerCachingFactory(NEVER)), 'per container'],
]);

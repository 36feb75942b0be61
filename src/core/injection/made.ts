import { ConfigurationError } from '../base/errors.js';
import { disposerOf } from './scope.js';

/** By product of a factory, the applications that use it: a factory that caches returns the same one to several. */
const HOLDERS = new WeakMap<object, Set<Made>>();

/** Products of factories that were disposed by the last application that used them. */
const DISPOSED = new WeakSet();

/** The instances that an application disposes when it closes. */
export class Made {
  /** In the order of creation. */
  readonly #instances = new Set<object>();
  /** Registered instances: the code that created them disposes them. */
  readonly #given = new WeakSet();

  /** Adds an instance that the container has constructed. */
  add(instance: object): void {
    if (disposerOf(instance) !== undefined) this.#instances.add(instance);
  }

  /** Adds a registered instance, which is not disposed. */
  give(value: unknown): void {
    if (typeof value === 'object' && value !== null) this.#given.add(value);
  }

  /**
   * Adds the product of a factory.
   * @throws ConfigurationError for a product that the factory has cached and another application has disposed
   */
  addProduct(product: unknown): void {
    if (!isProduct(product) || this.knows(product)) return;
    if (DISPOSED.has(product)) {
      throw new ConfigurationError(
        `a factory returns the ${product.constructor.name} that another application has disposed when it closed, since ` +
          'it keeps what it made: use instancePerContainerCachingFactory, which makes one for each application, or register an instance',
        { code: 'CAPTIVE_DEPENDENCY' },
      );
    }
    this.#instances.add(product);
    const holders = HOLDERS.get(product) ?? new Set();
    HOLDERS.set(product, holders.add(this));
  }

  /** Whether the application has created the instance, or registered it. */
  knows(instance: object): boolean {
    return this.#instances.has(instance) || this.#given.has(instance);
  }

  /** Removes and returns the instances to dispose now, in the order of creation. */
  release(): object[] {
    const instances = [...this.#instances].filter((instance) => {
      const holders = HOLDERS.get(instance);
      holders?.delete(this);
      if (holders === undefined) return true;
      if (holders.size === 0) DISPOSED.add(instance);
      return holders.size === 0;
    });
    this.#instances.clear();
    return instances;
  }
}

/** Whether a value is an object that can be disposed. */
export function isProduct(value: unknown): value is object {
  return typeof value === 'object' && value !== null && disposerOf(value) !== undefined;
}

import { ConfigurationError } from '../base/errors.js';
import { disposerOf } from './scope.js';

/** Applications that hold what a factory has made: one that keeps its product gives the same to each of them. */
const HOLDERS = new WeakMap<object, Set<Made>>();

/** What factories have made, and the last application that held it has disposed. */
const DISPOSED = new WeakSet();

/** What an application's container has made, and is to dispose when the application closes. */
export class Made {
  /** In the order in which they were made. */
  readonly #instances = new Set<object>();
  /** Registered as instances: whoever has made them ends them. */
  readonly #given = new WeakSet();

  /** Takes note of an instance that the container has constructed. */
  add(instance: object): void {
    if (disposerOf(instance) !== undefined) this.#instances.add(instance);
  }

  /** Takes note of a value that the container was given. */
  give(value: unknown): void {
    if (typeof value === 'object' && value !== null) this.#given.add(value);
  }

  /**
   * Takes note of what a factory has given, which may be anything.
   * @throws ConfigurationError for what another application has disposed, whose factory kept it
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

  /** Whether an instance is the application's, or was given to it. */
  knows(instance: object): boolean {
    return this.#instances.has(instance) || this.#given.has(instance);
  }

  /** Gives all that is to be disposed now, in the order in which it was made, and forgets it. */
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

/** Whether what a factory has given can be disposed. */
export function isProduct(value: unknown): value is object {
  return typeof value === 'object' && value !== null && disposerOf(value) !== undefined;
}

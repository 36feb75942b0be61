import 'reflect-metadata';
import { Lifecycle, type DependencyContainer, type InjectionToken } from 'tsyringe';
import { Context } from '../exchange/context.js';
import { ConfigurationError } from '../base/errors.js';
import type { Class } from './dependencies.js';
import { captive, capturedByFactory } from './errors.js';
import {
  contextOfScope,
  internals,
  isDelayed,
  isScoped,
  nameOfRegistration,
  registrationsOf,
  type Registration,
} from './tsyringe.js';
import { summarize, Graph, type Node, type Singleton } from './graph.js';
import { constant, constructing, perResolution, perScope, resolveFrom, type Make } from './make.js';
import { cachingOf, CachingFactories } from './caching.js';
import { disposeAll, type Scope } from './scope.js';
import { isProduct, Made } from './made.js';
import { consoleLogger, type Logger } from '../base/logger.js';

export type { Class } from './dependencies.js';
export { Scope } from './scope.js';

/** How instances of a class are obtained, decided at start-up. */
export interface Provider<T> {
  /** The one instance; undefined if a class in the graph is scoped. */
  readonly instance: T | undefined;
  /** Names of the scoped classes in the graph. Empty: no scope is needed. */
  readonly scoped: readonly string[];
  /** The instance for a scope: the one instance, or one created in the scope. */
  resolve(scope: Scope): T;
}

/** The container of the application, and precompiled factories that create instances without it. */
export class Injection {
  /** A child of the given container; its own registrations take precedence. */
  readonly container: DependencyContainer;
  readonly #graph: Graph;
  readonly #providers = new Map<Class, Provider<object>>();
  readonly #makes = new Map<Node, Make>();
  readonly #made = new Made();
  /** Factories that were called once outside of a scope, to find instances that they keep. */
  readonly #asked = new WeakSet<Registration>();
  readonly #caching: CachingFactories;
  #slots = 0;
  #watch: { reached: string | undefined } | undefined = undefined;
  #disposal: Promise<void> | undefined = undefined;

  constructor(parent: DependencyContainer) {
    this.container = parent.createChildContainer();
    this.container.register(
      Context,
      contextOfScope(() => this.#refuse('Context')),
    );
    this.#caching = new CachingFactories(this.container);
    this.#observe();
    this.#graph = new Graph(this.container);
  }

  /**
   * Decides once how instances of `target` are obtained. `usedBy` names the user in error messages.
   * @throws ConfigurationError naming class, parameter and remedy, if `target` cannot be created
   */
  provider<T extends object>(target: Class<T>, usedBy: string): Provider<T> {
    let provider = this.#providers.get(target);
    if (provider === undefined) {
      const node = this.#graph.of(target, usedBy);
      const { scoped, singletons } = summarize(node, usedBy);
      for (const singleton of singletons) this.#hoist(singleton, usedBy);
      provider = scoped.length > 0 ? this.#renewed(node, scoped) : this.#single(target, node);
      this.#providers.set(target, provider);
    }
    return provider as Provider<T>;
  }

  /**
   * Disposes the instances that the application's container created, products of factories included, once, last created
   * first, each awaited. Errors are logged. Registered instances are not disposed.
   */
  dispose(logger: Logger = consoleLogger): Promise<void> {
    this.#disposal ??= this.#dispose(logger);
    return this.#disposal;
  }

  #single(target: Class, node: Node): Provider<object> {
    const outcome = this.#unscoped(() => this.container.resolve(target as InjectionToken<object>));
    // A factory resolved a scoped class, so `target` is scoped, too: that shows only when the factory runs.
    if (outcome.reached !== undefined) return this.#renewed(node, [outcome.reached]);
    const instance = outcome.value;
    return { instance, scoped: [], resolve: () => instance };
  }

  #renewed(node: Node, scoped: readonly string[]): Provider<object> {
    const make = this.#fold(node);
    return { instance: undefined, scoped, resolve: (scope) => make(scope, []) as object };
  }

  #hoist({ token, name }: Singleton, usedBy: string): void {
    const { reached } = this.#unscoped(() => this.container.resolve(token));
    if (reached !== undefined) throw captive([name, reached], usedBy);
  }

  /** Runs `make` outside of any scope. `reached` names the scoped class that it tried to resolve, if any. */
  #unscoped<T>(make: () => T): { value: T; reached?: undefined } | { reached: string } {
    const outer = this.#watch;
    const watch: { reached: string | undefined } = { reached: undefined };
    this.#watch = watch;
    try {
      const value = make();
      return watch.reached === undefined ? { value } : { reached: watch.reached };
    } catch (error) {
      if (watch.reached === undefined) throw error;
      return { reached: watch.reached };
    } finally {
      this.#watch = outer;
    }
  }

  #refuse(name: string): never {
    if (this.#watch !== undefined) this.#watch.reached ??= name;
    throw new ConfigurationError(
      `${name} is scoped, but was resolved outside of a scope: inject it into a controller or middleware`,
      { code: 'NO_SCOPE' },
    );
  }

  #observe(): void {
    const own = internals(this.container);
    const { construct, resolveRegistration } = own;
    // Child containers look up here as well.
    own.getRegistration = (token) => registrationsOf(own, token).at(-1) ?? null;
    own.getAllRegistrations = (token) => {
      const found = registrationsOf(own, token);
      return found.length > 0 ? found : null;
    };
    own.construct = (target, resolution) => {
      const instance = construct.call(own, target, resolution) as object;
      // Reading a property of a delay() proxy would create the instance.
      if (!isDelayed(target)) this.#made.add(instance);
      return instance;
    };
    own.resolveRegistration = (registration, resolution) => {
      if (this.#watch !== undefined && isScoped(registration)) this.#refuse(nameOfRegistration(registration));
      const value: unknown =
        cachingOf(registration) === 'everywhere'
          ? this.#caching.give(registration).product
          : resolveRegistration.call(own, registration, resolution);
      if ('useValue' in registration.provider) this.#made.give(value);
      else if ('useFactory' in registration.provider) this.#made.addProduct(value);
      return value;
    };
    this.container.dispose = () => this.dispose();
  }

  #fold(node: Node): Make {
    let make = this.#makes.get(node);
    if (make === undefined) {
      make = this.#folded(node);
      this.#makes.set(node, make);
    }
    return make;
  }

  #folded(node: Node): Make {
    switch (node.kind) {
      case 'value':
        return constant(node.value);
      case 'singleton':
        return constant(this.container.resolve(node.token));
      case 'context':
        return (scope) => scope.context;
      case 'new':
        return constructing(
          node.target,
          node.params.map((param) => this.#fold(param)),
        );
      case 'cached':
        return node.per === 'scope'
          ? perScope(this.#slots++, this.#fold(node.inner))
          : perResolution(this.#slots++, this.#fold(node.inner));
      case 'dynamic':
        return (scope) => resolveFrom(this.#containerOf(scope), node.dependency);
    }
  }

  /**
   * The container of a scope, for dependencies that tsyringe must resolve itself. The scope disposes the instances that it
   * constructs; scoped classes come from the slots of the scope, singletons from the application's container.
   */
  #containerOf(scope: Scope): DependencyContainer {
    if (scope.container !== undefined) return scope.container;
    const child = this.container.createChildContainer();
    child.reset(); // the copies of scoped registrations: those of the application are asked instead
    const own = internals(child);
    const { construct, resolveRegistration } = own;
    const caching = new CachingFactories(child);
    own.construct = (target, resolution) => {
      const instance = construct.call(own, target, resolution) as object;
      return isDelayed(target) ? instance : scope.own(instance);
    };
    own.resolveRegistration = (registration, resolution) => {
      if (registration.options.lifecycle === Lifecycle.Singleton) return this.#late(registration, resolution);
      const node = this.#graph.ofScope(registration);
      if (node !== undefined) return this.#fold(node)(scope, []);
      const { provider } = registration;
      const kept = cachingOf(registration);
      if (kept !== undefined) {
        const outcome = this.#outside(registration, resolution);
        if (outcome.reached === undefined) return outcome.value;
        if (kept === 'everywhere') return this.#ofScope(caching, registration, outcome.reached);
      } else if ('useFactory' in provider) {
        this.#ask(registration, resolution);
      }
      const value: unknown = resolveRegistration.call(own, registration, resolution);
      if ('useValue' in provider) this.#made.give(value);
      else if ('useFactory' in provider && isProduct(value) && !this.#made.knows(value))
        scope.ownProduct(value);
      return value;
    };
    scope.container = child;
    return child;
  }

  /**
   * Calls a factory once outside of any scope. If it returns the same instance in a scope later, the factory keeps it, and
   * the application disposes it instead of the scope.
   */
  #ask(registration: Registration, resolution: unknown): void {
    if (this.#asked.has(registration)) return;
    this.#asked.add(registration);
    try {
      this.#outside(registration, resolution);
    } catch {
      // The factory needs a scope, or fails there as well, where the error is reported.
    }
  }

  /** The product for this scope of a factory that caches one product for all containers. */
  #ofScope(caching: CachingFactories, registration: Registration, reached: string): unknown {
    const { product, opaque } = caching.give(registration);
    if (opaque) throw capturedByFactory(reached);
    return product;
  }

  /** Resolves a registration in the application's container, outside of any scope. */
  #outside(
    registration: Registration,
    resolution: unknown,
  ): { value: unknown; reached?: undefined } | { reached: string } {
    return this.#unscoped(() => internals(this.container).resolveRegistration(registration, resolution));
  }

  /** Resolves a singleton that no graph at start-up contained. */
  #late(registration: Registration, resolution: unknown): unknown {
    const outcome = this.#outside(registration, resolution);
    if (outcome.reached === undefined) return outcome.value;
    throw captive([nameOfRegistration(registration), outcome.reached], 'a factory');
  }

  async #dispose(logger: Logger): Promise<void> {
    await disposeAll(this.#made.release(), logger);
    const own = internals(this.container);
    own.disposables.clear();
    own.disposed = true;
  }
}

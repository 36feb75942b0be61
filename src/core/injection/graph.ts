import 'reflect-metadata';
import { Lifecycle, type DependencyContainer, type InjectionToken } from 'tsyringe';
import { dependenciesOf, type Class } from './dependencies.js';
import {
  internals,
  isContextOfScope,
  isDelayed,
  isScoped,
  registrationsOf,
  type Internals,
  type Registration,
} from './tsyringe.js';
import { captive, enter, isBuiltIn, nameOf, unregistered, untyped, type ResolutionPath } from './errors.js';

/** How one dependency is obtained, as registrations and constructors declare. */
export type Node =
  | { readonly kind: 'value'; readonly value: unknown }
  | { readonly kind: 'context' }
  | { readonly kind: 'new'; readonly target: Class; readonly params: readonly Node[] }
  | CachedNode
  | Singleton
  | DynamicNode;

/** One instance per scope (`Lifecycle.ContainerScoped`) or per resolution (`Lifecycle.ResolutionScoped`). */
export interface CachedNode {
  readonly kind: 'cached';
  readonly per: 'scope' | 'resolution';
  readonly name: string;
  readonly inner: Node;
}

/** One instance for the application. */
export interface Singleton {
  readonly kind: 'singleton';
  readonly name: string;
  readonly token: InjectionToken<object>;
  readonly inner: Node;
}

/** A dependency that only tsyringe can resolve: a factory, `delay()`, `@injectAll`, a transform. */
export interface DynamicNode {
  readonly kind: 'dynamic';
  readonly name: string;
  readonly dependency: Dependency;
  /** The nodes that it leads to, evaluated late because `delay()` closes circles. */
  readonly inner: () => readonly Node[];
}

/** A constructor parameter in tsyringe's metadata: a token, or a descriptor. */
export type Dependency = InjectionToken<unknown> | Descriptor;

/** The metadata that `@inject`, `@injectAll` and their variants with transforms leave. */
export interface Descriptor {
  readonly token: InjectionToken<unknown>;
  readonly multiple?: boolean;
  readonly isOptional?: boolean;
  readonly transform?: InjectionToken<{ transform(value: unknown, ...args: unknown[]): unknown }>;
  readonly transformArgs?: readonly unknown[];
}

/** Whether a parameter has a descriptor in place of a type. */
export function isDescriptor(value: unknown): value is Descriptor {
  return typeof value === 'object' && value !== null && !isDelayed(value) && 'token' in value;
}

/** Reads the dependency graphs of classes, without creating instances. */
export class Graph {
  readonly #container: Internals;
  readonly #classes = new Map<unknown, Node>();
  readonly #registrations = new Map<Registration, Node>();

  constructor(container: DependencyContainer) {
    this.#container = internals(container);
  }

  /** The graph of a class that `usedBy` needs. @throws ConfigurationError if the class cannot be created */
  of(target: Class, usedBy: string): Node {
    return this.#token(target, { usedBy, steps: [] });
  }

  /** The node of a registration that belongs to a scope, a scoped class or `Context`; undefined for all others. */
  ofScope(registration: Registration): Node | undefined {
    if (isContextOfScope(registration.provider)) return { kind: 'context' };
    if (!isScoped(registration)) return undefined;
    const { useClass, useToken } = registration.provider;
    return this.#registered(useClass ?? useToken, registration, { usedBy: 'a factory', steps: [] });
  }

  #dependency(dependency: unknown, path: ResolutionPath): Node {
    if (!isDescriptor(dependency)) return this.#token(dependency, path);
    const { token, multiple, isOptional, transform } = dependency;
    const missing = isKey(token) && this.#lookup(token).length === 0;
    if (missing && isOptional === true && transform === undefined) {
      return { kind: 'value', value: multiple ? [] : undefined };
    }
    if (!multiple && transform === undefined) return this.#token(token, path);

    const inner =
      missing && isOptional === true ? [] : multiple ? this.#all(token, path) : [this.#token(token, path)];
    if (transform !== undefined) inner.push(this.#token(transform, path));
    return { kind: 'dynamic', name: nameOf(token), dependency, inner: () => inner };
  }

  #token(token: unknown, path: ResolutionPath): Node {
    if (isDelayed(token)) return this.#delayed(token, token, path);
    const registration = isKey(token) || typeof token === 'function' ? this.#lookup(token).at(-1) : undefined;
    if (registration !== undefined) return this.#registered(token, registration, path);
    if (isKey(token)) throw unregistered(token, path);
    if (typeof token !== 'function' || isBuiltIn(token)) throw untyped(path);
    return this.#class(token as Class, path);
  }

  #all(token: unknown, path: ResolutionPath): Node[] {
    const registrations = this.#lookup(token);
    if (registrations.length === 0) return [this.#token(token, path)];
    return registrations.map((registration) => this.#registered(token, registration, path));
  }

  #delayed(delayed: { wrap(): unknown }, dependency: unknown, path: ResolutionPath): Node {
    const inner = () => [this.#token(delayed.wrap(), { ...path, steps: [] })];
    return { kind: 'dynamic', name: 'delay()', dependency: dependency as Dependency, inner };
  }

  #registered(token: unknown, registration: Registration, path: ResolutionPath): Node {
    const known = this.#registrations.get(registration);
    if (known !== undefined) return known;

    const further = enter(registration, nameOf(token), path);
    const node = this.#lived(token, registration, this.#provided(token, registration.provider, further));
    this.#registrations.set(registration, node);
    return node;
  }

  #provided(token: unknown, provider: Registration['provider'], path: ResolutionPath): Node {
    if (isContextOfScope(provider)) return { kind: 'context' };
    if ('useFactory' in provider) {
      return { kind: 'dynamic', name: nameOf(token), dependency: token as Dependency, inner: () => [] };
    }
    if ('useToken' in provider) return this.#token(provider.useToken, path);
    if (isDelayed(provider.useClass)) return this.#delayed(provider.useClass, token, path);
    if ('useClass' in provider) return this.#class(provider.useClass as Class, path);
    return { kind: 'value', value: provider.useValue };
  }

  #lived(token: unknown, { provider, options }: Registration, inner: Node): Node {
    const name = typeof provider.useClass === 'function' ? provider.useClass.name : nameOf(token);
    switch (options.lifecycle) {
      case Lifecycle.Singleton:
        return { kind: 'singleton', name, token: token as InjectionToken<object>, inner };
      case Lifecycle.ContainerScoped:
        return { kind: 'cached', per: 'scope', name, inner };
      case Lifecycle.ResolutionScoped:
        return { kind: 'cached', per: 'resolution', name, inner };
      default:
        return inner;
    }
  }

  #class(target: Class, path: ResolutionPath): Node {
    const further = enter(target, target.name, path);
    const known = this.#classes.get(target);
    if (known !== undefined) return known;

    const params = dependenciesOf(target, path.usedBy).map((dependency, index) =>
      this.#dependency(dependency, { ...further, at: { target, index } }),
    );
    const node: Node = { kind: 'new', target, params };
    this.#classes.set(target, node);
    return node;
  }

  #lookup(token: unknown): Registration[] {
    return registrationsOf(this.#container, token);
  }
}

/** The facts about a graph that decide how its class is provided. */
export interface GraphSummary {
  /** Names of the scoped classes. */
  readonly scoped: readonly string[];
  /** Singletons, each after its own dependencies. */
  readonly singletons: readonly Singleton[];
}

/** Summarizes a graph. @throws ConfigurationError if a singleton in it would capture a scoped class */
export function summarize(root: Node, usedBy: string): GraphSummary {
  const scoped = new Set<string>();
  const singletons: Singleton[] = [];
  const seen = new Set<Node>();
  const walk = (node: Node, shared: boolean): void => {
    if (seen.has(node)) return;
    seen.add(node);
    if (node.kind === 'singleton') {
      const chain = chainToScoped(node.inner, new Set());
      if (chain !== undefined) throw captive([node.name, ...chain], usedBy);
      walk(node.inner, true);
      singletons.push(node);
      return;
    }
    const name = scopedName(node);
    if (name !== undefined && !shared) scoped.add(name);
    for (const inner of innerOf(node)) walk(inner, shared);
  };
  walk(root, false);
  return { scoped: [...scoped], singletons };
}

function chainToScoped(node: Node, seen: Set<Node>): string[] | undefined {
  if (seen.has(node)) return undefined;
  seen.add(node);
  const name = scopedName(node);
  if (name !== undefined) return [name];
  for (const inner of innerOf(node)) {
    const chain = chainToScoped(inner, seen);
    if (chain !== undefined) return 'name' in node ? [node.name, ...chain] : [...stepOf(node), ...chain];
  }
  return undefined;
}

function stepOf(node: Node): string[] {
  return node.kind === 'new' ? [nameOf(node.target)] : [];
}

function scopedName(node: Node): string | undefined {
  if (node.kind === 'context') return 'Context';
  return node.kind === 'cached' && node.per === 'scope' ? node.name : undefined;
}

function innerOf(node: Node): readonly Node[] {
  switch (node.kind) {
    case 'new':
      return node.params;
    case 'dynamic':
      return node.inner();
    case 'cached':
    case 'singleton':
      return [node.inner];
    default:
      return [];
  }
}

function isKey(token: unknown): token is string | symbol {
  return typeof token === 'string' || typeof token === 'symbol';
}

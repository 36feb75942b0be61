import type { DependencyContainer } from 'tsyringe';
import type { Class } from './dependencies.js';
import { isDescriptor, type Dependency } from './graph.js';
import type { Scope } from './scope.js';

/** Gives one dependency in a scope. `resolution` holds what is made once per resolution. */
export type Make = (scope: Scope, resolution: unknown[]) => unknown;

export function constant(value: unknown): Make {
  return () => value;
}

export function perScope(slot: number, make: Make): Make {
  return (scope, resolution) => (scope.slots[slot] ??= make(scope, resolution));
}

export function perResolution(slot: number, make: Make): Make {
  return (scope, resolution) => (resolution[slot] ??= make(scope, resolution));
}

export function constructing(target: Class, params: readonly Make[]): Make {
  const Target = target as new (...args: unknown[]) => object;
  return (scope, resolution) => scope.own(new Target(...params.map((make) => make(scope, resolution))));
}

export function resolveFrom(container: DependencyContainer, dependency: Dependency): unknown {
  if (!isDescriptor(dependency)) return container.resolve(dependency);
  const { token, multiple, isOptional, transform, transformArgs = [] } = dependency;
  const missing = isOptional === true && typeof token !== 'function' && !container.isRegistered(token, true);
  const value = multiple
    ? missing
      ? []
      : container.resolveAll(token)
    : missing
      ? undefined
      : container.resolve(token);
  return transform === undefined ? value : container.resolve(transform).transform(value, ...transformArgs);
}

import 'reflect-metadata';
import { injectable } from 'tsyringe';
import { undecorated } from './errors.js';

/** A constructor. */
export type Class<T = object> = new (...args: never[]) => T;

/**
 * The tokens of a constructor's parameters, in order; `undefined` for a parameter without a known type. A class without
 * a constructor has the dependencies of its base.
 * @throws ConfigurationError for parameters without emitted types
 */
export function dependenciesOf(target: Class, usedBy: string): readonly unknown[] {
  const written = authorOf(target);
  if (written === undefined) {
    if (target.length > 0) throw undecorated(target, usedBy);
    return [];
  }

  const types = ownTypes(written);
  const tokens = ownTokens(written);
  const count = Math.max(
    types?.length ?? written.length,
    ...Object.keys(tokens).map((key) => Number(key) + 1),
  );
  const dependencies = Array.from({ length: count }, (_, index) => tokens[index] ?? types?.[index]);
  if (types === undefined && dependencies.includes(undefined)) throw undecorated(written, usedBy);
  if (count > 0) registerInjectable(target, dependencies);
  return dependencies;
}

/** The class, `target` or a base, whose constructor receives the arguments; undefined without metadata. */
function authorOf(target: Class): Class | undefined {
  let current: unknown = target;
  while (typeof current === 'function') {
    const candidate = current as Class;
    if (ownTypes(candidate) !== undefined || Object.keys(ownTokens(candidate)).length > 0) return candidate;
    if (candidate.length > 0 || writesConstructor(candidate)) return undefined;
    current = Object.getPrototypeOf(candidate);
  }
  return undefined;
}

// Compilers for targets below ES2022 write `constructor() { super(...arguments) }`, which passes all on.
function writesConstructor(target: Class): boolean {
  const source = Function.prototype.toString.call(target).replace(COMMENTS, '');
  return /(?<![\w$.#])constructor\s*\(/.test(source) && !/\bsuper\(\.\.\.arguments\)/.test(source);
}

// tsyringe resolves only classes that injectable() has registered, and changes inherited metadata in place.
function registerInjectable(target: Class, dependencies: readonly unknown[]): void {
  if (ownTypes(target) === undefined) Reflect.defineMetadata('design:paramtypes', [...dependencies], target);
  injectable()(target as new (...args: unknown[]) => object);
}

function ownTypes(target: Class): readonly unknown[] | undefined {
  return Reflect.getOwnMetadata('design:paramtypes', target) as readonly unknown[] | undefined;
}

function ownTokens(target: Class): Readonly<Record<string, unknown>> {
  return (Reflect.getOwnMetadata('injectionTokens', target) ?? {}) as Readonly<Record<string, unknown>>;
}

const COMMENTS = /\/\*[\s\S]*?\*\/|\/\/.*$/gm;

import { ConfigurationError } from '../base/errors.js';

/** A class in an error message. */
type Constructor = new (...args: never[]) => object;

/** The path of a resolution: the first user, and the classes and tokens on the way. */
export interface ResolutionPath {
  readonly usedBy: string;
  readonly steps: readonly { readonly key: unknown; readonly name: string }[];
  /** The parameter of a constructor that is being resolved. */
  readonly at?: { readonly target: Constructor; readonly index: number };
}

/** Adds a step. @throws ConfigurationError for a circular dependency */
export function enter(key: unknown, name: string, path: ResolutionPath): ResolutionPath {
  const steps = [...path.steps, { key, name }];
  const start = path.steps.findIndex((step) => step.key === key);
  if (start !== -1) throw circular(chainOf(steps.slice(start)), path);
  return { ...path, steps };
}

/** Whether a token is one that the compiler emits for types that cannot be injected. */
export function isBuiltIn(token: unknown): boolean {
  return BUILT_IN.has(token);
}

/** A token, as errors call it. */
export function nameOf(token: unknown): string {
  if (typeof token === 'function') return token.name === '' ? '(anonymous class)' : token.name;
  return typeof token === 'string' ? `"${token}"` : String(token);
}

export function undecorated(target: Constructor, usedBy: string): ConfigurationError {
  const count = target.length === 1 ? '1 parameter' : `${target.length} parameters`;
  return new ConfigurationError(
    `${nameOf(target)} (wanted by ${usedBy}) is an undecorated constructor with ${count}, whose types are unknown ` +
      `at run time, ${parameter(target, 0)} first: add @injectable() to ${nameOf(target)}. If it is decorated, the ` +
      'compiler emits no decorator metadata (tsx, esbuild, swc without that option and the type stripping of Node ' +
      'do not): compile with tsc and "emitDecoratorMetadata": true, or put @inject(token) before each parameter',
    { code: 'UNKNOWN_DEPENDENCY' },
  );
}

export function untyped(path: ResolutionPath): ConfigurationError {
  return new ConfigurationError(
    `${place(path)} has no type that exists at run time and can be injected (an interface, a primitive, an ` +
      '`import type`, or a circular import). Put @inject(token) before it, import its class with a real import ' +
      'instead of `import type`, or, where two files import each other, use @inject(delay(() => ItsClass))',
    { code: 'UNKNOWN_DEPENDENCY' },
  );
}

export function unregistered(token: string | symbol, path: ResolutionPath): ConfigurationError {
  return new ConfigurationError(
    `${place(path)} asks for the token ${nameOf(token)}, which is not registered: register it on the container ` +
      'before the application starts, or make it optional with @inject(token, { isOptional: true })',
    { code: 'UNKNOWN_DEPENDENCY' },
  );
}

/** @param chain from the singleton to the scoped class */
export function captive(chain: readonly string[], usedBy: string): ConfigurationError {
  const names = withoutRepeats(chain);
  const [first] = names;
  const last = names.at(-1);
  const remedy = last === 'Context' ? '' : `, or ${last} not scoped`;
  return new ConfigurationError(
    `${names.join(' -> ')} (wanted by ${usedBy}): ${first} lives as long as the application and would keep the ` +
      `${last} of one scope for all others. Make ${first} transient or @scoped(Lifecycle.ContainerScoped)${remedy}`,
    { code: 'CAPTIVE_DEPENDENCY' },
  );
}

/** A caching factory would keep an instance of one scope for all others. */
export function capturedByFactory(reached: string): ConfigurationError {
  return new ConfigurationError(
    `a factory that keeps what it makes (instanceCachingFactory) needs the ${reached} of one scope, and would keep it for ` +
      'all others: register the class that it makes as @scoped(Lifecycle.ContainerScoped) instead',
    { code: 'CAPTIVE_DEPENDENCY' },
  );
}

function circular(chain: string, path: ResolutionPath): ConfigurationError {
  return new ConfigurationError(
    `circular dependency ${chain} at ${place(path)}: break it with @inject(delay(() => ItsClass)), or move what ` +
      'both need into a third class',
    { code: 'CIRCULAR_DEPENDENCY' },
  );
}

function place({ at, steps, usedBy }: ResolutionPath): string {
  if (at === undefined) return `what ${usedBy} wants`;
  const chain = steps.length > 1 ? `${chainOf(steps)}, ` : '';
  return `${parameter(at.target, at.index)} of the constructor of ${nameOf(at.target)} (${chain}wanted by ${usedBy})`;
}

// Names are in the source as long as no parameter has a default value, which may hold a comma.
function parameter(target: Constructor, index: number): string {
  const source = Function.prototype.toString.call(target);
  const name = /(?<![\w$.#])constructor\s*\(([\w$,\s]*)\)/.exec(source)?.[1]?.split(',')[index]?.trim();
  return name ? `parameter #${index} "${name}"` : `parameter #${index}`;
}

function chainOf(steps: ResolutionPath['steps']): string {
  return withoutRepeats(steps.map((step) => step.name)).join(' -> ');
}

// A decorated class is a step as a token and another one as a class.
function withoutRepeats(names: readonly string[]): string[] {
  return names.filter((name, index) => name !== names[index - 1]);
}

const BUILT_IN = new Set<unknown>([
  Object,
  String,
  Number,
  Boolean,
  Symbol,
  BigInt,
  Array,
  Function,
  Promise,
]);

import 'reflect-metadata';
import {
  container as globalContainer,
  delay,
  Lifecycle,
  type DependencyContainer,
  type InjectionToken,
} from 'tsyringe';
import { ConfigurationError } from '../base/errors.js';
import { nameOf } from './errors.js';

/** A registration in a container. */
export interface Registration {
  readonly provider: {
    readonly useValue?: unknown;
    readonly useClass?: unknown;
    readonly useToken?: InjectionToken<unknown>;
    readonly useFactory?: unknown;
  };
  readonly options: { readonly lifecycle: Lifecycle };
  instance?: unknown;
}

/** The private side of a container. */
export interface Internals {
  readonly parent?: Internals;
  readonly _registry: {
    has(token: unknown): boolean;
    getAll(token: unknown): Registration[];
    setAll(token: unknown, registrations: Registration[]): void;
  };
  readonly disposables: Set<object>;
  disposed: boolean;
  getRegistration(token: unknown): Registration | null;
  getAllRegistrations(token: unknown): Registration[] | null;
  construct(target: unknown, resolution: unknown): unknown;
  resolveRegistration(registration: Registration, resolution: unknown): unknown;
}

/**
 * The private side of a container. tsyringe has no public way to read a registration without resolving it,
 * nor to observe which instances a container creates; reading a graph before its instances exist needs both.
 */
export function internals(container: DependencyContainer): Internals {
  const inner = container as unknown as Internals;
  if (typeof inner.resolveRegistration !== 'function' || inner._registry === undefined) {
    throw new ConfigurationError(
      'the container given is not one of tsyringe 4: pass its `container` or a child of it',
      { code: 'INVALID_CONTAINER' },
    );
  }
  if (inner.constructor !== globalContainer.constructor) {
    throw new ConfigurationError(
      'the container given is of another copy of tsyringe than the one that coequal loads: install one version for ' +
        'both (npm ls tsyringe shows the copies, npm dedupe merges them)',
      { code: 'INVALID_CONTAINER' },
    );
  }
  return inner;
}

/**
 * The registrations of a token in the nearest container. Those of singletons and scoped classes are copied down from a
 * parent: a registration keeps its instance, which two applications or scopes would share.
 */
export function registrationsOf(container: Internals, token: unknown): Registration[] {
  let holder: Internals | undefined = container;
  while (holder !== undefined && !holder._registry.has(token)) holder = holder.parent;
  const found = holder?._registry.getAll(token) ?? [];
  if (holder === container || !found.some(keepsInstance)) return found;
  const own = found.map((each) =>
    keepsInstance(each) ? { provider: each.provider, options: each.options } : each,
  );
  container._registry.setAll(token, own);
  return own;
}

function keepsInstance(registration: Registration): boolean {
  return registration.options.lifecycle === Lifecycle.Singleton || isScoped(registration);
}

/** Whether `delay()` returned the value. */
export function isDelayed(value: unknown): value is { wrap(): unknown } {
  return value instanceof DelayedConstructor;
}

/** Marks the provider of `Context` as the application's own: a test may register another. */
export function contextOfScope(refuse: () => never): { useFactory: () => never } {
  CONTEXTS.add(refuse);
  return { useFactory: refuse };
}

/** The name of a registration in error messages. */
export function nameOfRegistration({ provider }: Registration): string {
  return nameOf(provider.useClass ?? provider.useToken);
}

/** True for a registration that lives as long as a container, which for the application is a scope. */
export function isScoped({ options }: Registration): boolean {
  return options.lifecycle === Lifecycle.ContainerScoped;
}

const CONTEXTS = new WeakSet<object>();

/** True for the provider that `contextOfScope` made. */
export function isContextOfScope({ useFactory }: Registration['provider']): boolean {
  return typeof useFactory === 'function' && CONTEXTS.has(useFactory);
}

// tsyringe does not export the class of what delay() returns.
const DelayedConstructor = delay(() => Object).constructor;

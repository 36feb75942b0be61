import { ConfigurationError } from './errors.js';

/** What an option takes, in words, and the check of a value. */
export type Check = readonly [takes: string, is: (value: unknown) => boolean];

/** The check of each option; undefined if the code that uses the option checks it. */
export type Checks<T> = { readonly [Name in keyof Required<T>]: Check | undefined };

/**
 * Checks options, so that a misspelt option is an error and not a missing option.
 * @throws ConfigurationError for the first unknown option, or the first value of a wrong type
 */
export function checkOptionsOf<T extends object>(given: T, checks: Checks<T>, where: string): void {
  if (!isObject(given) || Array.isArray(given)) {
    throw new ConfigurationError(
      `${where} takes an object of options (${Object.keys(checks).join(', ')}), not ${describe(given)}`,
      { code: 'INVALID_OPTION' },
    );
  }
  for (const key of Object.keys(given)) {
    if (Object.hasOwn(checks, key)) continue;
    const known = Object.keys(checks).join(', ');
    throw new ConfigurationError(`${where}: there is no option \`${key}\`; there are ${known}`, {
      code: 'INVALID_OPTION',
    });
  }
  for (const [name, check] of Object.entries<Check | undefined>(checks)) {
    const value = (given as Record<string, unknown>)[name];
    if (check === undefined || value === undefined || check[1](value)) continue;
    throw new ConfigurationError(`${where}: ${name} takes ${check[0]}, not ${describe(value)}`, {
      code: 'INVALID_OPTION',
    });
  }
}

export const SWITCH: Check = ['true or false', (value) => typeof value === 'boolean'];
export const TEXT: Check = ['text', (value) => typeof value === 'string'];
export const POSITIVE: Check = ['a positive number', (value) => typeof value === 'number' && value > 0];
export const COUNT: Check = ['a number from 0', (value) => typeof value === 'number' && value >= 0];
export const TEXTS: Check = [
  'a list of texts',
  (value) => Array.isArray(value) && value.every((one) => typeof one === 'string'),
];
export const OBJECT: Check = ['an object', isObject];

/** One of a few values. */
export function oneOf(...values: readonly (string | boolean)[]): Check {
  return [
    values.map((value) => (typeof value === 'string' ? `'${value}'` : String(value))).join(', '),
    (given) => values.includes(given as string),
  ];
}

/** A function, shown with its parameters: `(error, ctx)`. */
export function callback(parameters: string): Check {
  return [`a function ${parameters}`, isFunction];
}

/** An object with methods. */
export function withMethods(what: string, ...methods: readonly string[]): Check {
  return [
    `${what}, with ${methods.map((method) => `${method}()`).join(', ')}`,
    (value) =>
      isObject(value) && methods.every((name) => isFunction((value as Record<string, unknown>)[name])),
  ];
}

export function isFunction(value: unknown): boolean {
  return typeof value === 'function';
}

export function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}

/** Describes a value in error messages. */
export function describe(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`;
  if (typeof value === 'function') return `the function ${value.name || 'without a name'}`;
  if (!isObject(value)) return String(value);
  return Array.isArray(value)
    ? 'a list'
    : `an object of ${(value as object).constructor?.name ?? 'no class'}`;
}

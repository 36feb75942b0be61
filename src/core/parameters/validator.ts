import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { Schema } from '../input/convert.js';
import type { Class } from '../injection/injection.js';
import { isThenable } from '../base/promises.js';

/** The result of a validator: `{ value }`, or `{ issues }` with path and message of each (Standard Schema). */
export type Validated = StandardSchemaV1.Result<unknown>;

/**
 * Validates inputs that are declared as classes: `createApp({ validator })`. `classValidator()` from `coequal/class-validator` is
 * one; implement it for any other library.
 */
export interface Validator {
  /** Whether it can validate a class. Called at start-up, where a class that it cannot validate is an error. */
  validates(type: Class): boolean;
  /**
   * Gives the instance, without fields that the class does not declare, or the issues. `text` is true where all fields
   * are texts: query, path, header fields, cookies, and the fields of a form.
   */
  validate(type: Class, value: unknown, input: { readonly text: boolean }): Validated | Promise<Validated>;
}

/** The schema by which the validator checks a class, or a list of one, `[Dto]`; undefined where it does not. */
export function schemaOf(validator: Validator | undefined, type: unknown, text: boolean): Schema | undefined {
  if (validator === undefined) return undefined;
  if (Array.isArray(type)) {
    const one = type.length === 1 ? schemaOf(validator, type[0], text) : undefined;
    return one === undefined ? undefined : schema((value) => each(one, value));
  }
  if (typeof type !== 'function' || OWN.has(type) || !validator.validates(type as Class)) return undefined;
  return schema((value) => validator.validate(type as Class, value, { text }));
}

/** What no validator is asked for. */
const OWN: ReadonlySet<unknown> = new Set([
  Object,
  String,
  Number,
  Boolean,
  BigInt,
  Date,
  Array,
  Buffer,
  Uint8Array,
]);

function schema(validate: (value: unknown) => Validated | Promise<Validated>): Schema {
  return { '~standard': { version: 1, vendor: 'coequal', validate } };
}

/** Elements are validated one after the other, so that a long list starts no work that is not needed. */
async function each(one: Schema, list: unknown): Promise<Validated> {
  if (!Array.isArray(list)) return { issues: [{ message: 'expected a list' }] };
  const values: unknown[] = [];
  const issues: StandardSchemaV1.Issue[] = [];
  for (const [index, element] of list.entries()) {
    const result = one['~standard'].validate(element);
    const { issues: found, ...outcome } = isThenable(result) ? await result : result;
    for (const issue of found ?? []) issues.push({ ...issue, path: [index, ...(issue.path ?? [])] });
    if ('value' in outcome) values.push(outcome.value);
  }
  return issues.length > 0 ? { issues } : { value: values };
}

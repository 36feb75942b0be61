import { plainToInstance } from 'class-transformer';
import { getMetadataStorage, validate, type ValidationError, type ValidatorOptions } from 'class-validator';
import { convertTo, InvalidInput } from './core/convert.js';
import type { Validated, Validator } from './core/validator.js';

/**
 * Validates inputs declared as classes by the decorators of class-validator, and makes instances of them by
 * class-transformer: `createApp({ validator: classValidator() })`.
 *
 * Properties without a decorator are removed: `whitelist` is true by default, and so is `forbidUnknownValues`. With
 * `forbidNonWhitelisted: true` they are refused instead. Fields of query, path, header fields and cookies are texts:
 * they are converted to properties declared as number, boolean, Date or a list.
 */
export function classValidator(options: ValidatorOptions = {}): Validator {
  const settings: ValidatorOptions = {
    whitelist: true,
    forbidUnknownValues: true,
    ...options,
    validationError: { target: false, value: false },
  };
  return {
    validates: (type) => getMetadataStorage().getTargetValidationMetadatas(type, '', false, false).length > 0,
    async validate(type, value, { text }) {
      // Of a list class-transformer would make a list of instances, which validates as if it were one.
      if (typeof value !== 'object' || value === null || Array.isArray(value)) {
        return { issues: [{ message: 'expected an object' }] };
      }
      const made = instantiate(() => plainToInstance(type as new () => object, value), value);
      if (made === undefined) return { issues: [{ message: 'expected plain values' }] };
      if (text) convertFields(type.prototype as object, made as Record<string, unknown>);
      const issues = (await validate(made, settings)).flatMap((error) => violations(error, []));
      return issues.length > 0 ? { issues } : { value: made };
    },
  };
}

/** Undefined for input that class-transformer fails at: too deep, or with a `constructor` that it would call. */
function instantiate(make: () => object, value: object): object | undefined {
  try {
    return make();
  } catch (error) {
    if (error instanceof RangeError || hasConstructor(value)) return undefined;
    throw error;
  }
}

function hasConstructor(value: object): boolean {
  const rest: object[] = [value];
  for (let one = rest.pop(); one !== undefined; one = rest.pop()) {
    if (Object.hasOwn(one, 'constructor')) return true;
    for (const inner of Object.values(one) as unknown[]) {
      if (typeof inner === 'object' && inner !== null) rest.push(inner);
    }
  }
  return false;
}

/** What decorators of the property have not converted yet is converted as `@Query('name')` does. */
function convertFields(prototype: object, made: Record<string, unknown>): void {
  for (const key of Object.keys(made)) {
    const value = made[key];
    const type: unknown = Reflect.getMetadata('design:type', prototype, key);
    if (type === Array && value !== undefined && !Array.isArray(value)) made[key] = [value];
    else if (typeof value === 'string') made[key] = converted(type, value);
  }
}

/** The text itself where it cannot be converted: its validator refuses it. */
function converted(type: unknown, text: string): unknown {
  try {
    return convertTo(type, '', '')?.(text) ?? text;
  } catch (error) {
    if (error instanceof InvalidInput) return text;
    throw error;
  }
}

function violations(
  { property, constraints = {}, children = [] }: ValidationError,
  above: readonly string[],
): NonNullable<Validated['issues']>[number][] {
  const path = property === undefined ? above : [...above, property];
  return [
    ...Object.values(constraints).map((message) => ({ path, message })),
    ...children.flatMap((child) => violations(child, path)),
  ];
}

import { plainToInstance } from 'class-transformer';
import {
  getMetadataStorage,
  IS_BOOLEAN,
  IS_DATE,
  IS_ENUM,
  IS_IN,
  IS_INT,
  IS_NUMBER,
  validate,
  type ValidationError,
  type ValidatorOptions,
} from 'class-validator';
import { convertTo, InvalidInput } from './core/input/convert.js';
import { checkOptionsOf, isObject, SWITCH, TEXTS, type Checks } from './core/base/option-checks.js';
import type { Class } from './core/injection/injection.js';
import type { Validated, Validator } from './core/parameters/validator.js';

const OPTIONS: Checks<ValidatorOptions> = {
  enableDebugMessages: SWITCH,
  skipUndefinedProperties: SWITCH,
  skipNullProperties: SWITCH,
  skipMissingProperties: SWITCH,
  whitelist: SWITCH,
  forbidNonWhitelisted: SWITCH,
  groups: TEXTS,
  always: SWITCH,
  strictGroups: SWITCH,
  dismissDefaultMessages: SWITCH,
  validationError: ['an object', isObject],
  forbidUnknownValues: SWITCH,
  stopAtFirstError: SWITCH,
};

/**
 * Validates inputs that are declared as classes with the decorators of class-validator, and creates their instances with
 * class-transformer: `createApp({ validator: classValidator() })`.
 *
 * Removes properties without a decorator, because `whitelist` is true by default; with `forbidNonWhitelisted: true` they are a
 * 400. `forbidUnknownValues` is true by default. Query, path, header fields, cookies and forms are text, so their fields are
 * converted to the declared type of the property, or to that of its decorators (`@IsInt({ each: true })`).
 *
 * If a `@Transform()` throws an `HttpError`, that is the response; any other error is a 500.
 */
export function classValidator(options: ValidatorOptions = {}): Validator {
  checkOptionsOf(options, OPTIONS, 'classValidator');
  const settings: ValidatorOptions = {
    whitelist: true,
    forbidUnknownValues: true,
    ...options,
    validationError: { target: false, value: false },
  };
  return {
    validates: (type) => decoratorsOf(type).length > 0,
    async validate(type, value, { text }) {
      // class-transformer would turn a list into a list of instances, which passes validation as one instance.
      if (typeof value !== 'object' || value === null || Array.isArray(value)) {
        return { issues: [{ message: 'expected an object' }] };
      }
      const made = instantiate(() => plainToInstance(type as new () => object, value), value);
      if (made === undefined) return { issues: [{ message: 'expected plain values' }] };
      if (text) convertFields(type, made as Record<string, unknown>);
      const issues = (await validate(made, settings)).flatMap((error) => violations(error, []));
      return issues.length > 0 ? { issues } : { value: made };
    },
  };
}

/** Undefined for input that class-transformer cannot process: too deep, or with a `constructor` that it would call. */
function instantiate(make: () => object, value: object): object | undefined {
  try {
    return make();
  } catch (error) {
    if (isOverflow(error) || hasConstructor(value)) return undefined;
    throw error;
  }
}

/** A `@Transform()` may throw other range errors. */
function isOverflow(error: unknown): boolean {
  return error instanceof RangeError && error.message.includes('call stack');
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

type ValidationMetadata = ReturnType<
  ReturnType<typeof getMetadataStorage>['getTargetValidationMetadatas']
>[number];

function decoratorsOf(type: Class): ValidationMetadata[] {
  return getMetadataStorage().getTargetValidationMetadatas(type, '', false, false);
}

/** Converts the fields that no decorator has converted, as `@Query('name')` does. */
function convertFields(type: Class, made: Record<string, unknown>): void {
  for (const key of Object.keys(made)) {
    const value = made[key];
    const decorators = decoratorsOf(type).filter(({ propertyName }) => propertyName === key);
    const declared: unknown = Reflect.getMetadata('design:type', type.prototype as object, key);
    if (Array.isArray(value)) made[key] = value.map((one) => converted(one, declared, decorators));
    else if (value === undefined || !isList(declared, decorators))
      made[key] = converted(value, declared, decorators);
    else made[key] = [converted(value, declared, decorators)];
  }
}

function isList(declared: unknown, decorators: readonly ValidationMetadata[]): boolean {
  return (
    declared === Array ||
    decorators.some(({ each, name }) => each || name?.startsWith('array') || name === 'isArray')
  );
}

/** The converted text, or the text itself for its validator to reject. */
function converted(text: unknown, declared: unknown, decorators: readonly ValidationMetadata[]): unknown {
  if (typeof text !== 'string') return text;
  for (const type of [declared, ...decorators.map(({ name }) => DEMANDED.get(name ?? ''))]) {
    const convert = type === String ? undefined : convertTo(type, '', '');
    if (convert === undefined) continue;
    try {
      return convert(text);
    } catch (error) {
      if (error instanceof InvalidInput) return text;
      throw error;
    }
  }
  return member(text, decorators);
}

/** Types by decorator: the compiler emits none for elements and unions. */
const DEMANDED = new Map<string, unknown>([
  [IS_INT, Number],
  [IS_NUMBER, Number],
  [IS_BOOLEAN, Boolean],
  [IS_DATE, Date],
]);

/** The value of an enum or of a list of values whose text this is. */
function member(text: string, decorators: readonly ValidationMetadata[]): unknown {
  for (const { name, constraints } of decorators) {
    if (name !== IS_ENUM && name !== IS_IN) continue;
    const [given, values = given] = constraints as readonly unknown[];
    const list: readonly unknown[] = Array.isArray(values) ? values : Object.values(given as object);
    const found = list.includes(text) ? text : list.find((one) => String(one) === text);
    if (found !== undefined) return found;
  }
  return text;
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

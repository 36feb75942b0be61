import { isSchema } from '../input/convert.js';
import type { ParameterMetadata } from '../routing/metadata.js';
import { Multipart } from '../input/multipart.js';

const VALUES: ReadonlySet<unknown> = new Set([String, Number, Boolean, Date]);
const BODIES: ReadonlySet<unknown> = new Set([...VALUES, Object, Buffer, Uint8Array, Multipart]);

const VALIDATOR =
  'decorate its properties (@IsInt() …) and set createApp({ validator: classValidator() }) from coequal/class-validator';

/** Whether an argument of an input decorator says what the input is. */
export function isForm(arg: unknown): boolean {
  return isSchema(arg) || BODIES.has(arg) || isList(arg);
}

/** `[Number]`, `[String]` …: a list whose elements are converted. */
export function isList(arg: unknown): arg is readonly [unknown] {
  return Array.isArray(arg) && arg.length === 1 && (VALUES.has(arg[0]) || arg[0] === Object);
}

/** What is wrong with the arguments of a built-in input decorator; undefined where nothing is. */
export function wrongArgument({ args, named, takes }: ParameterMetadata): string | undefined {
  if (!named && takes !== 'body' && takes !== 'socket') return undefined;
  const forms = named && typeof args[0] === 'string' ? args.slice(1) : args;
  for (const form of forms) {
    if (isForm(form)) {
      if (!named || isSchema(form) || isList(form) || VALUES.has(form) || form === Object) continue;
      return `it gives texts, of which no ${nameOf(form)} is made: give String, or a schema`;
    }
    if (Array.isArray(form)) {
      return form.length === 1 && form[0] === undefined
        ? 'the element of its list is undefined, most often because of a circular import: import it from a file that imports nothing back'
        : `nothing validates or converts to its list: [Number], and lists of String, Boolean, Date or Object are converted; give a schema for others, or for a class ${VALIDATOR}`;
    }
    if (form === undefined) {
      return 'its argument is undefined, most often because of a circular import: import the schema from a file that imports nothing back';
    }
    if (typeof form === 'function') {
      const remedy = typeof args[0] === 'string' ? '' : `, or ${VALIDATOR}`;
      return `nothing validates or converts to ${form.name || 'this function'}: give a Standard Schema (zod, valibot, arktype)${remedy}`;
    }
    return 'its argument is neither a type nor a Standard Schema (zod, valibot, arktype): wrap a validator of another kind into one';
  }
  return forms.length > 1 ? 'it takes one type or one schema' : undefined;
}

/**
 * What is wrong with a type that nothing but the compiler has declared; undefined where it can be converted, or taken
 * as it is on purpose.
 */
export function wrongType(
  { name, args, takes }: ParameterMetadata,
  type: unknown,
  whole: boolean,
): string | undefined {
  const field = typeof args[0] === 'string' ? `'${args[0]}', ` : '';
  const like = (form: string): string => `@${name}(${field}${form})`;
  if (whole) {
    return type === undefined || type === Object
      ? undefined
      : `nothing converts a whole record to ${nameOf(type)}: give a schema, ${like('schema')}, declare a Record<string, unknown>, or ${VALIDATOR}`;
  }
  if (takes === 'body' ? BODIES.has(type) : VALUES.has(type)) return undefined;
  if (type === Array) {
    return `the compiler emits no type for the elements of an array: give ${like('[Number]')}, ${like('[String]')} or a schema`;
  }
  if (type === Object || type === undefined) {
    return (
      `the compiler emits ${nameOf(type)} for its type (a union, an interface, unknown, or a default value without a type), which says nothing of it: give ` +
      `${like('Number')} or another type, or a schema, or declare \`?: number\` instead of \`number | undefined\`; ` +
      `${like('Object')} takes the value as it came`
    );
  }
  if (type === BigInt) {
    return `bigint is not converted: give a schema that does, or ${like('String')} and convert it by BigInt(…)`;
  }
  const remedy = field === '' ? `, or ${VALIDATOR}` : '';
  return `nothing validates or converts to ${nameOf(type)}: give a schema (zod, valibot, arktype), ${like('schema')}${remedy}`;
}

function nameOf(type: unknown): string {
  return typeof type === 'function' && type.name !== '' ? type.name : String(type);
}

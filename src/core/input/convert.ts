import type { StandardSchemaV1 } from '@standard-schema/spec';
import { HttpError, type Violation } from '../base/errors.js';
import { isThenable } from '../base/promises.js';

/** Input that does not match its declaration: 400, or -32602 in a call. */
export class InvalidInput extends HttpError {
  /** Lists the first 50 violations, shortened. If there are more, `errorCount` is the number of all. */
  constructor(detail: string, violations: readonly Violation[], count: number = violations.length) {
    const errors = listed(violations);
    super(400, detail, {
      code: 'INVALID_INPUT',
      extensions: errors.length === count ? { errors } : { errors, errorCount: count },
    });
  }
}

/** Bounds of the violations in a response; `MAX_BYTES` bounds their JSON. */
const MAX_ERRORS = 50;
const MAX_BYTES = 32_768;
const MAX_PATH = 200;
const MAX_MESSAGE = 300;

function listed(violations: readonly Violation[]): Violation[] {
  const errors: Violation[] = [];
  let size = 0;
  for (const { path, message } of violations.slice(0, MAX_ERRORS)) {
    const violation = { path: shorten(path, MAX_PATH), message: shorten(message, MAX_MESSAGE) };
    size += Buffer.byteLength(JSON.stringify(violation));
    if (size > MAX_BYTES) break;
    errors.push(violation);
  }
  return errors;
}

function shorten(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length)}…`;
}

/** A schema of zod, valibot, ArkType or any other library with the Standard Schema interface. */
export type Schema = StandardSchemaV1;

/** Converts an input to the declared type, or throws an `HttpError` 400 that names the parameter. */
export type Conversion = (value: unknown) => unknown;

export function isSchema(value: unknown): value is Schema {
  return (typeof value === 'object' || typeof value === 'function') && value !== null && '~standard' in value;
}

/** The conversion to a declared type; undefined if the value stays as it is. */
export function convertTo(type: unknown, label: string, path: string): Conversion | undefined {
  const refuse = (what: string): never => {
    throw new InvalidInput(`${label} is not ${what}`, [{ path, message: `expected ${what}` }]);
  };
  const convert = CONVERSIONS.get(type);
  if (convert === undefined) return undefined;
  return (value) => (value === undefined ? undefined : convert(value, refuse));
}

/** The conversion of a list, element by element. `Object` leaves the elements as they are. */
export function convertList(element: unknown, label: string, path: string): Conversion {
  const convert = CONVERSIONS.get(element);
  return (value) => {
    if (value === undefined) return undefined;
    if (!Array.isArray(value))
      throw new InvalidInput(`${label} is not a list`, [{ path, message: 'expected a list' }]);
    if (convert === undefined) return value as unknown[];
    const errors: Violation[] = [];
    const list = value.map((one: unknown, index) => {
      try {
        return convert(one, (what) => {
          throw new Unconverted(what);
        });
      } catch (error) {
        if (!(error instanceof Unconverted)) throw error;
        errors.push({
          path: path === '' ? String(index) : `${path}.${index}`,
          message: `expected ${error.message}`,
        });
        return undefined;
      }
    });
    if (errors.length > 0) throw new InvalidInput(`${label} is not valid`, errors);
    return list;
  };
}

/** An element of a list that cannot be converted. */
class Unconverted extends Error {}

/** The conversion by a Standard Schema; it may be asynchronous. */
export function validateBy(schema: Schema, label: string, path: string): Conversion {
  const { '~standard': standard } = schema;
  const outcome = (result: Awaited<ReturnType<typeof standard.validate>>): unknown => {
    if (result.issues === undefined) return result.value;
    const errors = result.issues.slice(0, MAX_ERRORS).map((issue): Violation => {
      const keys = (issue.path ?? []).map((key) => String(typeof key === 'object' ? key.key : key));
      return { path: (path === '' ? keys : [path, ...keys]).join('.'), message: issue.message };
    });
    throw new InvalidInput(`${label} is not valid`, errors, result.issues.length);
  };
  return (value) => {
    const result = standard.validate(value);
    return isThenable(result)
      ? Promise.resolve(result as Promise<never>).then(outcome)
      : outcome(result as never);
  };
}

type Refuse = (what: string) => never;

const CONVERSIONS = new Map<unknown, (value: unknown, refuse: Refuse) => unknown>([
  [String, (value, refuse) => (typeof value === 'string' ? value : refuse('one text'))],
  [Number, toNumber],
  [Boolean, toBoolean],
  [Date, toDate],
]);

const DECIMAL = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?$/i;

function toNumber(value: unknown, refuse: Refuse): number {
  // Number() would accept '' as 0, and hexadecimal, octal and binary numbers.
  const number = typeof value === 'string' && DECIMAL.test(value.trim()) ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isFinite(number)) return refuse('a number');
  // Beyond 2^53 a whole number is rounded to another one, such as the id of another record.
  return Math.abs(number) <= Number.MAX_SAFE_INTEGER
    ? number
    : refuse(`a number from -${Number.MAX_SAFE_INTEGER} to ${Number.MAX_SAFE_INTEGER}`);
}

function toBoolean(value: unknown, refuse: Refuse): boolean {
  if (value === true || value === 'true' || value === '1') return true;
  if (value === false || value === 'false' || value === '0') return false;
  return refuse('true or false');
}

function toDate(value: unknown, refuse: Refuse): Date {
  // RFC 3339 only: the other formats of Date depend on engine and time zone.
  if (typeof value === 'string' && DATE.test(value) && isDay(value.slice(0, 10))) {
    const date = new Date(value);
    if (!Number.isNaN(date.getTime())) return date;
  }
  return refuse('a date such as 2026-01-31T12:00:00Z');
}

const DATE = /^\d{4}-\d\d-\d\d(?:T[\d:.]+(?:Z|[+-]\d\d:\d\d))?$/;

/** Whether the calendar has the day: Date reads 30 February as 2 March. */
function isDay(day: string): boolean {
  const date = new Date(day);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(day);
}

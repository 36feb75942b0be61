import { isUtf8 } from 'node:buffer';

/** What `JSON.parse` makes of a text that a server takes; undefined for one that it is to refuse. */
export function readJson(bytes: Buffer): { value: unknown } | undefined {
  if (!isUtf8(bytes)) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString().replace(/^\ufeff/, ''));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  return isTame(value, 64) ? { value } : undefined;
}

/** Neither too deep nor with a key that reaches for a prototype. */
function isTame(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (depth === 0 || Object.hasOwn(value, '__proto__')) return false;
  const made: unknown = Object.hasOwn(value, 'constructor') ? value.constructor : undefined;
  if (typeof made === 'object' && made !== null && Object.hasOwn(made, 'prototype')) return false;
  return Object.values(value).every((one) => isTame(one, depth - 1));
}

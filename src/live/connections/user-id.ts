/** An id of a user. `Connections`, limits and presence compare ids by their text. */
export type UserId = string | number | bigint | { toString(): string };

/**
 * The text of a user's id. Undefined for a value that cannot be an id: none, NaN, and objects whose texts are all alike, such as
 * plain objects, lists and bytes.
 */
export function idText(id: unknown): string | undefined {
  if (typeof id === 'string') return id;
  if (typeof id === 'bigint' || (typeof id === 'number' && !Number.isNaN(id))) return String(id);
  if (typeof id !== 'object' || id === null || Array.isArray(id) || ArrayBuffer.isView(id)) return undefined;
  const { toString } = id as { toString?: unknown };
  return typeof toString !== 'function' || toString === Object.prototype.toString
    ? undefined
    : String((toString as () => unknown).call(id));
}

/** The text of an id that the application gives. @throws TypeError for a value that cannot be an id. */
export function mustBeId(id: unknown): string {
  const text = idText(id);
  if (text !== undefined) return text;
  throw new TypeError('a user is named by a string, a number, a bigint or an object with its own toString()');
}

/** JSON text of a value. @throws TypeError where a value has none, a function, say. */
export function json(value: unknown): string {
  const text = JSON.stringify(value) as string | undefined;
  if (text === undefined) throw new TypeError(`a ${typeof value} cannot be sent: it has no JSON form`);
  return text;
}

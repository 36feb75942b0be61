/** A key of `ctx.attributes` that knows the type of its value. Two keys of one name are two keys. */
export class Attribute<T> {
  // Carries the type; nothing reads it.
  declare protected readonly type: T;

  constructor(readonly name: string) {}

  toString(): string {
    return `attribute ${this.name}`;
  }
}

/** Makes a typed key: `const Plan = attribute<'free' | 'paid'>('plan')`. */
export function attribute<T>(name: string): Attribute<T> {
  return new Attribute<T>(name);
}

/** What middleware learnt about an exchange, by name or by typed key. */
export interface Attributes extends Map<unknown, unknown> {
  get<T>(key: Attribute<T>): T | undefined;
  get(key: unknown): unknown;
  // The key alone says what T is: a value would widen it.
  set<T>(key: Attribute<T>, value: NoInfer<T>): this;
  set(key: string | symbol, value: unknown): this;
}

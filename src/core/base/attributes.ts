/** A key of `ctx.attributes` with the type of its value. Two keys with the same name are different keys. */
export class Attribute<T> {
  // Carries the type T, and has no value.
  declare protected readonly type: T;

  constructor(readonly name: string) {}

  toString(): string {
    return `attribute ${this.name}`;
  }
}

/**
 * Creates a typed key for `ctx.attributes` and `@Attr(key)`.
 *
 * @param name for error messages and logs; it need not be unique
 * @example
 * ```ts
 * const Plan = attribute<'free' | 'paid'>('plan');
 * ctx.attributes.set(Plan, 'paid');
 * ```
 */
export function attribute<T>(name: string): Attribute<T> {
  return new Attribute<T>(name);
}

/** Data that middleware passes to handlers, by string, symbol or typed key. */
export interface Attributes extends Map<unknown, unknown> {
  get<T>(key: Attribute<T>): T | undefined;
  get(key: unknown): unknown;
  // T is inferred from the key alone: a value would widen it.
  set<T>(key: Attribute<T>, value: NoInfer<T>): this;
  set(key: string | symbol, value: unknown): this;
}

/** Attributes that inherit those of `below`; writes do not reach `below`. */
export function layered(below: Attributes): Attributes {
  return new Layer(below) as Attributes;
}

/** Copies the inherited entries at the first write: most calls only read. */
class Layer extends Map<unknown, unknown> {
  #below: Map<unknown, unknown> | undefined;

  constructor(below: Map<unknown, unknown>) {
    super();
    this.#below = below;
  }

  override get size(): number {
    return this.#below?.size ?? super.size;
  }

  override get(key: unknown): unknown {
    return this.#below === undefined ? super.get(key) : this.#below.get(key);
  }

  override has(key: unknown): boolean {
    return this.#below?.has(key) ?? super.has(key);
  }

  override set(key: unknown, value: unknown): this {
    this.#copy();
    return super.set(key, value);
  }

  override delete(key: unknown): boolean {
    this.#copy();
    return super.delete(key);
  }

  override clear(): void {
    this.#below = undefined;
    super.clear();
  }

  override forEach(
    each: (value: unknown, key: unknown, map: Map<unknown, unknown>) => void,
    self?: unknown,
  ): void {
    for (const [key, value] of this) each.call(self, value, key, this);
  }

  override entries(): MapIterator<[unknown, unknown]> {
    return this.#below?.entries() ?? super.entries();
  }

  override keys(): MapIterator<unknown> {
    return this.#below?.keys() ?? super.keys();
  }

  override values(): MapIterator<unknown> {
    return this.#below?.values() ?? super.values();
  }

  override [Symbol.iterator](): MapIterator<[unknown, unknown]> {
    return this.entries();
  }

  #copy(): void {
    const below = this.#below;
    if (below === undefined) return;
    this.#below = undefined;
    for (const [key, value] of below) super.set(key, value);
  }
}

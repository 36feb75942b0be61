import type { Context } from '../exchange/context.js';
import { EXCHANGE } from '../node/request.js';

/**
 * Gives objects the methods and properties of a class by their prototype, so that they are made once and not for
 * each request. What an object is already, Node's request or a subclass of it, it stays.
 */
export class Extension {
  readonly #extended = new WeakMap<object, object>();
  readonly #made = new WeakSet<object>();
  readonly #members: PropertyDescriptorMap;

  constructor(type: abstract new (...args: never[]) => object) {
    const { constructor: _, ...members } = Object.getOwnPropertyDescriptors(type.prototype) as Record<
      string,
      PropertyDescriptor
    >;
    // As in Express, where they are plain properties of a prototype.
    for (const member of Object.values(members)) member.enumerable = true;
    this.#members = members;
  }

  apply(object: object, ctx: Context): void {
    const base = Object.getPrototypeOf(object) as object;
    if (!this.#made.has(base)) {
      let extended = this.#extended.get(base);
      if (extended === undefined) {
        extended = Object.create(base, this.#members) as object;
        this.#extended.set(base, extended);
        this.#made.add(extended);
      }
      Object.setPrototypeOf(object, extended);
    }
    Object.defineProperty(object, EXCHANGE, { value: ctx, configurable: true });
  }

  /** Whether an object itself has been given the members for an exchange. */
  has(object: object, ctx: Context): boolean {
    return Object.hasOwn(object, EXCHANGE) && (object as { [EXCHANGE]?: Context })[EXCHANGE] === ctx;
  }
}

import type { Context } from '../exchange/context.js';
import { EXCHANGE } from '../node/request.js';

/**
 * Adds the methods and properties of a class to the prototype of objects, so that they are created once and not for each request.
 * The object keeps its own class, Node's request or a subclass of it.
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
    // They are plain properties of a prototype in Express.
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

  /** Whether the object itself was extended for the exchange. */
  has(object: object, ctx: Context): boolean {
    return Object.hasOwn(object, EXCHANGE) && (object as { [EXCHANGE]?: Context })[EXCHANGE] === ctx;
  }
}

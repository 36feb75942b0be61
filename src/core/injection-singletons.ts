import type { Registration } from './injection-container.js';
import { disposerOf } from './injection-scope.js';

/** What is known of a singleton that several applications may use, since containers above are theirs together. */
interface Shared {
  readonly users: Set<Singletons>;
  /** Singletons that were asked for while it was made: who uses it uses them. */
  readonly needs: ReadonlySet<Registration>;
  /** Who is about to dispose it: nobody else begins to use it. */
  ending: Singletons | undefined;
}

const SHARED = new WeakMap<Registration, Shared>();

/**
 * What an application's container has made and is to dispose, and the singletons that it uses. One that others use as
 * well, since it was registered above, is theirs when this application ends, and the last of them disposes it.
 */
export class Singletons {
  /** Instances to dispose, in the order in which they were made. */
  #made: object[] = [];
  readonly #used = new Set<Registration>();
  /** Singletons that are this application's to dispose, each with what was made for it alone. */
  readonly #owned = new Map<Registration, object[]>();
  #making: { readonly needs: Set<Registration>; readonly parts: object[] } | undefined = undefined;

  /** Takes note of an instance that the container has made. */
  add(instance: object): void {
    if (disposerOf(instance) === undefined) return;
    this.#made.push(instance);
    this.#making?.parts.push(instance);
  }

  /** Gives a singleton by `make`, which makes it where there is none. */
  resolve(registration: Registration, make: () => unknown): unknown {
    this.#making?.needs.add(registration);
    const shared = SHARED.get(registration);
    if (shared?.ending !== undefined && shared.ending !== this) registration.instance = undefined;
    if (registration.instance === undefined) return this.#make(registration, make);
    this.#use(registration);
    return make();
  }

  /** Gives up all that is used. What nobody else uses is given to be disposed, the last first, and then forgotten. */
  release(): object[] {
    const handed = new Map<Singletons, object[]>();
    for (const [registration, parts] of this.#owned) {
      const shared = SHARED.get(registration);
      const heir = [...(shared?.users ?? [])].find((user) => user !== this);
      if (heir === undefined) {
        if (shared !== undefined) shared.ending = this;
        continue;
      }
      this.#owned.delete(registration);
      heir.#owned.set(registration, parts);
      handed.set(heir, [...(handed.get(heir) ?? []), ...parts]);
    }
    for (const registration of this.#used) SHARED.get(registration)?.users.delete(this);
    const gone = new Set([...handed.values()].flat());
    this.#made = this.#made.filter((instance) => !gone.has(instance));
    // They are older than what the heir has made, and it may be made of them.
    for (const [heir, parts] of handed) heir.#made.unshift(...parts);
    return this.#made;
  }

  /** The next application that asks for what was disposed makes its own. */
  forget(): void {
    for (const registration of this.#owned.keys()) {
      const shared = SHARED.get(registration);
      // Its own still: either marked, or made while others were disposed.
      if (shared?.ending === this || shared?.users.has(this) === true) registration.instance = undefined;
    }
  }

  #make(registration: Registration, make: () => unknown): unknown {
    const outer = this.#making;
    const making = (this.#making = { needs: new Set<Registration>(), parts: [] });
    try {
      const value = make();
      SHARED.set(registration, { users: new Set(), needs: making.needs, ending: undefined });
      this.#owned.set(registration, making.parts);
      this.#use(registration);
      return value;
    } finally {
      this.#making = outer;
    }
  }

  #use(registration: Registration): void {
    if (this.#used.has(registration)) return;
    this.#used.add(registration);
    let shared = SHARED.get(registration);
    // Made by somebody else, whose it is to dispose.
    if (shared === undefined)
      SHARED.set(registration, (shared = { users: new Set(), needs: new Set(), ending: undefined }));
    shared.users.add(this);
    for (const need of shared.needs) this.#use(need);
  }
}

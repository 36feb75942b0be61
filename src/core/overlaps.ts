/** What of a route decides at which paths it is reached. */
export interface Place {
  readonly kind: string;
  readonly verb: string;
  readonly path: string;
  readonly host: string | undefined;
}

interface Node<T> {
  /** By literal segment; `:` is a segment of any value, `*` any number of segments. */
  readonly children: Map<string, Node<T>>;
  readonly places: T[];
}

/** Finds the routes that can be reached at a path of another route: templates are compared, not spellings. */
export class Overlaps<T extends Place> {
  readonly #root: Node<T> = node();
  /** Routes by all that the router tells them apart by. */
  readonly #exact = new Map<string, T>();

  add(place: T): void {
    this.#exact.set(keyOf(place, place.path), place);
    for (const segments of variants(place.path)) {
      let at = this.#root;
      for (const segment of segments) {
        let next = at.children.get(segment);
        if (next === undefined) at.children.set(segment, (next = node()));
        at = next;
      }
      at.places.push(place);
    }
  }

  /** Routes of other kinds that share a path with this one. */
  of(place: T): Set<T> {
    const found = new Set<T>();
    for (const segments of variants(place.path)) this.#collect(this.#root, segments, 0, found);
    for (const other of found) if (!this.#meets(place, other)) found.delete(other);
    return found;
  }

  #meets(one: T, other: T): boolean {
    if (one.kind === other.kind) return false;
    if (one.host !== undefined && other.host !== undefined && one.host !== other.host) return false;
    // Where one of the kinds has a route of its own for the other's template, the router takes that one.
    return !this.#isShadowed(one, other) && !this.#isShadowed(other, one);
  }

  #isShadowed(one: T, other: T): boolean {
    const nearer = this.#exact.get(keyOf(one, other.path));
    return nearer !== undefined && nearer !== one;
  }

  #collect(at: Node<T>, segments: readonly string[], index: number, found: Set<T>): void {
    for (const place of at.children.get('*')?.places ?? []) found.add(place);
    const segment = segments[index];
    if (segment === undefined) {
      for (const place of at.places) found.add(place);
    } else if (segment === '*') {
      this.#collectAll(at, found);
    } else if (segment === ':') {
      for (const child of at.children.values()) this.#collect(child, segments, index + 1, found);
    } else {
      for (const key of [segment, ':']) {
        const child = at.children.get(key);
        if (child !== undefined) this.#collect(child, segments, index + 1, found);
      }
    }
  }

  #collectAll(at: Node<T>, found: Set<T>): void {
    for (const place of at.places) found.add(place);
    for (const child of at.children.values()) this.#collectAll(child, found);
  }
}

function node<T>(): Node<T> {
  return { children: new Map(), places: [] };
}

/** The segments of a template; two lists where its last parameter is optional. */
function variants(path: string): string[][] {
  const segments = path.split('/').filter((segment) => segment !== '');
  const shapes = segments.map(shapeOf);
  const all = [shapes];
  if (segments.at(-1)?.endsWith('?') === true) all.push(shapes.slice(0, -1));
  return all;
}

/** An expression may match anything: it is not compared. */
function shapeOf(segment: string): string {
  if (segment.includes('*')) return '*';
  return /[:(]/.test(segment) ? ':' : segment;
}

function keyOf({ kind, verb, host }: Place, path: string): string {
  const [shapes = []] = variants(path);
  return `${kind} ${verb} ${host ?? ''} /${shapes.join('/')}`;
}

/** Whether two templates differ in nothing but the names of their parameters. */
export function isSameTemplate(one: string, other: string): boolean {
  return JSON.stringify(variants(one)) === JSON.stringify(variants(other));
}

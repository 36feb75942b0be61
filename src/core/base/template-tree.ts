interface Node<T> {
  /** By literal segment, `:` or `*`. */
  readonly children: Map<string, Node<T>>;
  readonly values: T[];
}

/**
 * Finds values by template: two templates overlap if both match the same text. A template is a list of segments: a literal, `:`
 * for any one segment, or, last, `*` for all that follow.
 */
export class TemplateTree<T> {
  readonly #root: Node<T> = node();

  add(segments: readonly string[], value: T): void {
    let at = this.#root;
    for (const segment of segments) {
      let next = at.children.get(segment);
      if (next === undefined) at.children.set(segment, (next = node()));
      at = next;
    }
    at.values.push(value);
  }

  /** The values of overlapping templates; a value added by several of them occurs several times. */
  overlapping(segments: readonly string[]): T[] {
    const found: T[] = [];
    collect(this.#root, segments, 0, found);
    return found;
  }
}

function collect<T>(at: Node<T>, segments: readonly string[], index: number, found: T[]): void {
  const segment = segments[index];
  if (segment === '*') {
    collectAll(at, found);
    return;
  }
  add(found, at.children.get('*'));
  if (segment === undefined) {
    add(found, at);
  } else if (segment === ':') {
    for (const [key, child] of at.children) if (key !== '*') collect(child, segments, index + 1, found);
  } else {
    for (const key of [segment, ':']) {
      const child = at.children.get(key);
      if (child !== undefined) collect(child, segments, index + 1, found);
    }
  }
}

function collectAll<T>(at: Node<T>, found: T[]): void {
  add(found, at);
  for (const child of at.children.values()) collectAll(child, found);
}

function add<T>(found: T[], at: Node<T> | undefined): void {
  if (at !== undefined) for (const value of at.values) found.push(value);
}

function node<T>(): Node<T> {
  return { children: new Map(), values: [] };
}

import { readTemplate } from '../routing/path-template.js';
import { TemplateTree } from '../base/template-tree.js';

/** The parts of a route that decide which requests reach it. */
export interface Place {
  readonly kind: string;
  readonly verb: string;
  readonly path: string;
  readonly host: string | undefined;
}

/** Finds the routes that can be reached at a path of another route: templates are compared, not spellings. */
export class Overlaps<T extends Place> {
  readonly #templates = new TemplateTree<T>();
  /** Routes by kind and exact template. */
  readonly #exact = new Map<string, T[]>();

  add(place: T): void {
    const key = keyOf(place.kind, place.path);
    const same = this.#exact.get(key);
    if (same === undefined) this.#exact.set(key, [place]);
    else same.push(place);
    for (const segments of variants(place.path)) this.#templates.add(segments.map(shapeOf), place);
  }

  /** Routes that share a path with this one, of those of other kinds that are asked for. */
  of(place: T, isAskedFor: (other: T) => boolean): Set<T> {
    const found = new Set<T>();
    for (const segments of variants(place.path)) {
      for (const other of this.#templates.overlapping(segments.map(shapeOf))) {
        // The cheap checks come first: thousands of routes may share a path.
        if (place.kind === other.kind || !isAskedFor(other) || found.has(other)) continue;
        if (this.#meets(place, other)) found.add(other);
      }
    }
    return found;
  }

  #meets(one: T, other: T): boolean {
    if (one.host !== undefined && other.host !== undefined && one.host !== other.host) return false;
    return !this.#isShadowed(one, other) && !this.#isShadowed(other, one);
  }

  /**
   * Whether a route of one's own kind takes all paths that the two share: it has the template of the other, which the
   * router prefers because it is the more specific one, and answers the same verb on the same hosts.
   */
  #isShadowed(one: T, other: T): boolean {
    const nearer = this.#exact.get(keyOf(one.kind, other.path));
    if (nearer === undefined || !isBroader(one.path, other.path)) return false;
    const host = one.host ?? other.host;
    return nearer.some(
      (route) =>
        (route.verb === one.verb || route.verb === 'ALL') &&
        (route.host === undefined || route.host === host),
    );
  }
}

/** Whether two templates differ in nothing but the names of their parameters. */
export function isSameTemplate(one: string, other: string): boolean {
  return nameless(one) === nameless(other);
}

/** Whether the router prefers the other template on all paths of it: one says less of some of its segments. */
function isBroader(one: string, other: string): boolean {
  const [these, those] = [segmentsOf(one), segmentsOf(other)];
  if (isOptional(these) || isOptional(those) || these.join('/') === those.join('/')) return false;
  for (const [index, segment] of these.entries()) {
    const theirs = those[index];
    if (theirs === undefined) return false;
    if (segment === theirs) continue;
    if (segment === '*') return true;
    if (segment !== ':' || theirs === '*') return false;
  }
  return these.length === those.length;
}

/** The segments of a template; two lists where its last parameter is optional. */
function variants(path: string): (readonly string[])[] {
  const segments = segmentsOf(path);
  return isOptional(segments) ? [segments, segments.slice(0, -1)] : [segments];
}

function isOptional(segments: readonly string[]): boolean {
  return segments.at(-1)?.endsWith('?') === true;
}

/** An expression may match anything: it is not compared. */
function shapeOf(segment: string): string {
  if (segment.replaceAll('::', '').includes(':')) return ':';
  return segment.includes('*') ? '*' : segment;
}

function nameless(path: string): string {
  return segmentsOf(path).join('/');
}

function segmentsOf(path: string): readonly string[] {
  return readTemplate(path).segments;
}

function keyOf(kind: string, path: string): string {
  return `${kind} ${nameless(path)}`;
}

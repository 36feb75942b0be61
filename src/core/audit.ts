import type { CompiledRoute } from './compile.js';
import type { MiddlewareLike } from './compose.js';
import { ConfigurationError } from './errors.js';
import { label } from './router.js';

/**
 * The guard audit: methods of one path have one set of middleware in all kinds, unless `@Unguarded('why')` says
 * that it is meant. @throws ConfigurationError naming both methods, and what the one has and the other lacks.
 */
export function audit(routes: readonly CompiledRoute[]): void {
  for (const siblings of byPlace(routes).values()) {
    for (const [index, route] of siblings.entries()) {
      for (const other of siblings.slice(index + 1)) compare(route, other);
    }
  }
}

function compare(one: CompiledRoute, other: CompiledRoute): void {
  if (one.kind === other.kind || one.unguarded !== undefined || other.unguarded !== undefined) return;
  const lacking = missing(one, other);
  const [bare, guarded] = lacking.length > 0 ? [other, one] : [one, other];
  const lacks = lacking.length > 0 ? lacking : missing(other, one);
  if (lacks.length === 0) return;
  throw new ConfigurationError(
    `${title(bare)} is without ${lacks.join(', ')}, which ${title(guarded)} on the same path has: ` +
      `add @UseMiddleware(${lacks.join(', ')}) to ${bare.name}, or say why not by @Unguarded('…')`,
  );
}

function missing(one: CompiledRoute, other: CompiledRoute): string[] {
  return one.middleware.filter((middleware) => !other.middleware.includes(middleware)).map(nameOf);
}

function nameOf(middleware: MiddlewareLike): string {
  return middleware.name || 'anonymous middleware';
}

function title({ name, kind, verb, path }: CompiledRoute): string {
  return `${name} (${label(kind, verb)} ${path})`;
}

function placeOf({ host = '', path }: CompiledRoute): string {
  return `${host} ${path.replace(/:\w+/g, ':')}`;
}

function byPlace(routes: readonly CompiledRoute[]): Map<string, CompiledRoute[]> {
  const groups = new Map<string, CompiledRoute[]>();
  for (const route of routes) groups.set(placeOf(route), [...(groups.get(placeOf(route)) ?? []), route]);
  return groups;
}

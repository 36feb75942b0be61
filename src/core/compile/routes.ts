import type { CompiledRoute } from './compile.js';
import { label } from '../routing/router.js';

/** Every route as a table: kind and verb, path, method, its middleware in order, its scoped services, its calls. */
export function explain(routes: readonly CompiledRoute[]): string {
  const rows = routes.map((route) => [
    label(route.kind, route.verb),
    `${route.host ?? ''}${route.path}`,
    route.name,
    route.resolved.map(({ name }) => name).join(' > ') || '-',
    scopes(route),
    route.procedures.join(', ') || '-',
  ]);
  return table([['kind', 'path', 'method', 'middleware', 'scoped', 'calls'], ...rows]);
}

function scopes({ resolved, scoped, unguarded }: CompiledRoute): string {
  const names = new Set([...resolved.flatMap((middleware) => middleware.scoped), ...scoped]);
  const note = unguarded === undefined ? '' : ` (unguarded: ${unguarded})`;
  return ([...names].join(', ') || '-') + note;
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

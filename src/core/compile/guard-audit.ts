import type { CompiledRoute } from './compile.js';
import type { MiddlewareLike } from '../routing/middleware.js';
import { ConfigurationError } from '../base/errors.js';
import { isSameTemplate, Overlaps } from './overlaps.js';
import { label } from '../routing/router.js';

/**
 * The guard audit: methods that are reachable at one path have the same middleware in all kinds, and a call has what
 * guards any socket of its class, unless `@Unguarded('why')` says that the difference is intended.
 * @throws ConfigurationError naming both methods, and the middleware that one has and the other lacks
 */
export function audit(routes: readonly CompiledRoute[]): void {
  const overlaps = new Overlaps<CompiledRoute>();
  for (const route of routes) overlaps.add(route);
  const guards = guardsOf(routes);
  for (const route of routes) {
    if (route.unguarded !== undefined) continue;
    const guard = guards.get(route);
    const differs = (other: CompiledRoute): boolean =>
      guards.get(other) !== guard && other.unguarded === undefined;
    for (const other of overlaps.of(route, differs)) compare(route, other);
  }
  for (const sockets of byController(routes)) auditCalls(sockets);
}

function compare(one: CompiledRoute, other: CompiledRoute): void {
  const lacking = missing(one.middleware, other.middleware);
  const [bare, guarded] = lacking.length > 0 ? [other, one] : [one, other];
  const lacks = lacking.length > 0 ? lacking : missing(other.middleware, one.middleware);
  const names = lacks.map(nameOf).join(', ');
  const where = isSameTemplate(bare.path, guarded.path) ? 'on the same path' : 'on an overlapping path';
  throw new ConfigurationError(
    `${title(bare)} lacks ${names}, which ${title(guarded)} ${where} has: ` +
      `${remedy(lacks, bare.middleware, bare.name)}${ownAnswer(bare, guarded)}, or say why not with @Unguarded('…')`,
    { code: 'GUARD_MISMATCH' },
  );
}

/** A fallback, such as one that answers every page, need not be guarded where others answer the guarded paths. */
function ownAnswer(bare: CompiledRoute, { path, host }: CompiledRoute): string {
  if (bare.kind !== 'http' || !bare.path.endsWith('*') || path.endsWith('*') || host !== undefined) return '';
  const verb = bare.verb === 'ALL' ? 'All' : bare.verb.charAt(0) + bare.verb.slice(1).toLowerCase();
  return `, or add a method @${verb}('${path}') that has it, so that ${bare.name} is not reached there`;
}

/** A call is answered on every socket of its class: the least guarded one is the way to it. */
function auditCalls(sockets: readonly CompiledRoute[]): void {
  const guards = new Map(sockets.flatMap((socket) => socket.middleware.map((one) => [one, socket] as const)));
  for (const bare of sockets) {
    for (const call of bare.calls) {
      if (call.unguarded !== undefined) continue;
      const lacks = missing([...guards.keys()], [...bare.middleware, ...call.middleware]);
      const [first] = lacks;
      if (first === undefined) continue;
      const names = lacks.map(nameOf).join(', ');
      throw new ConfigurationError(
        `${call.name} can be called on ${title(bare)}, which lacks ${names}: ${title(guards.get(first) as CompiledRoute)} has it. ` +
          `Calls are answered on every socket of their class: ${remedy(lacks, [...bare.middleware, ...call.middleware], call.name)}, ` +
          `or say why not with @Unguarded('…')`,
        { code: 'GUARD_MISMATCH' },
      );
    }
  }
}

/** A number for each set of middleware, so that thousands of routes are compared at once. */
function guardsOf(routes: readonly CompiledRoute[]): Map<CompiledRoute, number> {
  const numbers = new Map<unknown, number>();
  const numberOf = (value: unknown): number => {
    const number = numbers.get(value) ?? numbers.size;
    numbers.set(value, number);
    return number;
  };
  return new Map(
    routes.map((route) => {
      const members = [...new Set(route.middleware)].map(numberOf).sort((a, b) => a - b);
      return [route, numberOf(members.join(' '))];
    }),
  );
}

function missing(these: readonly MiddlewareLike[], those: readonly MiddlewareLike[]): MiddlewareLike[] {
  return these.filter((middleware) => !those.includes(middleware));
}

/**
 * Tells the author what to change. Middleware of the same name on both methods comes from a factory, which makes another
 * function with each call: to add it once more would not help.
 */
function remedy(
  lacks: readonly MiddlewareLike[],
  present: readonly MiddlewareLike[],
  method: string,
): string {
  const namesakes = new Set(present.map(nameOf));
  const made = lacks.map(nameOf).filter((name) => namesakes.has(name));
  const constant =
    'call the factory once, keep the result in a constant, and use that constant in both places';
  if (made.length > 0) {
    return `another function of the same name (${made.join(', ')}) is there, since a factory makes a new one with each call: ${constant}`;
  }
  const names = lacks.map(({ name }) => name || '…');
  const add = `add @UseMiddleware(${names.join(', ')}) to ${method}`;
  // What has no name was most often made where it stands.
  return names.includes('…') ? `${add} with the same function: ${constant}` : add;
}

function nameOf(middleware: MiddlewareLike): string {
  return middleware.name || 'anonymous middleware';
}

function title({ name, kind, verb, path }: CompiledRoute): string {
  return `${name} (${label(kind, verb)} ${path})`;
}

/** The sockets of each class that answers calls. */
function byController(routes: readonly CompiledRoute[]): Iterable<CompiledRoute[]> {
  const groups = new Map<unknown, CompiledRoute[]>();
  for (const route of routes) {
    if (route.calls.length === 0) continue;
    const group = groups.get(route.controller);
    if (group === undefined) groups.set(route.controller, [route]);
    else group.push(route);
  }
  return groups.values();
}

import { ConfigurationError } from './errors.js';

/** How other routers write parameters and wildcards, and how that is written here. */
const FOREIGN: readonly (readonly [RegExp, string])[] = [
  [/\[{1,2}\.\.\.\w+\]{1,2}|\{\*\w+\}|\{\w+\.\.\.\}|<path:\w+>|\*\*|\*\w+|:\w+[*+]/g, '*'],
  [/\{\/?:?(\w+)(?::[^}]*)?\}|<(?:\w+:)?(\w+)>|\[(\w+)\]/g, ':$1$2$3'],
];

/**
 * Refuses a template in the spelling of another router, which would match nothing.
 * @throws ConfigurationError naming the method and the template as it is written here
 */
export function checkTemplate(path: string, name: string): void {
  // Expressions of parameters may hold anything.
  const bare = path.replace(/\((?:[^()]|\([^()]*\))*\)/g, '');
  if (!/[{}<>[\]#]|\*[^/]|:\w+[*+]|\?./.test(bare)) return;
  if (/[#?]/.test(bare)) {
    throw new ConfigurationError(
      `${name}: the path ${path} contains a query or a fragment, which no route matches: read the query by @Query('name')`,
    );
  }
  const written = FOREIGN.reduce((text, [pattern, here]) => text.replace(pattern, here), path);
  throw new ConfigurationError(
    `${name}: the path ${path} is written for another router and matches nothing here: a parameter is :name ` +
      `and the rest of a path is *${written === path ? '' : `, so write ${written}`}`,
  );
}

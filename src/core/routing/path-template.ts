import { canonicalPath } from './canonical-path.js';
import { ConfigurationError } from '../base/errors.js';

/** A parsed path template. */
export interface Template {
  /** Without names of parameters: `/rooms/:room(^\d+$)/*` has `rooms`, `:(^\d+$)` and `*`. Literal colons stay doubled. */
  readonly segments: readonly string[];
  /** Names of the parameters, in order; `*` for the rest of a path. */
  readonly parameters: readonly string[];
  /** The template with `()` in place of each expression. */
  readonly bare: string;
}

/** An escape of an expression, a literal colon, a parameter, or one character. */
const TOKENS = /\\[^]|::|:\w+|[^]/g;

/** Parses a template. Colons and slashes inside an expression, `:id(^[a-z]:x$)`, have no meaning. */
export function readTemplate(path: string): Template {
  const segments: string[] = [];
  const parameters: string[] = [];
  let [segment, bare, depth] = ['', '', 0];
  for (const [token] of path.matchAll(TOKENS)) {
    if (token === ')' && depth > 0) depth--;
    if (depth > 0) {
      if (token === '(') depth++;
      segment += token;
      continue;
    }
    bare += token;
    if (token === '(') depth++;
    if (token === '/') {
      segments.push(segment);
      segment = '';
    } else if (/^:\w|^\*$/.test(token)) {
      parameters.push(token === '*' ? '*' : token.slice(1));
      segment += token === '*' ? '*' : ':';
    } else {
      segment += token;
    }
  }
  return { segments: [...segments, segment].filter((one) => one !== ''), parameters, bare };
}

/**
 * The patterns by which the router distinguishes templates: it ignores names and expressions. Two patterns if the last
 * parameter is optional.
 */
export function patternsOf(path: string): string[] {
  const pattern = readTemplate(path)
    .bare.split('/')
    .map((segment) => {
      const nameless = segment.replace(/::|:\w+/g, (token) => (token === '::' ? token : ':'));
      // A parameter with an expression, or beside text, is matched by an expression.
      return /\(|:[-.]/.test(nameless) ? nameless.replace(/(?<!:):(?!:)(?:\(\))?/g, ':()') : nameless;
    })
    .join('/');
  if (!pattern.endsWith('?')) return [pattern];
  const full = pattern.slice(0, -1);
  return [full, full.slice(0, full.lastIndexOf('/')) || '/'];
}

/** How other routers write the rest of a path, and a parameter with or without its type or expression. */
const FOREIGN_REST = /\[{1,2}\.\.\.\w+\]{1,2}|\{\*\w+\}|\{\w+\.\.\.\}|<path:\w+>|\*\*|\*\w+|:\w+[*+]/g;
const FOREIGN_PARAMETER =
  /\{\/?:?(\w+)(?::(?:\w+(?=\})|((?:[^{}]|\{[^{}]*\})*)))?\}|<(?:\w+:)?(\w+)>|\[(\w+)\]/g;

/** Translates a template of another router. */
function translated(path: string): string {
  return path
    .replace(FOREIGN_REST, '*')
    .replace(
      FOREIGN_PARAMETER,
      (_, braced?: string, expression?: string, angled?: string, square?: string) =>
        `:${braced ?? angled ?? square}${expression === undefined ? '' : `(^${expression}$)`}`,
    );
}

/**
 * Rejects a template that would match no path, or other paths than it seems to.
 * @throws ConfigurationError naming the method and the corrected template
 */
export function checkTemplate(path: string, name: string): void {
  const { bare, parameters } = readTemplate(path);
  const refuse = (why: string): never => {
    throw new ConfigurationError(`${name}: the path ${path} ${why}`, { code: 'INVALID_PATH' });
  };
  if (/#|\?./.test(bare)) {
    refuse("contains a query or a fragment, which no route matches: read the query by @Query('name')");
  }
  if (/[{}<>[\]]|\*[^/]|:\w+[*+]/.test(bare)) {
    const written = translated(path);
    refuse(
      `is written for another router and matches nothing here: a parameter is :name ` +
        `and the rest of a path is *${written === path ? '' : `, so write ${written}`}`,
    );
  }
  const names = bare.replaceAll(LITERAL_COLON, '');
  if (/:(?!\w)/.test(names)) refuse('has a parameter without a name: write :name, or :: for a colon');
  const joined = /(?<!:)(:\w+)(?:::|[^\w/.(?-])/.exec(bare)?.[1];
  if (joined !== undefined) {
    refuse(
      `has the parameter ${joined}, whose name does not end there: names are letters, digits and _, and end at / - . ` +
        `or an expression, such as :hour(^\\d+$):minute`,
    );
  }
  if (/(?<!:\w+)\(/.test(names)) {
    refuse(
      'has an expression that belongs to no parameter: write :name(^…$), or one decorator for each path',
    );
  }
  if (bare.endsWith('?') && !/\/:[^/()?]*\?$/.test(bare)) {
    refuse(
      'has a ? that makes no parameter optional: only a last segment :name? may be left out; else write two decorators',
    );
  }
  const twice = parameters.find((parameter, index) => parameters.indexOf(parameter) < index);
  if (twice !== undefined) refuse(`has the parameter :${twice} twice: rename one of them`);
  const canonical = spelling(bare);
  if (canonical !== bare) {
    refuse(
      'is not spelt as requests are when routes are looked for, decoded and without dot segments, so it matches nothing' +
        (canonical === undefined ? '' : `: write ${path === bare ? canonical : 'it decoded'}`),
    );
  }
}

/** An escaped colon: a single one would begin a parameter. */
const LITERAL_COLON = /::/g;

/** The canonical spelling of a template; undefined if no path has one. A `%` that escapes nothing stands for itself. */
function spelling(bare: string): string | undefined {
  try {
    const canonical = canonicalPath(bare.replace(/%(?![\da-f]{2})/gi, '%25'));
    return /%(?!25)/.test(canonical) ? undefined : canonical.replaceAll('%25', '%');
  } catch {
    return undefined;
  }
}

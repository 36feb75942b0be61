import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** One `ts` block of a page, as a module of its own. */
export interface Snippet {
  /** `docs/http.md:12`, where the block begins. */
  readonly place: string;
  /** The module without its ending, in the folder of its page. */
  readonly module: string;
  readonly code: string;
  /** Whether its first line is `// run`. */
  readonly run: boolean;
  /** The `text` block that follows: what it prints. */
  readonly prints: string;
}

/** One page of the documentation. */
export interface Page {
  readonly name: string;
  readonly snippets: readonly Snippet[];
  /** What its `console` blocks show, line by line. */
  readonly console: readonly string[];
}

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
/** Within the package, so that `coequal` resolves to what was built. */
const OUT = join(ROOT, 'dist', 'docs');

/** A fence with its language, and the comment before it that holds what the page does not show. */
const BLOCK = /(?:<!-- hidden\n(?<hidden>[^]*?)-->\n)?^```(?<language>\w+)\n(?<code>[^]*?)^```$/gm;

export function readPages(): Page[] {
  const pages = readdirSync(join(ROOT, 'docs')).filter((name) => name.endsWith('.md'));
  return ['README.md', ...pages.map((name) => `docs/${name}`)].map(readPage);
}

/** Writes each block as a module into a folder of its page, with what `tsc -p` needs. */
export function writeModules(pages: readonly Page[]): {
  folder: string;
  moduleOf(page: Page, name: string): string;
} {
  rmSync(OUT, { recursive: true, force: true });
  for (const page of pages) {
    mkdirSync(join(OUT, page.name), { recursive: true });
    for (const { module, code } of page.snippets) writeFileSync(join(OUT, page.name, `${module}.ts`), code);
  }
  writeFileSync(join(OUT, 'tsconfig.json'), JSON.stringify(TSCONFIG));
  return { folder: OUT, moduleOf: (page, name) => join(OUT, page.name, `${name}.js`) };
}

/** The text of each page of docs/, without its code. */
export function readDocs(): string[] {
  const pages = readdirSync(join(ROOT, 'docs')).filter((name) => name.endsWith('.md'));
  return pages.map((name) => textOf(join(ROOT, 'docs', name)));
}

/** Links of the pages to files or headings that are not there, as `page -> target`. */
export function brokenLinks(): string[] {
  const pages = readdirSync(join(ROOT, 'docs')).filter((name) => name.endsWith('.md'));
  const paths = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', ...pages.map((name) => `docs/${name}`)];
  return paths.flatMap((path) => {
    const targets = [...textOf(join(ROOT, path)).matchAll(/\]\((?!https?:)([^)\s]+)/g)];
    return targets
      .map(([, target = '']) => target)
      .filter((target) => !leadsSomewhere(path, target))
      .map((target) => `${path} -> ${target}`);
  });
}

function leadsSomewhere(from: string, target: string): boolean {
  const [file = '', heading] = target.split('#');
  const path = file === '' ? join(ROOT, from) : join(ROOT, dirname(from), file);
  return existsSync(path) && (heading === undefined || anchors(textOf(path)).includes(heading));
}

/** The anchors of a page's headings, as GitHub makes them. */
function anchors(text: string): string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\w\s-]/g, '')
      .replaceAll(' ', '-'),
  );
}

function textOf(path: string): string {
  return readFileSync(path, 'utf8').replace(/^```[^]*?^```$/gm, '');
}

/** What the README tells its readers to write. */
const TSCONFIG = {
  compilerOptions: {
    target: 'es2022',
    module: 'nodenext',
    strict: true,
    skipLibCheck: true,
    experimentalDecorators: true,
    emitDecoratorMetadata: true,
    types: ['node', 'mocha'],
  },
  include: ['.'],
};

function readPage(path: string): Page {
  const text = readFileSync(join(ROOT, path), 'utf8');
  const snippets: Snippet[] = [];
  const shown: string[] = [];
  let last: { -readonly [key in keyof Snippet]: Snippet[key] } | undefined;
  for (const { groups = {}, index } of text.matchAll(BLOCK)) {
    const { language, code = '', hidden = '' } = groups;
    if (language === 'console') shown.push(...code.trimEnd().split('\n'));
    if (language === 'text' && last !== undefined) last.prints = code.trimEnd();
    last = undefined;
    if (language !== 'ts') continue;
    const title = /^\/\/ (.*)$/m.exec(code.split('\n', 1)[0] ?? '')?.[1] ?? '';
    const named = /^[\w-]+(?:\.test)?(?=\.ts$)/.exec(title)?.[0];
    const line = text.slice(0, index).split('\n').length;
    // Ports of their own: pages are tried while others listen.
    const source = `${hidden}${code}`.replaceAll('port: 3000', 'port: 0');
    const own = /^(?:import|export)\b/m.test(source) ? source : `${source}export {};\n`;
    last = {
      place: `${path}:${line}`,
      module: named ?? `line-${line}`,
      code: own,
      run: title === 'run',
      prints: '',
    };
    snippets.push(last);
  }
  return { name: basename(path, '.md').toLowerCase(), snippets, console: shown };
}

import { expect } from 'chai';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * The floors, from bottom to top. A file imports values only from its own floor and those below, and where
 * its floor has `only`, from nothing else but that and itself. `folder/*` means all that is in the folder.
 */
const FLOORS: Floor[] = [
  {
    files: [
      'core/bytes',
      'core/errors',
      'core/logger',
      'core/promises',
      'core/streams',
      'core/framing',
      'core/forwarded',
      'core/shown-error',
      'core/hang-up',
      'core/register',
      'core/tracing',
      'core/stats',
      'core/limits',
      'core/option-checks',
      'core/trace-parent',
    ],
  },
  {
    files: [
      'core/attributes',
      'core/cookies',
      'core/in-flight',
      'core/shed-load',
      'core/proxy',
      'core/request',
      'core/framed-response',
      'core/response',
      'core/pipeline',
      'core/strictness',
      'core/upgrade-response',
      'core/query',
      'core/open-connection',
    ],
  },
  {
    files: [
      'core/json',
      'core/body',
      'core/multipart',
      'core/convert',
      'core/canonical-path',
      'core/origins',
      'core/path-template',
      'core/template-tree',
      'core/options',
    ],
  },
  {
    files: [
      'core/environment',
      'core/context',
      'core/call-context',
      'core/compose',
      'core/metadata',
      'core/router',
    ],
  },
  {
    files: [
      'core/injection*',
      'core/invoke',
      'core/input-types',
      'core/validator',
      'core/readers',
      'core/links',
      'core/scoped-step',
    ],
  },
  { files: ['live/*'] },
  {
    files: [
      'core/respond',
      'core/admission',
      'core/http',
      'core/sse',
      'core/handshake',
      'core/websocket',
      'core/rpc',
    ],
  },
  { files: ['core/express/*', 'core/compile', 'core/audit', 'core/overlaps', 'core/explain'] },
  {
    files: [
      'core/create-environment',
      'core/fallback',
      'core/negotiation',
      'core/dispatcher',
      'core/upgrader',
      'core/tcp-connections',
      'core/closing',
      'core/connection-errors',
      'core/own-process',
    ],
  },
  { files: ['core/app'] },
  {
    files: ['decorators/*'],
    only: ['core/errors', 'core/metadata', 'core/option-checks', 'core/path-template'],
  },
  { files: ['files', 'class-validator', 'index'] },
  { files: ['testing/*'] },
  { files: ['demo/*'] },
];

interface Floor {
  files: string[];
  only?: string[];
}

/** Each file of `src`, by its path without the extension, with the files that it imports values from. */
type Graph = Map<string, string[]>;

const SRC = fileURLToPath(new URL('../../src', import.meta.url));
const BUILT = fileURLToPath(new URL('../src', import.meta.url));

describe('the floors of src', () => {
  const graph = read();

  it('have a place for each file', () => {
    expect([...graph.keys()].filter((file) => floorOf(file) === -1)).to.deep.equal([]);
  });

  it('name only files that exist', () => {
    const patterns = FLOORS.flatMap(({ files, only = [] }) => [...files, ...only]);
    const files = [...graph.keys()];
    expect(patterns.filter((pattern) => !files.some((file) => matches(file, pattern)))).to.deep.equal([]);
  });

  it('import only from below', () => {
    expect(violations(graph)).to.deep.equal([]);
  });

  it('hold no import cycle', () => {
    expect(cycle(graph)?.join(' → ')).to.equal(undefined);
  });
});

describe('the check of the floors', () => {
  it('sees each way to import, and no types or comments', () => {
    const code = [
      "import { a } from './a.js';",
      "import './b.js';",
      "export * from './c.js';",
      'export { d,\n  dd } from "./d.js";',
      "const e = await import('./e.js');",
      " * import { f } from './f.js';",
      "// import('./g.js')",
      "import fs from 'node:fs';",
      "import { h } from 'coequal';",
    ].join('\n');

    expect(imports(code, 'core/x')).to.have.members([
      'core/a',
      'core/b',
      'core/c',
      'core/d',
      'core/e',
      'index',
    ]);
  });

  it('reports an import from above and one that a floor may not make', () => {
    const upwards: Graph = new Map([
      ['core/errors', ['core/app']],
      ['decorators/routes', ['core/metadata', 'core/http', 'decorators/parameters']],
    ]);

    expect(violations(upwards)).to.deep.equal([
      'core/errors imports core/app',
      'decorators/routes imports core/http',
    ]);
  });

  it('reports a cycle from where it begins to where it closes', () => {
    const looped: Graph = new Map([
      ['a', ['b', 'c']],
      ['b', []],
      ['c', ['d']],
      ['d', ['b', 'c']],
    ]);

    expect(cycle(looped)).to.deep.equal(['c', 'd', 'c']);
    expect(cycle(new Map([['a', ['b']]]))).to.equal(undefined);
  });
});

/**
 * The compiler's output is read, not the source: it has dropped each import of which only types are used,
 * and kept those that decorator metadata needs.
 */
function read(): Graph {
  const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
    .map((path) => path.split(sep).join('/'))
    .filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts'))
    .map((path) => path.slice(0, -'.ts'.length))
    .sort();
  return new Map(files.map((file) => [file, imports(built(file), file)]));
}

function built(file: string): string {
  const path = join(BUILT, `${file}.js`);
  if (!existsSync(path)) throw new Error(`src/${file}.ts is not built: npm run build`);
  return readFileSync(path, 'utf8');
}

/** The files of `src` that the code of `file` imports, the package's own name included. */
function imports(code: string, file: string): string[] {
  const statements = code.matchAll(/^(?:import|export)\b[^'"`;()]*?['"]([^'"]+)['"]/gm);
  const calls = code.matchAll(/^(?!\s*(?:\*|\/\/)).*?\bimport\(\s*['"]([^'"]+)['"]/gm);
  const found = [...statements, ...calls].flatMap(([, name = '']) => resolve(name, file) ?? []);
  return [...new Set(found)].sort();
}

function resolve(name: string, from: string): string | undefined {
  if (name === 'coequal') return 'index';
  if (name === 'coequal/files') return 'files';
  if (name.startsWith('coequal/')) return `${name.slice('coequal/'.length)}/index`;
  if (!name.startsWith('.')) return undefined;
  const path = relative(SRC, join(SRC, dirname(from), name))
    .split(sep)
    .join('/');
  return path.replace(/\.js$/, '');
}

function violations(graph: Graph): string[] {
  return [...graph].flatMap(([file, imported]) =>
    imported.filter((other) => !allowed(file, other)).map((other) => `${file} imports ${other}`),
  );
}

function allowed(file: string, other: string): boolean {
  const own = floorOf(file);
  const only = FLOORS[own]?.only;
  if (floorOf(other) === own) return true;
  return only
    ? only.some((pattern) => matches(other, pattern))
    : floorOf(other) < own && floorOf(other) !== -1;
}

function floorOf(file: string): number {
  return FLOORS.findIndex(({ files }) => files.some((pattern) => matches(file, pattern)));
}

function matches(file: string, pattern: string): boolean {
  return pattern.endsWith('*') ? file.startsWith(pattern.slice(0, -1)) : file === pattern;
}

/** The first cycle that a walk in depth meets, its first file repeated at the end. */
function cycle(graph: Graph): string[] | undefined {
  const done = new Set<string>();
  const visit = (file: string, path: string[]): string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return undefined;
    for (const next of graph.get(file) ?? []) {
      const found = visit(next, [...path, file]);
      if (found) return found;
    }
    done.add(file);
    return undefined;
  };
  for (const file of graph.keys()) {
    const found = visit(file, []);
    if (found) return found;
  }
  return undefined;
}

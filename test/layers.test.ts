import { expect } from 'chai';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The rooms, from the ground up. A file imports only from its own room and from rooms above it in this list. */
const ROOMS = [
  'core/base',
  'core/node',
  'core/exchange',
  'core/input',
  'live/encoding',
  'live/connections',
  'live/messages',
  'live/broker',
  'live/broadcast',
  'core/injection',
  'core/routing',
  'live/sessions',
  'core/parameters',
  'core/express',
  'core/kinds',
  'core/compile',
  'core/request',
  'core/upgrade',
  'core/app',
  'decorators',
  // The public names, and the entry points that stand beside them.
  '.',
  'testing',
  'demo/market',
  'demo',
];
const MOST_FILES = 10;

/** Each file of `src`, by its path without the extension, with the files that it imports, types included. */
type Graph = Map<string, string[]>;

const SRC = fileURLToPath(new URL('../../src', import.meta.url));

describe('the rooms of src', () => {
  const graph = read();

  it('hold every file', () => {
    expect([...graph.keys()].filter((file) => !ROOMS.includes(dirname(file)))).to.deep.equal([]);
  });

  it('exist', () => {
    const rooms = new Set([...graph.keys()].map((file) => dirname(file)));
    expect(ROOMS.filter((room) => !rooms.has(room))).to.deep.equal([]);
  });

  it('import only from rooms above them in the list, types included', () => {
    expect(violations(graph)).to.deep.equal([]);
  });

  it('hold no import cycle, types included', () => {
    expect(cycle(graph)?.join(' → ')).to.equal(undefined);
  });

  it(`have at most ${MOST_FILES} files each`, () => {
    const counts = ROOMS.map((room) => [
      room,
      [...graph.keys()].filter((file) => dirname(file) === room).length,
    ]);
    expect(counts.filter(([, count]) => (count as number) > MOST_FILES)).to.deep.equal([]);
  });
});

describe('the check of the rooms', () => {
  it('sees each way to import, and no comments', () => {
    const code = [
      "import { a } from './a.js';",
      "import type { b } from './b.js';",
      "export * from './c.js';",
      "export {\n  d,\n  dd,\n} from './d.js';",
      "const e = await import('./e.js');",
      " * import { f } from './f.js';",
      "// import('./g.js')",
      "import fs from 'node:fs';",
      "import { h } from 'coequal';",
      "import '../i.js';",
    ].join('\n');

    expect(imports(code, 'core/x')).to.have.members([
      'core/a',
      'core/b',
      'core/c',
      'core/d',
      'core/e',
      'index',
      'i',
    ]);
  });

  it('reports an import against the order', () => {
    const graph: Graph = new Map([
      ['core/base/errors', ['core/app/app', 'core/base/logger']],
      ['core/app/app', ['core/base/errors']],
    ]);

    expect(violations(graph)).to.deep.equal(['core/base/errors imports core/app/app']);
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

function read(): Graph {
  const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
    .map((path) => path.split(sep).join('/'))
    .filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts'))
    .sort();
  return new Map(
    files.map((path) => {
      const file = path.slice(0, -'.ts'.length);
      return [file, imports(readFileSync(join(SRC, path), 'utf8'), file)];
    }),
  );
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
    imported
      .filter((other) => ROOMS.indexOf(dirname(other)) > ROOMS.indexOf(dirname(file)))
      .map((other) => `${file} imports ${other}`),
  );
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

import fc from 'fast-check';
import { LENGTHS, LINES, METHODS, TARGETS, VALUES } from './http-dictionary.js';
import { mutated, mutations, type Mutation } from './mutations.js';

/** An entry of a corpus of requests after changes of its parts, and then of its bytes. */
export interface HttpInput {
  readonly entry: number;
  readonly changes: readonly HttpChange[];
  readonly bytes: readonly Mutation[];
}

/** A change of one part of a request; `at` chooses the field. */
type HttpChange =
  | { op: 'method'; method: string }
  | { op: 'target'; change: Mutation }
  | { op: 'version'; version: string }
  | { op: 'drop'; at: number }
  | { op: 'repeat'; at: number }
  | { op: 'move'; at: number; to: number }
  | { op: 'value'; at: number; change: Mutation }
  | { op: 'name'; at: number; change: Mutation }
  | { op: 'case'; at: number }
  | { op: 'field'; at: number; line: string }
  | { op: 'body'; change: Mutation }
  | { op: 'length'; length: string }
  | { op: 'ends'; at: number; end: string };

interface Request {
  line: { method: string; target: string; version: string };
  fields: { name: string; value: string; end: string }[];
  body: Buffer;
}

const at = fc.nat(0xff);

const changes: fc.Arbitrary<HttpChange> = fc.oneof(
  fc.record({ op: fc.constant('method' as const), method: fc.constantFrom(...METHODS) }),
  { arbitrary: fc.record({ op: fc.constant('target' as const), change: mutations(TARGETS) }), weight: 3 },
  fc.record({
    op: fc.constant('version' as const),
    version: fc.constantFrom(
      'HTTP/1.0',
      'HTTP/2.0',
      'HTTP/0.9',
      'HTTP/1.2',
      'HTTP/1',
      'http/1.1',
      '',
      'HTTP/1.1 ',
    ),
  }),
  fc.record({ op: fc.constant('drop' as const), at }),
  fc.record({ op: fc.constant('repeat' as const), at }),
  fc.record({ op: fc.constant('move' as const), at, to: at }),
  { arbitrary: fc.record({ op: fc.constant('value' as const), at, change: mutations(VALUES) }), weight: 4 },
  fc.record({ op: fc.constant('name' as const), at, change: mutations(VALUES) }),
  fc.record({ op: fc.constant('case' as const), at }),
  {
    arbitrary: fc.record({ op: fc.constant('field' as const), at, line: fc.constantFrom(...LINES) }),
    weight: 5,
  },
  {
    arbitrary: fc.record({
      op: fc.constant('body' as const),
      change: mutations(['0\r\n', '\r\n', 'fffffff\r\n', '"', '&']),
    }),
    weight: 3,
  },
  fc.record({ op: fc.constant('length' as const), length: fc.constantFrom(...LENGTHS) }),
  fc.record({
    op: fc.constant('ends' as const),
    at,
    end: fc.constantFrom('\n', '\r', '\r\r\n', '\r\n ', '\0\r\n'),
  }),
);

/** Mutated entries of a corpus that has so many. */
export function httpInputs(entries: number): fc.Arbitrary<HttpInput> {
  return fc.record({
    entry: fc.nat(entries - 1),
    changes: fc.array(changes, { minLength: 1, maxLength: 3 }),
    bytes: fc.oneof(
      { arbitrary: fc.constant([]), weight: 4 },
      {
        arbitrary: fc.array(mutations(['\r\n', '\r\n\r\n', '\n', ':', ' ', 'HTTP/1.1']), {
          minLength: 1,
          maxLength: 2,
        }),
        weight: 1,
      },
    ),
  });
}

/** The bytes of an input, given the corpus that it chooses from. */
export function requestOf({ entry, changes: list, bytes }: HttpInput, entries: readonly Buffer[]): Buffer {
  const request = list.reduce(change, parse(entries[entry] ?? Buffer.alloc(0)));
  return mutated(render(request), bytes, entries);
}

function parse(bytes: Buffer): Request {
  const end = bytes.indexOf('\r\n\r\n');
  const [first = '', ...lines] = bytes.toString('latin1', 0, end).split('\r\n');
  const [method = '', target = '', version = ''] = first.split(' ');
  const fields = lines.map((line) => {
    const colon = line.indexOf(':');
    return { name: line.slice(0, colon), value: line.slice(colon + 1), end: '\r\n' };
  });
  return { line: { method, target, version }, fields, body: bytes.subarray(end + 4) };
}

function render({ line: { method, target, version }, fields, body }: Request): Buffer {
  const lines = fields.map(({ name, value, end }) => `${name}:${value}${end}`).join('');
  return Buffer.concat([Buffer.from(`${method} ${target} ${version}\r\n${lines}\r\n`, 'latin1'), body]);
}

function change(request: Request, to: HttpChange): Request {
  const { line, fields, body } = request;
  switch (to.op) {
    case 'method':
      return { ...request, line: { ...line, method: to.method } };
    case 'target':
      return { ...request, line: { ...line, target: text(line.target, to.change) } };
    case 'version':
      return { ...request, line: { ...line, version: to.version } };
    case 'body': {
      const changed = mutated(body, [to.change], []);
      return { ...request, fields: measured(fields, String(changed.length)), body: changed };
    }
    case 'length':
      return { ...request, fields: measured(fields, to.length) };
    case 'field': {
      const [name = '', ...value] = to.line.split(':');
      return { ...request, fields: insert(fields, to.at, { name, value: value.join(':'), end: '\r\n' }) };
    }
    default:
      return { ...request, fields: changeField(fields, to) };
  }
}

type FieldChange = Exclude<HttpChange, { op: 'method' | 'target' | 'version' | 'body' | 'length' | 'field' }>;

function changeField(fields: Request['fields'], to: FieldChange): Request['fields'] {
  const index = to.at % Math.max(1, fields.length);
  const one = fields[index];
  if (one === undefined) return fields;
  const others = fields.toSpliced(index, 1);
  switch (to.op) {
    case 'drop':
      return others;
    case 'repeat':
      return insert(fields, index, one);
    case 'move':
      return insert(others, to.to, one);
    case 'value':
      return fields.with(index, { ...one, value: text(one.value, to.change) });
    case 'name':
      return fields.with(index, { ...one, name: text(one.name, to.change) });
    case 'case':
      return fields.with(index, { ...one, name: one.name.toUpperCase() });
    case 'ends':
      return fields.with(index, { ...one, end: to.end });
  }
}

function insert(fields: Request['fields'], place: number, one: Request['fields'][number]): Request['fields'] {
  return fields.toSpliced(place % (fields.length + 1), 0, one);
}

/** The length that is claimed, where one is. */
function measured(fields: Request['fields'], length: string): Request['fields'] {
  return fields.map((one) =>
    one.name.toLowerCase() === 'content-length' ? { ...one, value: ` ${length}` } : one,
  );
}

function text(value: string, to: Mutation): string {
  return mutated(Buffer.from(value, 'latin1'), [to], []).toString('latin1');
}

import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** One input of the corpus; its name says what it is. */
export interface Entry {
  readonly name: string;
  readonly data: Buffer;
}

// The compiler copies no such files: they are read where they are written.
const FOLDER = fileURLToPath(new URL('../../../../test/faults/fuzz/corpus/', import.meta.url));

/**
 * The entries of one folder of the corpus, by name. `.hex` is bytes, with comments from `#` to the end of a line;
 * `.http` is text whose lines end with CRLF on the wire, where `{length}` is the length of the body without the last of
 * them; `.txt` is text as it stands, without its last line feed. What else stands in braces is in `values`.
 */
export function corpus(folder: string, values: Readonly<Record<string, string>> = {}): Entry[] {
  const names = readdirSync(FOLDER + folder).sort();
  return names.map((name) => ({
    name,
    data: decode(name, readFileSync(`${FOLDER}${folder}/${name}`), values),
  }));
}

function decode(name: string, file: Buffer, values: Readonly<Record<string, string>>): Buffer {
  if (name.endsWith('.hex')) return Buffer.from(file.toString().replace(/#.*|\s/g, ''), 'hex');
  let text = file.toString();
  for (const [key, value] of Object.entries(values)) text = text.replaceAll(`{${key}}`, value);
  // Editors end files with a line feed; in `.http` that of a body is left out, and that of a head is its own.
  if (name.endsWith('.txt')) return Buffer.from(text.replace(/\n$/, ''));
  const end = text.indexOf('\n\n') + 2;
  const head = text.slice(0, end);
  const body = head.includes('{length}') ? text.slice(end).replace(/\n$/, '') : text.slice(end);
  const wire = body.replace(/\r?\n/g, '\r\n');
  const length = String(Buffer.byteLength(wire));
  return Buffer.from(head.replace('{length}', length).replaceAll('\n', '\r\n') + wire);
}

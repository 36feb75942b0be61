/** One answer of a server, read from the bytes of its connection by RFC 9112, strictly. */
export interface Answer {
  readonly status: number;
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
  /** Whether the connection ended within the body. */
  readonly cut: boolean;
}

export interface Answers {
  readonly answers: readonly Answer[];
  /** What came after a 101. */
  readonly rest: Buffer | undefined;
}

const STATUS_LINE = /^HTTP\/1\.1 ([1-5]\d\d) [\t\x20-\x7e\x80-\xff]*$/;
const FIELD_LINE =
  /^([!#$%&'*+.^_`|~\w-]+):[ \t]*([\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?[ \t]*$/;

/**
 * Splits what a connection brought into answers. After a request by HEAD there may be a length and no body: where
 * `heads` allows for that, either reading counts. @throws Error for what is not well-formed.
 */
export function readAnswers(bytes: Buffer, { heads = false } = {}): Answers {
  const answers: Answer[] = [];
  let at = 0;
  while (at < bytes.length) {
    const end = bytes.indexOf('\r\n\r\n', at);
    if (end === -1) throw new Error(`a head without an end: ${show(bytes.subarray(at))}`);
    const { status, fields } = readHead(bytes.toString('latin1', at, end));
    at = end + 4;
    if (status === 101) {
      answers.push({ status, fields, body: EMPTY, cut: false });
      return { answers, rest: bytes.subarray(at) };
    }
    const { body, next, cut } = readBody(bytes, at, status, fields, heads);
    answers.push({ status, fields, body, cut });
    at = next;
  }
  return { answers, rest: undefined };
}

export function field({ fields }: Answer, name: string): string | undefined {
  const values = fields.filter(([one]) => one === name).map(([, value]) => value);
  return values.length === 0 ? undefined : values.join(', ');
}

interface Head {
  status: number;
  fields: [string, string][];
}

interface Body {
  body: Buffer;
  next: number;
  cut: boolean;
}

function readHead(text: string): Head {
  const [first = '', ...lines] = text.split('\r\n');
  const status = STATUS_LINE.exec(first)?.[1];
  if (status === undefined) throw new Error(`no status line: ${JSON.stringify(first)}`);
  const fields = lines.map((line): [string, string] => {
    const match = FIELD_LINE.exec(line);
    if (match === null) throw new Error(`no field line: ${JSON.stringify(line)}`);
    return [(match[1] ?? '').toLowerCase(), match[2] ?? ''];
  });
  return { status: Number(status), fields };
}

function readBody(bytes: Buffer, at: number, status: number, fields: Head['fields'], heads: boolean): Body {
  const lengths = fields.filter(([name]) => name === 'content-length').map(([, value]) => value);
  const codings = fields.filter(([name]) => name === 'transfer-encoding').map(([, value]) => value);
  if (lengths.length + codings.length > 1) throw new Error('more than one framing of a body');
  if (status < 200 || status === 204) {
    if (lengths.length + codings.length > 0) throw new Error(`a ${status} with the framing of a body`);
    return { body: EMPTY, next: at, cut: false };
  }
  const none: Body = { body: EMPTY, next: at, cut: false };
  if (status === 304) return none;
  // An answer to HEAD is told from others by what follows: the next status line, or the end.
  const follows = at === bytes.length || bytes.toString('latin1', at, at + 9) === 'HTTP/1.1 ';
  if (heads && follows) return none;
  const [length] = lengths;
  if (length !== undefined) {
    if (!/^\d+$/.test(length)) throw new Error(`no length: ${length}`);
    const next = Math.min(at + Number(length), bytes.length);
    return { body: bytes.subarray(at, next), next, cut: next < at + Number(length) };
  }
  if (codings.length === 1) {
    if (codings[0] !== 'chunked') throw new Error(`an unknown coding: ${codings[0]}`);
    return readChunks(bytes, at);
  }
  const closes = fields.some(([name, value]) => name === 'connection' && /\bclose\b/i.test(value));
  if (!closes) throw new Error('a body that nothing ends');
  return { body: bytes.subarray(at), next: bytes.length, cut: false };
}

function readChunks(bytes: Buffer, start: number): Body {
  const chunks: Buffer[] = [];
  const cut = (): Body => ({ body: Buffer.concat(chunks), next: bytes.length, cut: true });
  for (let at = start; ;) {
    const line = bytes.indexOf('\r\n', at);
    if (line === -1) return cut();
    const size = bytes.toString('latin1', at, line);
    if (!/^[\da-f]+$/i.test(size)) throw new Error(`no chunk size: ${JSON.stringify(size)}`);
    const data = line + 2;
    const end = data + parseInt(size, 16);
    if (end + 2 > bytes.length) return cut();
    if (bytes.toString('latin1', end, end + 2) !== '\r\n') throw new Error('a chunk without its end');
    if (end === data) return { body: Buffer.concat(chunks), next: end + 2, cut: false };
    chunks.push(bytes.subarray(data, end));
    at = end + 2;
  }
}

const EMPTY = Buffer.alloc(0);

function show(bytes: Buffer): string {
  return JSON.stringify(bytes.toString('latin1', 0, 200));
}

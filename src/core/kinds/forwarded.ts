import type { ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { bytesOf } from '../base/bytes.js';
import { hopByHop } from '../node/framing.js';

/** What a `Response` of any package has in common: Node's own, undici's, node-fetch's, a polyfill's. */
export interface ForeignResponse {
  readonly status: number;
  readonly headers: ForeignHeaders;
  readonly body: unknown;
  readonly url?: unknown;
}

interface ForeignHeaders {
  get(name: string): string | null;
  forEach(visit: (value: string, name: string) => void): void;
  getSetCookie?(): string[];
  raw?(): Record<string, string[]>;
}

/** Whether a value is a `Response`, whichever package has made it. */
export function isResponse(value: object): value is ForeignResponse {
  const { status, headers, arrayBuffer } = value as Partial<Response>;
  // Checked first because most values lack it: every message comes through here.
  if (typeof arrayBuffer !== 'function') return false;
  if (value instanceof Response) return true;
  return (
    typeof status === 'number' &&
    typeof headers === 'object' &&
    typeof headers?.get === 'function' &&
    typeof headers.forEach === 'function' &&
    'body' in value
  );
}

/**
 * Copies the fields of a response, without those of the connection that it came on, and of one that `fetch` has
 * decoded without its coding and the length that it had with it.
 */
export function copyFields(to: ServerResponse, answer: ForeignResponse): void {
  const { headers } = answer;
  const dropped = new Set(hopByHop(headers.get('connection')));
  headers.forEach((value, name) => {
    const field = name.toLowerCase();
    if (dropped.has(field) || field === 'set-cookie') return;
    // What middleware has said of the choice of a form holds, too.
    if (field === 'vary') to.appendHeader(field, value);
    else to.setHeader(field, value);
  });
  const cookies = headers.getSetCookie?.() ?? headers.raw?.()['set-cookie'] ?? [];
  if (cookies.length > 0 && !dropped.has('set-cookie')) to.appendHeader('set-cookie', cookies);
  if (isDecoded(answer)) dropCoding(to);
}

/** The codings that implementations of `fetch` take off a body; if there is another among them, they take off none. */
const DECODED: ReadonlySet<string> = new Set(['gzip', 'x-gzip', 'deflate', 'br']);

/** Whether a body came from the network, so that it is there without its coding. One made by hand is as it was given. */
function isDecoded({ headers, url, body }: ForeignResponse): boolean {
  const field = headers.get('content-encoding');
  if (field === null || typeof url !== 'string' || url === '') return false;
  const codings = field.split(',').map((one) => one.trim().toLowerCase());
  // node-fetch takes off one coding alone.
  if (isNodeStream(body) && codings.length > 1) return false;
  return codings.every((one) => DECODED.has(one));
}

/** What bodies of a coding always begin with (RFC 1952, section 2.3.1; RFC 8878, section 3.1.1). */
const MAGIC: Readonly<Record<string, readonly number[] | undefined>> = {
  gzip: [0x1f, 0x8b],
  'x-gzip': [0x1f, 0x8b],
  zstd: [0x28, 0xb5, 0x2f, 0xfd],
};

/**
 * The chunks of a body, of which the first tells whether the coding that the head names is still on it: a `Response` made
 * of the body and the fields of one that `fetch` has decoded looks as one that was encoded by hand.
 */
export function decodedOrNot(to: ServerResponse, values: AsyncIterator<unknown>): AsyncIterator<unknown> {
  const outermost = String(to.getHeader('content-encoding') ?? '')
    .split(',')
    .at(-1);
  const magic = MAGIC[outermost?.trim().toLowerCase() ?? ''];
  if (magic === undefined) return values;
  let isFirst = true;
  return {
    async next() {
      const result = await values.next();
      const bytes = result.done === true ? undefined : bytesOf(result.value);
      if (!isFirst || bytes?.byteLength === 0) return result;
      isFirst = false;
      if (bytes !== undefined && !magic.every((byte, i) => i >= bytes.byteLength || bytes[i] === byte))
        dropCoding(to);
      return result;
    },
    async return() {
      return (await values.return?.()) ?? { done: true, value: undefined };
    },
  };
}

/** Takes from a head what describes a body by the bytes of its coding. */
function dropCoding(to: ServerResponse): void {
  for (const name of OF_CODING) to.removeHeader(name);
}

const OF_CODING = [
  'accept-ranges',
  'content-digest',
  'content-encoding',
  'content-length',
  'content-md5',
  'digest',
  'repr-digest',
];

/**
 * The chunks of a body: a web stream, a stream of Node's, or any async iterable. `return()` ends the source at once,
 * even while it waits.
 * @throws TypeError for what is none of these, and for a body that has been read.
 */
export function valuesOf(body: unknown): AsyncIterator<unknown> {
  const { getReader, [Symbol.asyncIterator]: iterate } = body as Partial<ReadableStream> & {
    [Symbol.asyncIterator]?: () => AsyncIterator<unknown>;
  };
  if (typeof getReader === 'function') return readWith((body as ReadableStream).getReader());
  if (isNodeStream(body) && typeof iterate === 'function') return readFrom(body, iterate.call(body));
  if (typeof iterate === 'function') return iterate.call(body);
  throw new TypeError('the body of a Response is no stream that can be read');
}

/** Whether a body is a stream of Node's, or of a package that makes its like. */
export function isNodeStream(body: unknown): body is Readable {
  const { pipe, destroy, on } = (body ?? {}) as Partial<Readable>;
  return typeof pipe === 'function' && typeof destroy === 'function' && typeof on === 'function';
}

/** The iterator of a stream of Node's would wait for the next chunk before it lets go. */
function readFrom(stream: Readable, values: AsyncIterator<unknown>): AsyncIterator<unknown> {
  // `next()` rejects with the failure; without a listener the event would end the process.
  stream.on('error', () => undefined);
  return {
    next: () => values.next(),
    return() {
      stream.destroy();
      return Promise.resolve({ done: true, value: undefined });
    },
  };
}

function readWith(reader: ReadableStreamDefaultReader<unknown>): AsyncIterator<unknown> {
  return {
    next: () => reader.read() as Promise<IteratorResult<unknown>>,
    async return() {
      await reader.cancel();
      return { done: true, value: undefined };
    },
  };
}

import { Readable, type Writable } from 'node:stream';
import { ConfigurationError, Disconnected, HttpError } from '../base/errors.js';

/** A part of a form: a field with its `value`, or a file with a `stream` that is read as it arrives. */
export type Part =
  | { name: string; value: string }
  | {
      name: string;
      /** The file name without directories. It comes from the client: never use it as a path. */
      filename: string;
      /** The media type that the client claims, in lower case and without parameters. */
      mediaType: string;
      stream: Readable;
    };

/** What one form may hold; above that it is a 413. The body's own limit bounds all of it together. */
export interface MultipartLimits {
  /** Fields and files together. */
  parts: number;
  files: number;
  /** Bytes of one file. */
  fileSize: number;
  /** Bytes of one field's value, which is held in memory. */
  fieldSize: number;
  /** Header fields read of one part; further ones are ignored. */
  headerPairs: number;
}

export const MULTIPART_LIMITS: Readonly<MultipartLimits> = Object.freeze({
  parts: 1_000,
  files: 100,
  fileSize: Infinity,
  fieldSize: 1_048_576,
  headerPairs: 100,
});

/** The fields of a form by name, without a prototype. A name that occurs more than once has an array. */
export type FormFields = Record<string, string | string[]>;

export function addField(fields: FormFields, name: string, value: string): void {
  const present = fields[name];
  if (present === undefined) fields[name] = value;
  else if (typeof present === 'string') fields[name] = [present, value];
  else present.push(value);
}

/** The part of `@fastify/busboy` that is used here, so that no declaration depends on an optional package. */
export type Parser = new (config: {
  headers: { 'content-type': string };
  limits: Partial<MultipartLimits> & { headerSize: number };
  fileHwm: number;
  isPartAFile: (name?: string, mediaType?: string, filename?: string) => boolean;
}) => Writable;

export interface MultipartOptions {
  /** Bytes of the whole body. */
  limit: number;
  limits?: Partial<MultipartLimits>;
  /** Loads the parser: `@fastify/busboy`, unless told otherwise. */
  load?: () => Promise<Parser>;
}

/**
 * Begins to read a `multipart/form-data` body, RFC 7578.
 * @throws HttpError 415 if the optional `@fastify/busboy` is not installed (its cause says so), 400 if the
 * content type names no usable boundary.
 */
export async function openMultipart(
  source: Readable,
  contentType: string,
  { limit, limits, load = loadParser }: MultipartOptions,
): Promise<Multipart> {
  const Parser = await load().catch(refuse);
  try {
    const parser = new Parser({
      headers: { 'content-type': contentType },
      limits: { ...MULTIPART_LIMITS, ...limits, headerSize: 16_384 },
      fileHwm: CHUNK + 1,
      isPartAFile: (_name, _mediaType, filename) => filename !== undefined,
    });
    return new Multipart(source, parser, limit);
  } catch (cause) {
    throw new HttpError(400, 'multipart/form-data without a valid boundary', {
      code: 'MALFORMED_BODY',
      cause,
    });
  }
}

/**
 * The parts of a form in the order in which they arrive, to be iterated once. The next part is read when the
 * file before it has been; a file that nobody reads is skipped. Leaving the loop gives up the rest.
 *
 * Iteration throws HttpError 413 above a limit, HttpError 400 if the form is malformed, and Disconnected if the
 * client has gone. A file that is being read then fails with the same error.
 */
export class Multipart implements AsyncIterable<Part> {
  readonly #source: Readable;
  readonly #parser: Writable;
  readonly #limit: number;
  /** Parts parsed and not asked for yet; no more than one chunk of the body holds. */
  readonly #parts: Part[] = [];
  readonly #files = new Set<FileStream>();
  #taken = false;
  #parsing = false;
  #size = 0;
  #finished = false;
  /** The loop is over, or has failed: nothing more is parsed. */
  #left = false;
  #failure: Error | undefined;
  #wake: (() => void) | undefined;
  readonly #listeners: [event: string, listener: (chunk: Buffer) => void][] = [
    ['data', (chunk) => this.#data(chunk)],
    ['end', () => this.#end()],
    ['error', () => this.#fail(new Disconnected())],
    ['close', () => this.#fail(new Disconnected())],
  ];

  /** @internal */
  constructor(source: Readable, parser: Writable, limit: number) {
    this.#source = source;
    this.#parser = parser;
    this.#limit = limit;
  }

  [Symbol.asyncIterator](): AsyncGenerator<Part, void, undefined> {
    if (this.#taken) throw new Error('a multipart body can be read only once');
    this.#taken = true;
    return this.#iterate();
  }

  /** All fields; files are skipped. */
  async fields(): Promise<FormFields> {
    const fields = Object.create(null) as FormFields;
    for await (const part of this) {
      if ('value' in part) addField(fields, part.name, part.value);
    }
    return fields;
  }

  async *#iterate(): AsyncGenerator<Part, void, undefined> {
    this.#open();
    try {
      for (let part = await this.#next(); part !== undefined; part = await this.#next()) {
        yield part;
        if ('stream' in part) await left(part.stream);
      }
    } finally {
      this.#leave();
    }
  }

  async #next(): Promise<Part | undefined> {
    while (this.#parts.length === 0 && !this.#finished && this.#failure === undefined) {
      await new Promise<void>((wake) => {
        this.#wake = wake;
        this.#pull();
      });
    }
    if (this.#failure !== undefined) throw this.#failure;
    const part = this.#parts.shift();
    this.#pull();
    return part;
  }

  #open(): void {
    this.#parser
      .on('field', (name: string | undefined, value: string, _nameCut: boolean, valueCut: boolean) => {
        if (valueCut) this.#fail(tooLarge('a field is too large'));
        else this.#add(name, { value });
      })
      .on('file', (name: string | undefined, file: Readable, filename: string, _: string, type: string) => {
        const stream = new FileStream(file);
        this.#files.add(stream);
        stream.once('close', () => this.#files.delete(stream));
        file.on('limit', () => this.#fail(tooLarge('a file is too large')));
        this.#add(name, { filename, mediaType: type, stream });
      })
      .on('partsLimit', () => this.#fail(tooLarge('too many parts')))
      .on('filesLimit', () => this.#fail(tooLarge('too many files')))
      .on('error', (error) => this.#malformed(error))
      .on('finish', () => {
        this.#finished = true;
        this.#wake?.();
      });
    if (this.#source.destroyed) return this.#fail(new Disconnected());
    for (const [event, listener] of this.#listeners) this.#source.on(event, listener);
  }

  #add(name: string | undefined, part: Unnamed): void {
    if (this.#left) return; // The rest of the chunk still comes by.
    if (name === undefined)
      return this.#fail(new HttpError(400, 'a part without a name', { code: 'MALFORMED_BODY' }));
    this.#parts.push({ name, ...part });
    this.#wake?.();
  }

  /** Reads on when the parser has room (it has none while a file is not read) and all parts were asked for. */
  #pull(): void {
    if (this.#parsing || this.#parts.length > 0 || this.#left) return;
    this.#source.resume();
  }

  #data(chunk: Buffer): void {
    this.#size += chunk.length;
    if (this.#size > this.#limit) return this.#fail(tooLarge('the body is too large'));
    this.#source.pause();
    if (chunk.length > CHUNK) {
      // The rest is parsed when the parser has room for it.
      this.#source.unshift(chunk.subarray(CHUNK));
      this.#size -= chunk.length - CHUNK;
      chunk = chunk.subarray(0, CHUNK);
    }
    this.#parsing = true;
    try {
      this.#parser.write(chunk, () => {
        this.#parsing = false;
        this.#pull();
      });
    } catch (error) {
      this.#malformed(error);
    }
  }

  #end(): void {
    this.#detach();
    this.#parser.end();
  }

  #malformed(cause: unknown): void {
    this.#fail(new HttpError(400, 'malformed multipart/form-data', { code: 'MALFORMED_BODY', cause }));
  }

  #fail(error: Error): void {
    if (this.#left) return;
    this.#failure = error;
    this.#wake?.();
    this.#leave(error);
  }

  #leave(error?: Error): void {
    if (this.#left) return;
    this.#left = true;
    this.#parts.length = 0;
    for (const file of this.#files) file.destroy(error);
    this.#detach();
    if (this.#source.destroyed || this.#source.readableEnded) return;
    // What remains is read and dropped, or the connection could not be used again; but not without end.
    if (this.#size <= this.#limit) {
      this.#source.on('data', (chunk: Buffer) => {
        if ((this.#size += chunk.length) > this.#limit) this.#source.pause();
      });
    }
    this.#source.resume();
  }

  #detach(): void {
    for (const [event, listener] of this.#listeners) this.#source.off(event, listener);
  }
}

/**
 * Bytes that the parser is given at once, and less than what it keeps of one part: one that is skipped, ends within a
 * chunk and is larger than that would keep it waiting for ever (seen with 3.2.6).
 */
const CHUNK = 65_536;

type Unnamed = { value: string } | { filename: string; mediaType: string; stream: Readable };

/** A file as its reader sees it. The parser's own stream must be read to its end even if this one is not. */
class FileStream extends Readable {
  readonly #file: Readable;

  constructor(file: Readable) {
    super();
    this.#file = file;
    file.on('data', (chunk: Buffer) => this.push(chunk) || file.pause()).on('end', () => this.push(null));
    // The parser reports the same error itself, and a file that nobody reads must not end the process.
    file.on('error', ignore);
    this.on('error', ignore);
  }

  override _read(): void {
    this.#file.resume();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#file.removeAllListeners('data').resume();
    done(error);
  }
}

function ignore(): void {}

/** Resolves when the reader of a file is done with it, which is at once if there is none. */
function left(stream: Readable): Promise<void> | void {
  if (stream.closed) return;
  const isRead =
    stream.readableFlowing === true || stream.listenerCount('data') + stream.listenerCount('readable') > 0;
  if (!isRead) stream.destroy();
  return new Promise((resolve) => stream.once('close', resolve));
}

function tooLarge(detail: string): HttpError {
  return new HttpError(413, detail, { headers: { connection: 'close' } });
}

/** The import is made on first use, as the package is optional. */
async function loadParser(): Promise<Parser> {
  // Bundlers stop at an optional import that stands outside of a `try`.
  try {
    return (await import('@fastify/busboy')).Busboy;
  } catch (error) {
    return refuse(error);
  }
}

function refuse(error: unknown): never {
  if (!(error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND')) throw error;
  const remedy = 'to read multipart/form-data, install the optional package: npm install @fastify/busboy';
  const cause = new ConfigurationError(remedy, { code: 'MISSING_PACKAGE', cause: error });
  throw new HttpError(415, 'multipart/form-data is not supported', { cause });
}

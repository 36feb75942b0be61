import { Readable, type Writable } from 'node:stream';
import { Disconnected, HttpError } from '../base/errors.js';
import { FileStream, untilRead } from './file-stream.js';
import {
  loadParser,
  missingPackage,
  MULTIPART_LIMITS,
  type MultipartLimits,
  type Parser,
} from './multipart-parser.js';

/** A part of a form: a field with its `value`, or a file with a `stream` of its bytes as they arrive. */
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

/** The fields of a form by name, without a prototype. A name that occurs more than once has an array. */
export type FormFields = Record<string, string | string[]>;

export function addField(fields: FormFields, name: string, value: string): void {
  const present = fields[name];
  if (present === undefined) fields[name] = value;
  else if (typeof present === 'string') fields[name] = [present, value];
  else present.push(value);
}

export interface MultipartOptions {
  /** Bytes of the whole body. */
  limit: number;
  limits?: Partial<MultipartLimits>;
  /** Loads the parser; `@fastify/busboy` by default. */
  load?: () => Promise<Parser>;
}

/**
 * Begins to read a `multipart/form-data` body (RFC 7578).
 * @throws HttpError 415 if the optional `@fastify/busboy` is not installed (its cause says so), 400 if the content type has no
 * valid boundary.
 */
export async function openMultipart(
  source: Readable,
  contentType: string,
  { limit, limits, load = loadParser }: MultipartOptions,
): Promise<Multipart> {
  const Parser = await load().catch(missingPackage);
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
 * Iterates once over the parts of a form, in the order in which they arrive. The next part comes when the file before it has been
 * read; a file without a reader is skipped. Leaving the loop drops the remaining parts.
 *
 * Iteration throws HttpError 413 above a limit, HttpError 400 if the form is malformed, and Disconnected if the client has
 * disconnected. A file that is being read then fails with the same error.
 */
export class Multipart implements AsyncIterable<Part> {
  readonly #source: Readable;
  readonly #parser: Writable;
  readonly #limit: number;
  /** Parsed parts that were not requested yet: at most those of one chunk of the body. */
  readonly #parts: Part[] = [];
  readonly #files = new Set<FileStream>();
  #taken = false;
  #parsing = false;
  #size = 0;
  #finished = false;
  /** The loop has ended or failed: parsing stops. */
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

  /** Reads all fields, and skips files. */
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
        if ('stream' in part) await untilRead(part.stream);
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
    if (this.#left) return; // The parser finishes its chunk.
    if (name === undefined)
      return this.#fail(new HttpError(400, 'a part without a name', { code: 'MALFORMED_BODY' }));
    this.#parts.push({ name, ...part });
    this.#wake?.();
  }

  /** Reads on when all parts were requested and the parser has room, which it lacks while a file waits for its reader. */
  #pull(): void {
    if (this.#parsing || this.#parts.length > 0 || this.#left) return;
    this.#source.resume();
  }

  #data(chunk: Buffer): void {
    this.#size += chunk.length;
    if (this.#size > this.#limit) return this.#fail(tooLarge('the body is too large'));
    this.#source.pause();
    if (chunk.length > CHUNK) {
      // The parser gets the rest when it has room.
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
    // The rest is dropped up to the limit, so that the connection can be used again.
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
 * Bytes per write to the parser, less than its buffer of one part: with 3.2.6, a skipped part that ends within a chunk and is
 * larger than the buffer stalls the parser.
 */
const CHUNK = 65_536;

type Unnamed = { value: string } | { filename: string; mediaType: string; stream: Readable };

function tooLarge(detail: string): HttpError {
  return new HttpError(413, detail, { headers: { connection: 'close' } });
}

import { Readable } from 'node:stream';

/** The stream of one file. The parser's own stream must be read to its end, even if the handler does not read this one. */
export class FileStream extends Readable {
  readonly #file: Readable;

  constructor(file: Readable) {
    super();
    this.#file = file;
    file.on('data', (chunk: Buffer) => this.push(chunk) || file.pause()).on('end', () => this.push(null));
    // The parser reports the same error, and the error of an unread file must not end the process.
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

/** Resolves when the file has been read; destroys it first if it has no reader. */
export function untilRead(stream: Readable): Promise<void> | void {
  if (stream.closed) return;
  const isRead =
    stream.readableFlowing === true || stream.listenerCount('data') + stream.listenerCount('readable') > 0;
  if (!isRead) stream.destroy();
  return new Promise((resolve) => stream.once('close', resolve));
}

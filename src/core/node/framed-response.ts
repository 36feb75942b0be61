import { ServerResponse, type IncomingMessage } from 'node:http';
import { declaredLength, withoutConflict } from './framing.js';
import type { Logger } from '../base/logger.js';

/**
 * Node's response, which never desynchronises its connection: its head has no contradictions, a body that differs from
 * its declared length cuts the connection, and what comes after the end goes nowhere.
 */
export class FramedResponse<R extends IncomingMessage = IncomingMessage> extends ServerResponse<R> {
  /** How long the body is by its head; undefined where that is open, or there is no body. */
  #declared: number | undefined = undefined;
  #written = 0;
  #isLate = false;

  /** Where mistakes in the handling of the response are logged; nowhere by default. */
  protected get logger(): Logger | undefined {
    return undefined;
  }

  override writeHead(...head: unknown[]): this {
    if (this.headersSent) return super.writeHead(...(head as [number]));
    const consistent = withoutConflict(this, head);
    const declared = declaredLength(this, consistent);
    super.writeHead(...(consistent as [number]));
    this.#declared = declared;
    return this;
  }

  // A byte too many would be read as the beginning of the next response, and for one too few the client would wait.

  override write(chunk: unknown, ...rest: unknown[]): boolean {
    if (this.#comesLate) return this.#drop(rest);
    const open = !this.finished && !this.destroyed;
    if (open && !this.headersSent && isChunk(chunk)) this.writeHead(this.statusCode);
    if (this.#declared !== undefined && open && isChunk(chunk)) {
      this.#written += sizeOf(chunk, rest[0]);
      if (this.#written > this.#declared) return this.#cut(this.#declared);
    }
    return super.write(chunk as string, ...(rest as []));
  }

  override end(...args: unknown[]): this {
    const [chunk, encoding] = args;
    if (isChunk(chunk) && this.#comesLate) {
      this.#drop(args);
      return this;
    }
    if (this.finished || this.destroyed) return super.end(...(args as []));
    if (!this.headersSent && this.hasHeader('content-length')) this.writeHead(this.statusCode);
    if (this.#declared !== undefined) {
      if (isChunk(chunk)) this.#written += sizeOf(chunk, encoding);
      if (this.#written !== this.#declared) {
        this.#cut(this.#declared);
        return this;
      }
    }
    try {
      return super.end(...(args as []));
    } catch (error) {
      // Node has corked the connection before it found the head invalid: the response to the error would wait for ever.
      this.socket?.uncork();
      throw error;
    }
  }

  /** Whether the body has ended and nobody listens for errors: Node would end the process by the `error` event. */
  get #comesLate(): boolean {
    return this.finished && !this.destroyed && this.listenerCount('error') === 0;
  }

  #drop(args: unknown[]): false {
    if (!this.#isLate) {
      this.logger?.error(factsOf(this.req), 'a response was written to after its end: dropped');
    }
    this.#isLate = true;
    const done = args.find((arg) => typeof arg === 'function') as ((error: Error) => void) | undefined;
    if (done !== undefined) process.nextTick(done, new Error('the response has ended'));
    return false;
  }

  #cut(declared: number): false {
    this.destroy();
    const fields = { ...factsOf(this.req), declared, length: this.#written };
    this.logger?.error(fields, 'a response differs from its Content-Length: cut');
    return false;
  }
}

/** What a log says of a request. Its query may hold tokens. */
function factsOf({ method, url = '/' }: IncomingMessage): { method: string | undefined; path: string } {
  return { method, path: url.split('?', 1)[0] ?? '/' };
}

function isChunk(chunk: unknown): chunk is string | Uint8Array {
  return typeof chunk === 'string' || chunk instanceof Uint8Array;
}

function sizeOf(chunk: string | Uint8Array, encoding: unknown): number {
  if (typeof chunk !== 'string') return chunk.byteLength;
  return Buffer.byteLength(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8');
}

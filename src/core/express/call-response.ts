import { ServerResponse, type IncomingMessage } from 'node:http';
import { HttpError } from '../base/errors.js';

/** The response of one call: collects what middleware sends, as the result or the error of the call. */
export class CallResponse extends ServerResponse {
  readonly #chunks: Buffer[] = [];

  constructor(request: IncomingMessage) {
    super(request);
    this.sendDate = false;
  }

  override write(...args: unknown[]): boolean {
    if (!this.headersSent) this.writeHead(this.statusCode);
    this.#keep(args[0], args[1]);
    const callback = args.find((one) => typeof one === 'function') as (() => void) | undefined;
    if (callback !== undefined) process.nextTick(callback);
    return true;
  }

  override end(...args: unknown[]): this {
    if (this.finished) return this;
    if (!this.headersSent) this.writeHead(this.statusCode);
    this.#keep(args[0], args[1]);
    this.finished = true;
    const callback = args.find((one) => typeof one === 'function') as (() => void) | undefined;
    if (callback !== undefined) this.once('finish', callback);
    process.nextTick(() => this.emit('finish'));
    return this;
  }

  override flushHeaders(): void {
    if (!this.headersSent) this.writeHead(this.statusCode);
  }

  /** The result of the call. @throws HttpError for a status of 300 and above: a call follows no redirect */
  result(): unknown {
    const text = Buffer.concat(this.#chunks).toString();
    const type = String(this.getHeader('content-type') ?? '');
    const value: unknown = /[/+]json\b/.test(type) ? parsed(text) : text;
    const { statusCode: status } = this;
    if (status < 300) return value === '' ? undefined : value;
    if (status < 400) throw new HttpError(403, 'The call was redirected');
    const shown = status > 599 ? 500 : status;
    if (typeof value === 'string')
      throw new HttpError(shown, /^text\/plain\b/.test(type) ? value : undefined);
    throw new HttpError(shown, undefined, { extensions: { ...(value as object) } });
  }

  #keep(chunk: unknown, encoding: unknown): void {
    if (typeof chunk === 'string') {
      this.#chunks.push(
        Buffer.from(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8'),
      );
    } else if (chunk instanceof Uint8Array) this.#chunks.push(Buffer.from(chunk));
  }
}

/** The parsed JSON; the text itself if it is malformed. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

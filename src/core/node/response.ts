import { ServerResponse, STATUS_CODES, type IncomingMessage, type Server } from 'node:http';
import type { Socket } from 'node:net';
import { FramedResponse } from './framed-response.js';
import type { Logger } from '../base/logger.js';
import { hangUp } from './lingering-close.js';
import { SENT } from './upgrade-response.js';

/** What of a server decides how long its connections are kept. */
export type KeepAlive = Pick<Server, 'keepAliveTimeout' | 'maxRequestsPerSocket'>;

/** Ends responses of which the client takes nothing. */
export interface UnreadWatch {
  /** Something has been written that the connection has not taken at once. */
  watch(socket: Socket, response: ServerResponse): void;
  /** The responses of which bytes may still wait. */
  responses(): Iterable<ServerResponse>;
}

/** Fields that say how a message ends and what becomes of its connection: Node works those out. */
const FRAMING: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'date',
  'keep-alive',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/**
 * Node's response, with a short way for an answer that is known whole and is ASCII, as most are: head and body
 * are one string, and leave in one write. Node's own way corks the connection, keeps head and end apart and gathers
 * them again, which is a good part of what a small answer costs.
 *
 * Public means only: `createServer` takes the class, the connection is written to, and `finish` has the server go on.
 */
export class Response<R extends IncomingMessage = IncomingMessage> extends FramedResponse<R> {
  #whole = false;

  /**
   * Sends a text in one write. False, and nothing is sent, where the answer has to go Node's way: the connection is
   * to close, an earlier answer is still on its way, there is no body, the reason phrase or fields of the framing are
   * set by hand, or middleware has put itself between.
   */
  sendWhole(server: KeepAlive, status: number, type: string, body: string): boolean {
    const { socket } = this;
    if (
      socket === null ||
      !this.shouldKeepAlive ||
      this.headersSent ||
      this.finished ||
      !this.sendDate ||
      // A reason phrase of its own, which Node checks, and answers that have no body.
      this.statusMessage ||
      status === 204 ||
      status === 304 ||
      this.req.method === 'HEAD' ||
      server.maxRequestsPerSocket !== 0 ||
      this.write !== WRITE ||
      this.end !== END ||
      this.writeHead !== WRITE_HEAD
    )
      return false;
    const fields = this.#fields(type);
    if (fields === undefined) return false;
    this.#whole = true;
    this.finished = true;
    this.statusCode = status;
    this.statusMessage = STATUS_CODES[status] ?? 'unknown';
    socket.write(
      `HTTP/1.1 ${status} ${this.statusMessage}\r\n${fields}content-length: ${body.length}\r\n${general(server)}${body}`,
      'latin1',
      (error) => {
        // Of a connection that has failed Node tells by `close`.
        if (error == null) this.emit('finish');
      },
    );
    this.watch(socket);
    return true;
  }

  // What the client does not take at once may never be taken.

  override write(chunk: unknown, ...rest: unknown[]): boolean {
    const goesOn = super.write(chunk, ...rest);
    this.watch(this.socket);
    return goesOn;
  }

  override end(...args: unknown[]): this {
    const { socket } = this;
    super.end(...args);
    this.watch(socket);
    return this;
  }

  /** @internal Ends the response if bytes wait on the socket, and the client takes none of them for `timeouts.unread`. */
  watch(socket: Socket | null): void {
    if (socket !== null && socket.writableLength > 0) this.unread?.watch(socket, this);
  }

  /** Where responses with bytes that wait for the client are watched. */
  protected get unread(): UnreadWatch | undefined {
    return undefined;
  }

  static {
    // Node's declarations have it as a plain property, so that it cannot be overridden by an accessor in the class.
    Object.defineProperty(this.prototype, 'headersSent', {
      configurable: true,
      get(this: Response): boolean {
        return this.#whole || (Reflect.get(ServerResponse.prototype, 'headersSent', this) as boolean);
      },
    });
  }

  // What is sent is sent: Node's own error says so.

  override setHeader(name: string, value: number | string | readonly string[]): this {
    if (this.#whole) SENT.setHeader(name, value);
    return super.setHeader(name, value);
  }

  override appendHeader(name: string, value: string | readonly string[]): this {
    if (this.#whole) SENT.appendHeader(name, value);
    return super.appendHeader(name, value);
  }

  override removeHeader(name: string): void {
    if (this.#whole) SENT.removeHeader(name);
    super.removeHeader(name);
  }

  override writeHead(...head: unknown[]): this {
    if (this.#whole) SENT.writeHead(this.statusCode);
    // An interim response would leave the request without one: the next would be read as its own (RFC 9110, section 15.2).
    if (Number(head[0]) < 200)
      throw new RangeError(`the status of a response is 200 or more, not ${String(head[0])}`);
    return super.writeHead(...head);
  }

  /**
   * Node lets go of the socket when the answer is out, and before it closes the connection, if it does: a client that
   * still sends is not cut off, since it could not read its answer.
   */
  override detachSocket(socket: Socket): void {
    super.detachSocket(socket);
    const { req: request } = this;
    if (request.complete) return;
    // Node forgets the request with its answer: who still reads the body hears of the end by this alone.
    const destroy = (): void => void request.destroy();
    const release = (): void => void socket.off('close', destroy);
    socket.once('close', destroy);
    // The connection may serve many more requests: it holds each only until its body has come.
    request.once('end', release).once('close', release);
    socket.destroySoon = () => {
      // Nobody reads the body any more, and Node's parser may have stopped to take it from the network.
      request.resume();
      hangUp(socket);
    };
  }

  override flushHeaders(): void {
    if (!this.#whole) super.flushHeaders();
  }

  /** Lines of the fields that were set, the type among them; undefined where one of them is of the framing. */
  #fields(type: string): string | undefined {
    let typed = false;
    let lines = '';
    for (const name of this.getHeaderNames()) {
      if (FRAMING.has(name)) return undefined;
      typed ||= name === 'content-type';
      const value = this.getHeader(name);
      if (Array.isArray(value)) for (const one of value) lines += `${name}: ${one}\r\n`;
      else lines += `${name}: ${value as string | number}\r\n`;
    }
    return typed ? lines : `${lines}content-type: ${type}\r\n`;
  }
}

const { write: WRITE, end: END, writeHead: WRITE_HEAD } = Response.prototype;

/** Whether nothing has put itself between: what is written goes to the connection as it is. */
export function writesPlainly(response: ServerResponse): boolean {
  return response.write === WRITE || response.write === ServerResponse.prototype.write;
}

/** The class for one application's responses, which writes to its log and ends those that nobody reads. */
export function responseClass(logger: Logger, unread: UnreadWatch): typeof Response {
  return class<R extends IncomingMessage> extends Response<R> {
    protected override get logger(): Logger {
      return logger;
    }

    protected override get unread(): UnreadWatch {
      return unread;
    }
  };
}

let last: { timeout: number; text: string } | undefined = undefined;

/** The fields that all answers of one second share, and the end of the head. */
function general({ keepAliveTimeout }: KeepAlive): string {
  if (last?.timeout === keepAliveTimeout) return last.text;
  const now = new Date();
  const keep = keepAliveTimeout > 0 ? `Keep-Alive: timeout=${Math.floor(keepAliveTimeout / 1000)}\r\n` : '';
  last = {
    timeout: keepAliveTimeout,
    text: `Date: ${now.toUTCString()}\r\nConnection: keep-alive\r\n${keep}\r\n`,
  };
  setTimeout(() => (last = undefined), 1_000 - now.getUTCMilliseconds()).unref();
  return last.text;
}

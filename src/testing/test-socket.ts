import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';
import { Arrivals, type WaitOptions } from './arrivals.js';
import { Refused } from './refused.js';

/** Options of a test socket. */
export interface SocketInit {
  /** Header fields of the handshake. */
  headers?: Record<string, string>;
  /** Subprotocols to offer, best first. */
  protocols?: string[];
}

/** The client side of a socket under test. */
export class TestSocket {
  readonly #messages = new Arrivals<string | Buffer>('message', (message) =>
    JSON.stringify(message.toString()),
  );
  #closed: { code: number; reason: string } | undefined = undefined;

  /** @internal */
  constructor(
    /** The `ws` socket of the client. */
    readonly raw: WebSocket,
    /** Header fields of the 101. */
    readonly headers: Headers,
  ) {
    raw.on('message', (data: Buffer, binary: boolean) =>
      this.#messages.push(binary ? data : data.toString()),
    );
    raw.on('close', (code, reason) => {
      this.#closed = { code, reason: reason.toString() };
      this.#messages.end(
        `the socket has closed with ${code}${reason.length > 0 ? ` (${reason.toString()})` : ''}`,
      );
    });
    raw.on('error', (error) => this.#messages.end(`the socket failed (${error.message})`));
  }

  /** The negotiated subprotocol; `''` for none. */
  get protocol(): string {
    return this.raw.protocol;
  }

  /** Sends text and bytes as they are, anything else as JSON. */
  send(value: unknown): void {
    this.raw.send(typeof value === 'string' || value instanceof Uint8Array ? value : JSON.stringify(value));
  }

  /** The next message: text as a string, bytes as a Buffer. @throws Error that lists what arrived, if none comes in time */
  next(options?: WaitOptions): Promise<string | Buffer> {
    return this.#messages.next(options);
  }

  /** The next message, parsed. */
  async json<T = unknown>(options?: WaitOptions): Promise<T> {
    return JSON.parse((await this.next(options)).toString()) as T;
  }

  /** Resolves with the code and the reason when the socket has closed. */
  async closed(options?: WaitOptions): Promise<{ code: number; reason: string }> {
    await this.#messages.ended(options);
    if (this.#closed === undefined) await once(this.raw, 'close');
    return this.#closed ?? { code: 1006, reason: '' };
  }

  /** Closes the socket. */
  close(code = 1000, reason = ''): void {
    this.raw.close(code, reason);
  }

  [Symbol.asyncIterator](): AsyncGenerator<string | Buffer, void> {
    return this.#messages[Symbol.asyncIterator]();
  }
}

/** Opens a socket. @throws Refused with the response, if it is not a 101 */
export function openSocket(url: string, { headers = {}, protocols = [] }: SocketInit): Promise<TestSocket> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, protocols, { headers });
    // Before the first message, which may arrive in one packet with the 101.
    socket.once('upgrade', (answer) => {
      const test = new TestSocket(socket, fieldsOf(answer));
      socket.once('open', () => resolve(test));
    });
    socket.once('unexpected-response', (_request, answer) => {
      refusal(answer, url).then(reject, reject);
    });
    socket.once('error', reject);
  });
}

async function refusal(answer: IncomingMessage, url: string): Promise<Refused> {
  let body = '';
  for await (const chunk of answer.setEncoding('utf8')) body += chunk as string;
  return new Refused(answer.statusCode ?? 0, fieldsOf(answer), body, `the socket ${new URL(url).pathname}`);
}

function fieldsOf({ rawHeaders }: IncomingMessage): Headers {
  const headers = new Headers();
  for (let i = 0; i < rawHeaders.length; i += 2) headers.append(rawHeaders[i] ?? '', rawHeaders[i + 1] ?? '');
  return headers;
}

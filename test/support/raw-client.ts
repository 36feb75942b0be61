import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** One answer as it came over the wire. */
export interface RawAnswer {
  readonly status: number;
  /** Names in lower case; fields that come more than once are joined by a comma. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** A TCP connection on which a test writes what no well-behaved client would. */
export class RawClient {
  readonly #chunks: Buffer[] = [];
  readonly #ended: Promise<unknown>;
  #wake: () => void = () => undefined;

  private constructor(readonly socket: Socket) {
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#wake();
    });
    this.#ended = new Promise((resolve) => socket.once('close', resolve));
    void this.#ended.then(() => this.#wake());
    socket.on('end', () => this.#wake());
    // A reset by the server is what some tests are about.
    socket.on('error', () => this.#wake());
  }

  /** Connects to `http://localhost:<port>`. */
  static async connect(url: string): Promise<RawClient> {
    const { port } = new URL(url);
    const socket = connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true });
    await once(socket, 'connect');
    return new RawClient(socket);
  }

  /** Speaks on a connection that has been made already, by TLS, say. */
  static over(socket: Socket): RawClient {
    return new RawClient(socket);
  }

  /** All that has arrived. */
  get received(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  /** Writes lines joined by CRLF, with the empty line that ends a head. */
  head(...lines: string[]): this {
    this.socket.write([...lines, '', ''].join('\r\n'));
    return this;
  }

  write(data: string | Uint8Array): this {
    this.socket.write(data);
    return this;
  }

  /** Waits until what has arrived satisfies the test. @throws Error if the connection closes before. */
  async until(met: (received: Buffer) => boolean): Promise<Buffer> {
    while (!met(this.received)) {
      if (this.socket.closed || this.socket.readableEnded) {
        throw new Error(`the connection has closed; it brought ${JSON.stringify(this.received.toString())}`);
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.received;
  }

  /** The one answer of a connection: until the server closes it, or until all is there where it says that it keeps it. */
  async answer(): Promise<RawAnswer> {
    await Promise.race([this.closed(), this.#whole().catch(() => this.closed())]);
    this.socket.destroy();
    return parse(this.received.toString('latin1'));
  }

  /** Resolves when the answer is complete by its own framing, or, where it does not keep its connection, when that closes. */
  async #whole(): Promise<void> {
    const { headers } = await this.opening();
    if (headers['connection']?.toLowerCase() !== 'keep-alive') return this.closed();
    const start = this.received.indexOf('\r\n\r\n') + 4;
    const chunked = headers['transfer-encoding'] === 'chunked';
    const length = Number(headers['content-length'] ?? 0);
    await this.until((bytes) => (chunked ? bytes.includes('\r\n0\r\n\r\n') : bytes.length - start >= length));
  }

  /** The head of the first answer, as soon as it is there. */
  async opening(): Promise<RawAnswer> {
    const received = await this.until((bytes) => bytes.includes('\r\n\r\n'));
    return parse(received.toString('latin1'));
  }

  /** Resolves when the connection is gone. */
  async closed(): Promise<void> {
    if (this.socket.readableEnded) this.socket.end();
    else this.socket.once('end', () => this.socket.end());
    await this.#ended;
  }

  /** Resets the connection (TCP RST). */
  reset(): void {
    this.socket.resetAndDestroy();
  }
}

/** The fields of a handshake that ought to be accepted. */
export const HANDSHAKE = [
  'Host: localhost',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
];

/** A masked frame, as clients send it; payloads of less than 64 KiB. */
export function maskedFrame(opcode: number, payload: string | Uint8Array): Buffer {
  const data = Buffer.from(payload);
  const long = data.length > 125;
  const frame = Buffer.alloc((long ? 8 : 6) + data.length);
  frame[0] = 0x80 | opcode;
  frame[1] = 0x80 | (long ? 126 : data.length);
  if (long) frame.writeUInt16BE(data.length, 2);
  // A mask of zeros leaves the payload as it is.
  data.copy(frame, long ? 8 : 6);
  return frame;
}

function parse(text: string): RawAnswer {
  const end = text.indexOf('\r\n\r\n');
  const [first = '', ...lines] = text.slice(0, end).split('\r\n');
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`;
  }
  const raw = text.slice(end + 4);
  const body = headers['transfer-encoding'] === 'chunked' ? unchunk(raw) : raw;
  return { status: Number(first.split(' ')[1] ?? 0), headers, body };
}

function unchunk(text: string): string {
  let body = '';
  for (let at = 0; ;) {
    const line = text.indexOf('\r\n', at);
    const size = line === -1 ? 0 : parseInt(text.slice(at, line), 16);
    if (!(size > 0)) return body;
    body += text.slice(line + 2, line + 2 + size);
    at = line + 2 + size + 2;
  }
}

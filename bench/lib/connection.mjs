import { connect } from 'node:net';
import { clientFrame, serverFrame } from './frames.mjs';

// Every connection reads into the one buffer, and is done with it before the next reads.
const buffer = Buffer.allocUnsafe(256 * 1024);
const END = Buffer.from('\r\n\r\n');

/** A TCP connection that sends a request, checks the head of the answer and then gives its bytes to `onBytes`. */
export class RawConnection {
  /** Called with each chunk after the head; the chunk is valid during the call only. */
  onBytes = undefined;
  /** Why it has ended, when it has. */
  ended = undefined;
  #waiting = undefined;
  #kept = Buffer.alloc(0);

  constructor(port, localAddress) {
    this.socket = connect({
      port,
      host: '127.0.0.1',
      localAddress,
      onread: { buffer, callback: (size, bytes) => this.#receive(bytes.subarray(0, size)) },
    });
    this.socket.setNoDelay(true);
    this.socket.on('error', (error) => this.#end(error));
    this.socket.on('close', () => this.#end(new Error('the server has closed the connection')));
  }

  /** Opens a WebSocket, or with `status` 200 an event stream. */
  async open({ path, headers = {}, status = 101 }) {
    const lines = [`GET ${path} HTTP/1.1`, 'Host: 127.0.0.1'];
    if (status === 101) {
      lines.push('Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13');
      lines.push('Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==');
    } else {
      lines.push('Accept: text/event-stream');
    }
    for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
    this.socket.write(`${lines.join('\r\n')}\r\n\r\n`);
    const head = await this.#take((bytes) => {
      const end = bytes.indexOf(END);
      return end < 0 ? undefined : { value: bytes.toString('latin1', 0, end), size: end + 4 };
    });
    if (!head.startsWith(`HTTP/1.1 ${status} `)) throw new Error(`${path} was answered with\n${head}`);
    return this;
  }

  /** Sends a request and gives its answer, which must be a 200 with a Content-Length. */
  async answer(request) {
    this.socket.write(request);
    return this.#take((bytes) => {
      const start = bytes.indexOf(END) + 4;
      if (start < 4) return undefined;
      const head = bytes.toString('latin1', 0, start);
      const [, length] = /^HTTP\/1\.1 200 .*^content-length: (\d+)\r$/ims.exec(head) ?? [];
      if (length === undefined) throw new Error(`${request} was answered with\n${head}`);
      const size = start + Number(length);
      if (bytes.length < size) return undefined;
      return { value: { body: bytes.toString('utf8', start, size), size }, size };
    });
  }

  /** The text of the next data frame. */
  async message() {
    for (;;) {
      const frame = await this.#take((bytes) => {
        const whole = serverFrame(bytes);
        return whole && { value: whole, size: whole.size };
      });
      if (frame.opcode === 1 || frame.opcode === 2) return frame;
      if (frame.opcode === 8) throw new Error('the server has closed the socket');
    }
  }

  sendText(text) {
    this.socket.write(clientFrame(text));
  }

  /** From here on bytes go to `listener`, those first that are there already. */
  listen(listener) {
    const kept = this.#kept;
    this.#kept = Buffer.alloc(0);
    this.onBytes = listener;
    if (kept.length > 0) listener(kept);
  }

  destroy() {
    this.onBytes = undefined;
    this.socket.destroy();
  }

  #receive(bytes) {
    if (this.onBytes !== undefined) {
      this.onBytes(bytes);
      return true;
    }
    this.#kept = Buffer.concat([this.#kept, bytes]);
    this.#offer();
    return true;
  }

  #take(read) {
    return new Promise((resolve, reject) => {
      this.#waiting = { read, resolve, reject };
      this.#offer();
      if (this.ended !== undefined) reject(this.ended);
    });
  }

  #offer() {
    if (this.#waiting === undefined) return;
    const { read, resolve } = this.#waiting;
    const got = read(this.#kept);
    if (got === undefined) return;
    this.#waiting = undefined;
    this.#kept = this.#kept.subarray(got.size);
    resolve(got.value);
  }

  #end(error) {
    this.ended ??= error;
    this.#waiting?.reject(this.ended);
    this.#waiting = undefined;
  }
}

/** Opens `count` connections, some at a time; each is ready for its first message. */
export async function openMany(count, port, options, { opening = [], each = 250 } = {}) {
  const all = [];
  while (all.length < count) {
    const some = Array.from({ length: Math.min(each, count - all.length) }, async () => {
      const connection = await new RawConnection(port).open(options);
      for (const { send, expect } of opening) {
        if (send !== undefined) connection.sendText(send);
        const { text } = await connection.message();
        if (!text.startsWith(expect)) throw new Error(`expected ${expect}, got ${text}`);
      }
      return connection;
    });
    all.push(...(await Promise.all(some)));
  }
  return all;
}

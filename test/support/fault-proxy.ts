import { once } from 'node:events';
import { createServer, Socket, type AddressInfo } from 'node:net';
import { setImmediate as turn, setTimeout as wait } from 'node:timers/promises';

/** How bytes travel: as they come, each chunk late, each byte by itself, or late and with what came meanwhile. */
export type Pace = 'whole' | 'late' | 'bytes' | 'gathered';

/** What becomes of a connection once so many bytes have passed one way. */
export interface Cut {
  after: number;
  by: 'reset' | 'half-close' | 'vanish';
}

/** By how many milliseconds what is late is late. */
const LATE = 3;

/** Stands between clients and a server, and does to their connections what networks do: the test says what. */
export class FaultProxy {
  readonly links: Link[] = [];
  readonly #server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#accept(client));
  #listening: Promise<unknown> | undefined = undefined;

  constructor(
    private readonly target: { url(): Promise<string> },
    /** Told of each connection before a byte has passed; the first is number 0. */
    private readonly plan: (link: Link, index: number) => void = () => undefined,
  ) {}

  /** The address by which the server is reached through the proxy. */
  async url(): Promise<string> {
    await (this.#listening ??= once(this.#server.listen(0, '127.0.0.1'), 'listening'));
    return `http://localhost:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Resets what is open, and accepts nothing more. */
  close(): void {
    this.#server.close();
    for (const link of this.links) link.reset();
  }

  #accept(client: Socket): void {
    const link = new Link(client, new Socket({ allowHalfOpen: true }).setNoDelay());
    this.plan(link, this.links.push(link) - 1);
    void this.target.url().then((url) => link.open(Number(new URL(url).port)));
  }
}

/** One connection through the proxy. */
export class Link {
  /** From the client to the server. */
  readonly up: Way;
  /** From the server to the client. */
  readonly down: Way;
  /** Resolves when the connection has vanished. */
  readonly vanished: Promise<void>;
  #vanish: () => void = () => undefined;

  constructor(
    readonly client: Socket,
    readonly server: Socket,
  ) {
    this.up = new Way(this, client, server);
    this.down = new Way(this, server, client);
    this.vanished = new Promise((resolve) => (this.#vanish = resolve));
    // One side has gone without a farewell: so does the other.
    for (const socket of [client, server]) socket.on('error', () => this.reset());
  }

  /** @internal */
  open(port: number): void {
    if (!this.server.destroyed)
      this.server.connect(port, '127.0.0.1', () => [this.up, this.down].forEach((way) => void way.run()));
  }

  /** Sends a RST to both sides. */
  reset(): void {
    this.client.resetAndDestroy();
    this.server.resetAndDestroy();
  }

  /** From now on nothing is read and nothing passes, not even the end: each side takes the other for alive. */
  vanish(): void {
    this.up.hold();
    this.down.hold();
    this.#vanish();
  }
}

/** One direction of a connection. */
export class Way {
  pace: Pace = 'whole';
  cut: Cut | undefined = undefined;
  /** Bytes that have passed. */
  passed = 0;
  #gate: Promise<void> | undefined = undefined;

  constructor(
    private readonly link: Link,
    private readonly from: Socket,
    private readonly to: Socket,
  ) {}

  /** Keeps what comes, and the end, until the result is called; then it passes in one go. */
  hold(): () => void {
    let open!: () => void;
    this.#gate = new Promise((resolve) => (open = resolve));
    return open;
  }

  /** @internal */
  async run(): Promise<void> {
    try {
      for await (const chunk of this.from.iterator({ destroyOnReturn: false })) {
        if (this.pace === 'late' || this.pace === 'gathered') await wait(LATE);
        await this.#gate;
        const gather = this.pace === 'gathered' || this.#gate !== undefined;
        const more = gather ? (this.from.read() as Buffer | null) : null;
        this.#gate = undefined;
        await this.#pass(more === null ? (chunk as Buffer) : Buffer.concat([chunk as Buffer, more]));
      }
      await this.#gate;
      this.to.end();
    } catch (error) {
      // Reset while it was read or written: the link is gone, and what was on the way with it.
      if (!this.from.destroyed && !this.to.destroyed) throw error;
    }
  }

  async #pass(chunk: Buffer): Promise<void> {
    const step = this.pace === 'bytes' ? 1 : chunk.length;
    // What comes after the end is dropped.
    for (let at = 0; at < chunk.length && this.to.writable; at += step) {
      const room = (this.cut?.after ?? Infinity) - this.passed;
      const piece = chunk.subarray(at, at + Math.min(step, room));
      this.passed += piece.length;
      if (!this.to.write(piece)) await once(this.to, 'drain');
      if (piece.length === room) return this.#cut();
      if (this.pace === 'bytes') await turn();
    }
  }

  async #cut(): Promise<void> {
    const by = this.cut?.by;
    this.cut = undefined;
    if (by === 'half-close') this.to.end();
    if (by === 'vanish') this.link.vanish();
    if (by !== 'reset') return;
    // libuv takes a RST that comes together with bytes for an orderly end: those are to be read before.
    await turn();
    this.link.reset();
  }
}

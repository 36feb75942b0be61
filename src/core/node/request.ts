import { IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Disconnected } from '../base/errors.js';
import { SENT } from './upgrade-response.js';

/** From how many bytes on a body that nobody has asked for yet is no longer taken from the network. */
const HELD = 65_536;

/**
 * Node's request, without the machinery of `Readable` until somebody asks for the stream. Most requests have no
 * body, and most bodies are wanted whole: setting the machinery in motion, only to be told that nothing came or
 * to have one chunk handed on, is a good part of what a small request costs.
 *
 * Public means only: `push` and `_destroy` are what a `Readable` is made of, and `createServer` takes the class.
 */
export class Request extends IncomingMessage {
  /** What came while nobody had asked: `held`, then one of the others for good. */
  #mode: 'held' | 'collected' | 'dropped' | 'streamed' = 'held';
  #chunks: Buffer[] | undefined = undefined;
  #size = 0;
  #ended = false;
  #collector: Collector | undefined = undefined;

  #ask: (() => void) | undefined = undefined;

  /** The client waits to be asked for the body (RFC 9110, 10.1.1): `ask` runs when it is first wanted. */
  askBefore(ask: () => void): void {
    this.#ask = ask;
  }

  #wanted(): void {
    const ask = this.#ask;
    this.#ask = undefined;
    ask?.();
  }

  /**
   * The whole body, once. More than `limit` bytes are not kept.
   * @throws what `refusal` makes above the limit; Disconnected if the client leaves before the end.
   */
  collect(limit: number, refusal: () => Error): Promise<Buffer> {
    this.#mode = 'collected';
    this.#wanted();
    return new Promise((resolve, reject) => {
      this.#collector = { limit, refusal, resolve, reject };
      if (this.#size > limit) this.#tooLarge();
      else if (this.#ended) this.#finish();
      else if (this.destroyed) reject(new Disconnected());
      else if (this.#size >= HELD) this._read(0);
    });
  }

  static {
    // Node's declarations have it as a plain property, so that it cannot be overridden by an accessor in the class.
    Object.defineProperty(this.prototype, 'readableEnded', {
      configurable: true,
      get(this: Request): boolean {
        if (this.#mode === 'streamed')
          return Reflect.get(IncomingMessage.prototype, 'readableEnded', this) as boolean;
        return this.#ended && (this.#mode !== 'held' || this.#size === 0);
      },
    });
  }

  /** Whether the body can still be collected: nobody has taken it in another way. */
  get collectable(): boolean {
    return this.#mode === 'held';
  }

  override push(chunk: Buffer | null, encoding?: BufferEncoding): boolean {
    if (this.#mode === 'streamed') return super.push(chunk, encoding);
    if (chunk === null) {
      this.#ended = true;
      this.#finish();
      return false;
    }
    if (this.#mode === 'dropped') return true;
    this.#size += chunk.length;
    if (this.#collector !== undefined && this.#size > this.#collector.limit) {
      this.#tooLarge();
      return true;
    }
    (this.#chunks ??= []).push(chunk);
    return this.#mode === 'collected' || this.#size < HELD;
  }

  override on(event: string | symbol, listener: (...args: never[]) => void): this {
    if (event === 'data' || event === 'end' || event === 'readable') this.#stream();
    return super.on(event, listener as () => void);
  }

  override addListener(event: string | symbol, listener: (...args: never[]) => void): this {
    return this.on(event, listener);
  }

  override read(size?: number): unknown {
    this.#stream();
    return super.read(size);
  }

  /** Node resumes what nobody has read when the answer is sent: there it is only to be dropped. */
  override resume(): this {
    if (this.#mode === 'streamed') return super.resume();
    if (this.#mode === 'held') this.#mode = 'dropped';
    this.#chunks = undefined;
    if (!this.#ended && this.socket.readable) this._read(0);
    return this;
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#collector?.reject(new Disconnected());
    this.#collector = undefined;
    super._destroy(error, callback);
  }

  /** Somebody wants the stream: it is given what came, and all that comes. One that was resumed flows on, to its end. */
  #stream(): void {
    if (this.#mode !== 'held' && this.#mode !== 'dropped') return;
    const flows = this.#mode === 'dropped';
    this.#mode = 'streamed';
    this.#wanted();
    if (flows) super.resume();
    for (const chunk of this.#chunks ?? []) super.push(chunk);
    if (this.#ended) super.push(null);
    this.#chunks = undefined;
  }

  #finish(): void {
    const collector = this.#collector;
    if (collector === undefined) return;
    this.#collector = undefined;
    const chunks = this.#chunks ?? [];
    this.#chunks = undefined;
    const [first] = chunks;
    collector.resolve(chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks));
  }

  #tooLarge(): void {
    const collector = this.#collector;
    collector?.reject(collector.refusal());
    this.#collector = undefined;
    this.#mode = 'dropped';
    this.#chunks = undefined;
  }
}

interface Collector {
  readonly limit: number;
  readonly refusal: () => Error;
  readonly resolve: (body: Buffer) => void;
  readonly reject: (error: Error) => void;
}

/** Whom a request is from: of an open socket its context says so. */
const IDENTITY: ReadonlySet<string | symbol> = new Set(['session', 'user']);

/** Where the request and the response of Express keep their exchange. */
export const EXCHANGE = Symbol('coequal.exchange');

/** What a request has of its own before any middleware, and what is only of use before the head. */
const OWN: ReadonlySet<string | symbol> = new Set([...keysOfNode(), EXCHANGE, 'next', 'res', ...IDENTITY]);

/** What says of a request where it went: no middleware has found it out. */
const ADDRESS: ReadonlySet<string | symbol> = new Set(['headers', 'originalUrl', 'baseUrl']);

/** Copies what middleware has put on one request to another: `req.auth`, and where the request went. */
export function copyFacts(from: IncomingMessage, to: IncomingMessage): void {
  // Some define what they find so that it is not listed: celebrate its query, request-ip its address.
  for (const name of Reflect.ownKeys(from)) if (!OWN.has(name)) copy(from, to, name);
}

/**
 * Replaces what middleware has put on a request and on the `locals` of its response by what it has put on another's: what
 * it has not found out anew is gone. Gives the response to use from now on.
 */
export function replaceFacts(
  [to, response]: [IncomingMessage, ServerResponse],
  [from, fresh]: [IncomingMessage, ServerResponse],
): ServerResponse {
  const isFact = (name: string | symbol): boolean =>
    IDENTITY.has(name) || (!OWN.has(name) && !ADDRESS.has(name));
  for (const name of Reflect.ownKeys(to).filter(isFact)) Reflect.deleteProperty(to, name);
  // What Express shares with the exchange needs a request that knows it.
  const known = Object.hasOwn(to, EXCHANGE);
  for (const name of Reflect.ownKeys(from).filter(isFact))
    if (known || !IDENTITY.has(name)) copy(from, to, name);
  if (!Object.hasOwn(fresh, 'locals')) {
    Reflect.deleteProperty(response, 'locals');
    return response;
  }
  // That one is of all open sockets.
  const own = response === SENT ? (Object.create(SENT) as ServerResponse) : response;
  copy(fresh, own, 'locals');
  return own;
}

function copy(from: object, to: object, name: string | symbol): void {
  Reflect.defineProperty(to, name, Object.getOwnPropertyDescriptor(from, name) as PropertyDescriptor);
}

/** What Node itself puts on a request, at once or when it is first asked for. */
function keysOfNode(): (string | symbol)[] {
  const request = new IncomingMessage(undefined as unknown as Socket);
  for (const name in request) void (request as unknown as Record<string, unknown>)[name];
  void request.headersDistinct;
  request.on('close', () => undefined);
  return Reflect.ownKeys(request);
}

import { IncomingMessage, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { Socket as NetSocket } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  WebSocketServer,
  type PerMessageDeflateOptions,
  type Server as WsServer,
  type ServerOptions,
} from 'ws';
import { EVENTS_PROTOCOL } from '../../live/encoding/format.js';
import type { Admission } from '../../live/connections/connections.js';
import { WsSocket } from '../../live/messages/ws-socket.js';
import { admit } from '../kinds/admission.js';
import { spellCanonically } from '../routing/canonical-path.js';
import type { CompiledRoute } from '../compile/compile.js';
import { Context } from '../exchange/context.js';
import type { Dispatcher } from '../request/dispatcher.js';
import type { Environment } from '../exchange/environment.js';
import type { Opened } from '../exchange/outcome.js';
import { endResponse } from '../express/end-response.js';
import { carryFacts, sentResponse } from '../express/facts.js';
import { asksForWebSocket, checkHandshake, withDeflate } from './handshake.js';
import { inFlightOn } from '../node/pipeline.js';
import { NO_PARAMS } from '../routing/router.js';
import type { TcpConnections } from '../node/tcp-connections.js';
import { unwatch, watchForEnd } from '../node/upgrade-response.js';

/** The upgrade's way: the route of every request, and then the 101. */
export class Upgrader {
  readonly #server: WsServer<typeof WsSocket>;
  /** Header fields that middleware set, by the request that they answer. */
  readonly #fields = new WeakMap<IncomingMessage, string[]>();
  readonly #protocols = new WeakMap<IncomingMessage, readonly string[]>();

  constructor(
    private readonly http: Server,
    private readonly dispatcher: Dispatcher,
    private readonly environment: Environment,
    private readonly connections: TcpConnections,
    private readonly deflate: boolean | PerMessageDeflateOptions,
  ) {
    // ws's own declarations do not know `closeTimeout` yet.
    const options: ServerOptions<typeof WsSocket> & { closeTimeout: number } = {
      noServer: true,
      clientTracking: false,
      WebSocket: WsSocket,
      maxPayload: environment.limits.message,
      perMessageDeflate: deflate,
      closeTimeout: environment.timeouts.close,
      handleProtocols: (offered, request) =>
        [...(this.#protocols.get(request) ?? []), EVENTS_PROTOCOL].find((name) => offered.has(name)) ?? false,
    };
    this.#server = new WebSocketServer(options);
    this.#server.on('headers', (lines, request) => lines.push(...(this.#fields.get(request) ?? [])));
  }

  /**
   * Whether a request is to be upgraded. From Node 24.9 on all others are served as plain HTTP by Node itself; before,
   * they come as upgrades as well. One whose path is malformed is refused as one.
   */
  takes(request: IncomingMessage): boolean {
    try {
      if (this.#hasOthers()) return true;
      return asksForWebSocket(request) && this.dispatcher.socketRoute(request) !== undefined;
    } catch {
      return true;
    }
  }

  /**
   * Takes a request that asks for an upgrade. What no route wants is left to the server's other listeners; where there
   * are none, it is answered as plain HTTP.
   */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // Its reset may be about to be told, and without a listener that is an exception.
    if (!socket.writable) {
      socket.on('error', destroy);
      return this.connections.take(socket);
    }
    let found: ReturnType<Dispatcher['socketRoute']>;
    let failure: unknown;
    try {
      found = asksForWebSocket(request) ? this.dispatcher.socketRoute(request) : undefined;
    } catch (error) {
      failure = error;
    }
    const isOthers = found === undefined && failure === undefined;
    if (isOthers && this.#hasOthers()) return;
    const before = inFlightOn(socket);
    if (before !== undefined) return this.#upgradeAfter(before, request, socket, head);
    if (isOthers) return this.#ignore(request, socket, head);
    const { match, path = '/', search = '' } = found ?? {};
    if (found !== undefined) spellCanonically(request, path);
    const ctx = new Context(
      'websocket',
      path,
      match?.params ?? NO_PARAMS,
      request,
      socket,
      this.environment,
      search,
    );
    const wire = new PendingUpgrade(ctx, socket, head, this.connections);
    this.#decide(ctx, match?.route as CompiledRoute | undefined, wire, failure);
    // Nothing happens on a socket within a turn: one that is open by now was never alone.
    wire.follow();
    // The guard takes its time: where it does not, nobody can leave in between.
    const { handshakes } = this.dispatcher;
    if (!handshakes.has(ctx)) return;
    watchForEnd(socket);
    ctx.defer(() => handshakes.delete(ctx));
  }

  /** Whether the server has listeners for upgrades besides ours: a proxy's, say, or those of a development server. */
  #hasOthers(): boolean {
    return this.http.listenerCount('upgrade') > 1;
  }

  /** Written at once, it would go into an answer that is still on its way. */
  #upgradeAfter(before: ServerResponse, request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', destroy).on('drain', goOn);
    this.connections.take(socket);
    watchForEnd(socket);
    before.once('close', () => {
      unwatch(socket);
      this.connections.release(socket);
      socket.off('error', destroy).off('drain', goOn);
      this.upgrade(request, socket, head);
    });
  }

  #decide(ctx: Context, route: CompiledRoute | undefined, wire: PendingUpgrade, failure: unknown): void {
    if (route === undefined) return this.dispatcher.refuse(ctx, failure);
    try {
      checkHandshake(ctx.request);
    } catch (error) {
      return this.dispatcher.refuse(ctx, error);
    }
    this.dispatcher.upgrade(ctx, route, (opened) => {
      const open = (): void | Promise<void> =>
        admit(ctx, (admission) => this.#accept(ctx, route, opened, wire, admission));
      const ending = endResponse(ctx);
      return ending === undefined ? open() : ending.then(open);
    });
  }

  /** Sends the 101 with the fields that middleware set, and hands the socket to its method. */
  #accept(
    ctx: Context,
    route: CompiledRoute,
    opening: Opened,
    wire: PendingUpgrade,
    admission: Admission,
  ): void {
    const { socket: socketRoute } = route;
    const { socket, head } = wire;
    if (socketRoute === undefined || socket.destroyed || ctx.headSent) return admission.withdraw();
    const fields = ctx.responseInUse === undefined ? [] : fieldsOf(ctx.responseInUse);
    unwatch(socket);
    const request = this.deflate !== false ? withDeflate(ctx.request) : ctx.request;
    const response = ctx.switchProtocols(carryFacts(ctx, headOf(ctx.request)), (response) =>
      sentResponse(ctx, response),
    );
    if (response !== undefined) {
      this.#fields.set(request, fields);
      response.detachSocket(socket as NetSocket);
    }
    if (socketRoute.protocols.length > 0) this.#protocols.set(request, socketRoute.protocols);
    wire.handOver();
    let accepted = false;
    this.#server.handleUpgrade(request, socket, head, (ws) => {
      accepted = true;
      const opened = socketRoute.open(ctx, opening, ws, socket);
      this.environment.connections.add(opened, admission);
      socketRoute.start(ctx, opened);
    });
    if (accepted) return;
    // ws leaves a socket that is half closed.
    admission.withdraw();
    ctx.end();
  }

  /**
   * An upgrade that is not offered is served as plain HTTP (RFC 9110, section 7.8). A Node that knows no `takes` has
   * taken its parser off the socket, so the request is put back before what followed it, without the fields that led here.
   */
  #ignore(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const lines = [`${request.method ?? 'GET'} ${request.url ?? '/'} HTTP/${request.httpVersion}`];
    for (let i = 0; i < request.rawHeaders.length; i += 2) {
      const name = request.rawHeaders[i] ?? '';
      if (!/^(?:upgrade|connection|http2-settings)$/i.test(name))
        lines.push(`${name}: ${request.rawHeaders[i + 1] ?? ''}`);
    }
    lines.push('Connection: close', '', '');
    socket.removeAllListeners('error');
    socket.unshift(Buffer.concat([Buffer.from(lines.join('\r\n'), 'latin1'), head]));
    this.http.emit('connection', socket);
  }
}

/** Header lines of the 101. Listeners of Express middleware (`on-headers`) add theirs when the head is written. */
function fieldsOf(response: ServerResponse): string[] {
  response.writeHead(101);
  return Object.entries(response.getHeaders()).flatMap(([name, value]) =>
    HANDSHAKE.has(name) || value === undefined ? [] : [value].flat().map((one) => `${name}: ${String(one)}`),
  );
}

/** The socket of an upgrade, until ws takes it over. */
class PendingUpgrade {
  #over: (() => void) | undefined = undefined;
  #handedOver = false;

  constructor(
    private readonly ctx: Context,
    readonly socket: Duplex,
    /** What came behind the request. */
    readonly head: Buffer,
    private readonly connections: TcpConnections,
  ) {}

  /** The exchange ends with the socket; a reset is an event, and without a listener an exception. */
  follow(): void {
    if (this.#handedOver) return;
    this.#over = () => this.ctx.end();
    this.socket.on('error', destroy).on('close', this.#over);
    this.connections.take(this.socket);
  }

  /** From now on ws follows the socket, and ours ends its exchange itself, once it knows how it was closed. */
  handOver(): void {
    this.#handedOver = true;
    if (this.#over === undefined) return;
    this.socket.off('error', destroy).off('close', this.#over);
    this.connections.release(this.socket);
  }
}

/**
 * What an open socket needs of its request: the head, without the fields of the handshake, which is over. The rest of
 * it, the machinery of a body that never comes above all, would take as much memory as the socket itself.
 */
class Head {
  readonly url: string | undefined;
  readonly headers: IncomingHttpHeaders = {};
  readonly socket: NetSocket;

  constructor(request: IncomingMessage) {
    this.url = request.url;
    this.socket = request.socket;
    for (const name in request.headers) {
      if (!OVER.has(name)) this.headers[name] = request.headers[name];
    }
  }

  // What the handshake has made sure of is the same for all.

  get method(): string {
    return 'GET';
  }

  get httpVersion(): string {
    return '1.1';
  }

  get httpVersionMajor(): number {
    return 1;
  }

  get httpVersionMinor(): number {
    return 1;
  }

  static {
    // Middleware that is run again may ask for more of a request than its head.
    Object.setPrototypeOf(this.prototype, IncomingMessage.prototype);
  }
}

function headOf(request: IncomingMessage): IncomingMessage {
  return new Head(request) as unknown as IncomingMessage;
}

const OVER = new Set(['connection', 'upgrade', 'sec-websocket-key', 'sec-websocket-version']);

/** Fields of the handshake itself, which are ws's, and of a body, which a 101 has not. */
const HANDSHAKE = new Set([
  'connection',
  'upgrade',
  'sec-websocket-accept',
  'sec-websocket-protocol',
  'sec-websocket-extensions',
  'content-length',
  'transfer-encoding',
]);

/** A function of its own: a closure would keep what the upgrade had in hand for as long as the socket lives. */
function destroy(this: Duplex): void {
  this.destroy();
}

/** Node has taken its own listener off the socket: a response that waits for the client would never go on. */
function goOn(this: Duplex): void {
  const response = inFlightOn(this);
  if (response?.writableNeedDrain === true) response.emit('drain');
}

import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { container as globalContainer, type DependencyContainer } from 'tsyringe';
import { Channels } from '../../live/broadcast/channels.js';
import { Connections } from '../../live/connections/connections.js';
import { Heartbeat } from '../../live/connections/heartbeat.js';
import { LocalBroker } from '../../live/broker/local-broker.js';
import { audit } from '../compile/guard-audit.js';
import { closeWithin } from './shutdown.js';
import { compileController, type CompiledRoute } from '../compile/compile.js';
import { createEnvironment } from './create-environment.js';
import { Dispatcher } from '../request/dispatcher.js';
import type { Environment } from '../exchange/environment.js';
import { explain } from '../compile/routes.js';
import { Injection } from '../injection/injection.js';
import { resolveMiddleware } from '../routing/resolve-middleware.js';
import { checkCloseOptions, checkListenOptions, checkOptions, type AppOptions } from './options.js';
import { processSignals } from './process-signals.js';
import { createHttpServer } from './http-server.js';
import type { Stats } from './stats.js';
import type { TcpConnections } from '../node/tcp-connections.js';

/** Options of `app.listen()`. */
export interface ListenOptions {
  /** The TCP port; 0 by default, which takes any free port. */
  port?: number;
  /** The address to listen on; `'127.0.0.1'` by default. `'0.0.0.0'` or `'::'` are all addresses. */
  host?: string;
  /**
   * Whether SIGTERM and SIGINT close the application and end the process with 0, and a second signal ends it at once. An
   * uncaught exception then closes the application and ends the process with 1; unhandled rejections are logged. `false` by
   * default.
   */
  signals?: boolean;
}

/** Options of `app.close()`. */
export interface CloseOptions {
  /** The grace period in milliseconds; 10,000 by default. Exchanges and connections that are open after it are cut. */
  grace?: number;
}

/**
 * Creates an application: reads the decorators, checks them, and resolves controllers and middleware.
 *
 * @throws ConfigurationError for every mistake that can be found at start-up: wrong options, duplicate routes, parameters without
 * a meaning, classes that cannot be resolved, methods of one path with different guards
 * @example
 * ```ts
 * const app = createApp({ controllers: [RoomController], middleware: [sessions()] });
 * const { url } = await app.listen({ port: 3000, signals: true });
 * ```
 */
export function createApp(options: AppOptions): App {
  checkOptions(options);
  return new App(options);
}

/**
 * An application, as `createApp` returns it. Services can have it injected.
 *
 * @example
 * ```ts
 * app.onClose(() => database.end());
 * console.log(app.explain(), app.stats());
 * await app.close({ grace: 5_000 });
 * ```
 */
export class App {
  /** Node's HTTP server, for what coequal does not cover. */
  readonly server: Server;
  /** The application's own container, a child of the one given. Registrations here take precedence. */
  readonly container: DependencyContainer;
  readonly #injection: Injection;
  readonly #environment: Environment;
  readonly #routes: readonly CompiledRoute[];
  readonly #dispatcher: Dispatcher;
  readonly #heartbeat: Heartbeat;
  readonly #pending = new Set<Promise<unknown>>();
  readonly #sockets: TcpConnections;
  #onClose: (() => unknown)[] | undefined = [];
  #starting: Promise<unknown> | undefined = undefined;
  #closing: Promise<void> | undefined = undefined;
  #ignoreSignals: (() => void) | undefined = undefined;

  /** @internal */
  constructor(options: AppOptions, prepare?: (container: DependencyContainer) => void) {
    const { heartbeat = 25_000, perMessageDeflate = false, health = false } = options;
    this.#heartbeat = new Heartbeat(heartbeat);
    this.#environment = createEnvironment(
      options,
      this.#heartbeat,
      (work) => this.#wait(work),
      () => this.server,
    );
    this.#injection = new Injection(options.container ?? globalContainer);
    this.container = this.#injection.container;
    this.container.registerInstance(Channels, this.#environment.channels);
    this.container.registerInstance(Connections, this.#environment.connections);
    this.container.registerInstance(App, this);
    prepare?.(this.container);
    const middleware = (options.middleware ?? []).map((one) =>
      resolveMiddleware(one, 'the application', this.#injection),
    );
    const compilation = {
      middleware,
      injection: this.#injection,
      channels: this.#environment.channels,
      logger: this.#environment.logger,
      validator: options.validator,
    };
    this.#routes = options.controllers.flatMap((controller) => compileController(controller, compilation));
    audit(this.#routes);
    this.#dispatcher = new Dispatcher(this.#routes, middleware, this.#environment, health);
    ({ server: this.server, sockets: this.#sockets } = createHttpServer(
      this.#dispatcher,
      this.#environment,
      perMessageDeflate,
    ));
  }

  /**
   * Starts to listen, and resolves with the port and the URL, `http://localhost:3000`.
   *
   * @throws Error if the port is taken, if the application is already listening, or if it has been closed; ConfigurationError for
   * unknown or wrong options
   */
  async listen(options: ListenOptions = {}): Promise<{ port: number; url: string }> {
    checkListenOptions(options);
    const { port = 0, host = '127.0.0.1', signals = false } = options;
    if (this.#isClosing()) throw new Error('the application has been closed');
    // A second `server.listen()` changes nothing while the first is still opening its port.
    if (this.#starting !== undefined) throw new Error('the application is already listening');
    this.server.listen(port, host);
    this.#starting = once(this.server, 'listening');
    await this.#starting.catch((error: unknown) => {
      this.#starting = undefined;
      throw error;
    });
    // `close()` was called meanwhile: it has waited for this, and goes on.
    if (this.#isClosing()) throw new Error('the application has been closed');
    if (signals) {
      const owner = { close: () => this.close(), isClosing: () => this.#isClosing() };
      this.#ignoreSignals = processSignals(owner, this.#environment.logger);
    }
    const { port: taken, family, address } = this.server.address() as AddressInfo;
    const name = ['127.0.0.1', '0.0.0.0', '::', '::1'].includes(address)
      ? 'localhost'
      : family === 'IPv6'
        ? `[${address}]`
        : address;
    return { port: taken, url: `http://${name}:${taken}` };
  }

  /** Returns every route as a table of text: kind, path, method, middleware in order, scoped services, calls. */
  explain(): string {
    return explain(this.#routes);
  }

  /** Returns what is open now, and the counters since the start. */
  stats(): Stats {
    const { connections, channels, counters, broker } = this.#environment;
    const { published, dropped, conflated } = channels.topics.counters;
    const open = { sse: 0, websocket: 0 };
    let buffered = 0;
    for (const connection of connections) {
      if (connection.kind !== 'http') open[connection.kind]++;
      buffered += connection.buffered;
    }
    return {
      connections: { ...open, opened: counters.opened, refused: counters.refused },
      buffered,
      inFlight: { exchanges: this.#dispatcher.inFlight.size, handshakes: this.#dispatcher.handshakes.size },
      messages: { in: counters.messagesIn, out: counters.messagesOut, published, dropped, conflated },
      channels: channels.topics.size,
      history: broker instanceof LocalBroker ? broker.history : { bytes: 0, channels: 0 },
    };
  }

  /**
   * Runs `work` when the application closes: after the last exchange and connection, and before the container disposes of its
   * services. The function registered last runs first. Each is awaited, within the grace period or half a second; errors are
   * logged.
   *
   * @throws Error once these functions have begun to run
   */
  onClose(work: () => unknown): void {
    if (this.#onClose === undefined) throw new Error('onClose() was called after the application had closed');
    this.#onClose.push(work);
  }

  /**
   * Shuts the application down gracefully: accepts nothing new, responds to what is in flight, closes sockets with 1012, ends
   * streams, runs deferred work and the functions of `onClose()`, and disposes of the container. After the grace period, what is
   * still open is cut. A second call waits for the first.
   */
  close(options: CloseOptions = {}): Promise<void> {
    try {
      checkCloseOptions(options);
    } catch (error) {
      return Promise.reject(error);
    }
    const { grace = 10_000 } = options;
    return (this.#closing ??= this.#close(grace));
  }

  async #close(grace: number): Promise<void> {
    const { server } = this;
    const { connections, broker, logger } = this.#environment;
    const { inFlight, handshakes } = this.#dispatcher;
    this.#dispatcher.drain();
    connections.drain();
    // A server that is about to listen cannot be closed yet.
    await this.#starting?.catch(() => undefined);
    const gracePeriod = await closeWithin(grace, {
      server,
      sockets: this.#sockets,
      connections,
      inFlight,
      handshakes,
      pending: this.#pending,
      logger,
    });
    this.#heartbeat.stop();
    this.#environment.backlog.stop();
    this.#environment.shed.stop();
    inFlight.stop();
    handshakes.stop();
    const works = this.#onClose?.reverse() ?? [];
    this.#onClose = undefined;
    for (const work of works) await gracePeriod.end('work registered with onClose()', work);
    await gracePeriod.end('closing the broker', () => broker.close());
    await gracePeriod.end('disposing the container', () => this.#injection.dispose(logger));
    this.#ignoreSignals?.();
  }

  #isClosing(): boolean {
    return this.#closing !== undefined;
  }

  #wait(work: Promise<unknown>): void {
    this.#pending.add(work);
    const done = (): void => void this.#pending.delete(work);
    work.then(done, done);
  }
}

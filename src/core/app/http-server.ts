import { createServer, type Server, type ServerOptions } from 'node:http';
import type { Environment } from '../exchange/environment.js';
import { Request } from '../node/request.js';
import { responseClass, type Response } from '../node/response.js';
import { TcpConnections } from '../node/tcp-connections.js';
import type { Dispatcher } from '../request/dispatcher.js';
import { UnreadResponses } from '../request/unread-responses.js';
import { Upgrader } from '../upgrade/upgrader.js';
import { answerConnectionErrors } from './client-errors.js';
import type { AppOptions } from './options.js';

// Node's declarations do not know `shouldUpgradeCallback` yet.
type Settings = ServerOptions<typeof Request, typeof Response> & { shouldUpgradeCallback: Upgrader['takes'] };

/** Creates Node's HTTP server, which gives its requests and upgrades to the dispatcher, and follows its TCP connections. */
export function createHttpServer(
  dispatcher: Dispatcher,
  environment: Environment,
  perMessageDeflate: NonNullable<AppOptions['perMessageDeflate']>,
): { server: Server; sockets: TcpConnections } {
  const { logger, limits, timeouts } = environment;
  const unread = new UnreadResponses(timeouts.unread, logger);
  const settings: Settings = {
    IncomingMessage: Request,
    ServerResponse: responseClass(logger, unread),
    maxHeaderSize: limits.head,
    headersTimeout: Math.min(timeouts.headers, timeouts.request),
    requestTimeout: timeouts.request,
    keepAliveTimeout: timeouts.keepAlive,
    connectionsCheckingInterval: Math.min(1_000, timeouts.headers, timeouts.request),
    // The dispatcher rejects requests without a host: Node's response would have no problem document.
    requireHostHeader: false,
    shouldUpgradeCallback: (request) => upgrader.takes(request),
  };
  const server: Server = createServer(settings, (request, response) => {
    sockets.asked(request.socket);
    dispatcher.request(request, response);
  });
  // Node would drop the fields above its limit without an error; the dispatcher counts them.
  server.maxHeadersCount = 0;
  server.on('checkContinue', (request: Request, response: Response) => {
    continueOnDemand(request, response);
    server.emit('request', request, response);
  });
  const sockets = new TcpConnections(server, unread);
  answerConnectionErrors(server, logger, timeouts.handler);
  const upgrader = new Upgrader(server, dispatcher, environment, sockets, perMessageDeflate);
  server.on('upgrade', (request, socket, head) => {
    sockets.asked(socket);
    upgrader.upgrade(request, socket, head);
  });
  return { server, sockets };
}

/** Sends `100 Continue` when the body is read (RFC 9110, section 10.1.1), so that a rejected request sends no body. */
function continueOnDemand(request: Request, response: Response): void {
  const keepAlive = response.shouldKeepAlive;
  const ask = (): void => {
    if (response.headersSent || response.destroyed) return;
    response.shouldKeepAlive = keepAlive;
    response.writeContinue();
  };
  const { 'content-length': length = '0', 'transfer-encoding': coding } = request.headers;
  if (length === '0' && coding === undefined) return ask();
  // The client may or may not send a body that was not asked for: no further request can be found on the connection.
  response.shouldKeepAlive = false;
  request.askBefore(ask);
}

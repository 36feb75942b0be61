import { ConfigurationError } from '../core/base/errors.js';
import {
  classMetadata,
  methodMetadata,
  refuseStandard,
  type ControllerOptions,
  type RouteMetadata,
  type RpcOptions,
  type SseOptions,
  type Verb,
  type WebSocketOptions,
} from '../core/routing/metadata.js';
import {
  callback,
  checkOptionsOf,
  describe,
  oneOf,
  POSITIVE,
  SWITCH,
  TEXT,
  TEXTS,
  withMethods,
  type Checks,
} from '../core/base/option-checks.js';

const CONTROLLER: Checks<ControllerOptions> = { host: ["a host such as 'api.example.org'", TEXT[1]] };
const SSE: Checks<SseOptions> = { method: oneOf('GET', 'POST') };
const WEBSOCKET: Checks<WebSocketOptions> = {
  protocols: TEXTS,
  codec: withMethods('a codec', 'encode', 'decode'),
  onError: callback('(error, ctx)'),
  origins: undefined,
  rate: POSITIVE,
};
const RPC: Checks<RpcOptions> = { concurrent: SWITCH };

/**
 * Makes a class a controller. Its methods with route decorators are the routes.
 *
 * @param path stands before the paths of the methods; none by default
 * @param options `host`: serve requests for this host only
 * @throws ConfigurationError for a path that is not text, and for unknown options
 * @example
 * ```ts
 * @Controller('/rooms/:room')
 * class RoomController {
 *   @Get()
 *   show(@Param('room') room: string) {
 *     return { room };
 *   }
 * }
 * ```
 */
export function Controller(path = '', options: ControllerOptions = {}): ClassDecorator {
  if (typeof path === 'function') {
    throw new ConfigurationError(
      `${(path as { name: string }).name}: @Controller lacks its parentheses: write @Controller()`,
      { code: 'INVALID_DECORATOR' },
    );
  }
  return (target, context?: unknown) => {
    refuseStandard('Controller', context);
    checkPath(`${target.name}: @Controller`, path);
    if (classMetadata(target).controller !== undefined) {
      throw new ConfigurationError(
        `${target.name} has @Controller twice: keep one, and write the paths of its methods in full`,
        { code: 'INVALID_DECORATOR' },
      );
    }
    checkOptionsOf(options, CONTROLLER, `${target.name}: @Controller('${path}')`);
    classMetadata(target).controller = { path, options };
  };
}

/**
 * Handles GET requests of a path, and HEAD requests with the same guard and without the body. The returned value is the body:
 * `undefined` a 204, text, bytes, an iterable or a `Readable` streamed, a `Response` forwarded, anything else JSON.
 *
 * @param path is appended to the path of the controller; none by default
 * @example
 * ```ts
 * @Get('/:id')
 * show(@Param('id') id: number) {
 *   return this.orders.find(id);
 * }
 * ```
 */
export const Get = verb('GET');
/** Handles POST requests of a path. See `Get` for what the method may return. */
export const Post = verb('POST');
/** Handles PUT requests of a path. See `Get` for what the method may return. */
export const Put = verb('PUT');
/** Handles PATCH requests (RFC 5789) of a path. See `Get` for what the method may return. */
export const Patch = verb('PATCH');
/** Handles DELETE requests of a path. See `Get` for what the method may return. */
export const Delete = verb('DELETE');
/** Handles HEAD requests of a path; without it, `@Get` handles them. */
export const Head = verb('HEAD');
/** Handles OPTIONS requests of a path; without it, the response is a 204 with `Allow`. */
export const Options = verb('OPTIONS');
/** Handles requests of every HTTP method. */
export const All = verb('ALL');

/**
 * Opens an event stream (server-sent events, HTML standard, section 9.2) for requests that accept `text/event-stream`. An async
 * iterable is sent event by event and ends the stream, a `Channel` is subscribed, any other value is one event and leaves the
 * stream open, `undefined` sends nothing and leaves it open. A `Response` is the response instead of a stream.
 *
 * @param path is appended to the path of the controller; none by default
 * @param options `method`: `'GET'` by default. With `'POST'` it takes a `@Body()`, as APIs of language models do; browsers open
 * it with `fetch`, since `EventSource` sends GET.
 * @throws ConfigurationError for unknown or wrong options
 * @example
 * ```ts
 * @Sse('/countdown')
 * async *countdown() {
 *   for (let n = 3; n > 0; n--) yield event({ left: n }, { event: 'tick', id: String(n) });
 * }
 * ```
 */
export function Sse(path = '', options: SseOptions = {}): MethodDecorator {
  const decorate = route('Sse', { kind: 'sse', verb: options.method ?? 'GET', path });
  return (prototype, method, descriptor) => {
    checkOptionsOf(options, SSE, `${nameOf(prototype, method)}: @Sse('${path}')`);
    decorate(prototype, method, descriptor);
  };
}

/**
 * Opens a WebSocket (RFC 6455) for requests that ask for the upgrade. A method that takes `@Body()` runs for every message, and
 * what it returns is the reply; any other method runs once, when the socket opens. Middleware runs before the 101.
 *
 * @param path is appended to the path of the controller; none by default
 * @param options subprotocols, codec, rate limit, origins, `onError`
 * @throws ConfigurationError for unknown or wrong options
 * @example
 * ```ts
 * @WebSocket('/echo')
 * echo(@Body() text: string) {
 *   return text;
 * }
 *
 * @WebSocket('/sum', { rate: 50 })
 * async sum(@Socket() socket: Socket<number, number>) {
 *   let total = 0;
 *   for await (const n of socket) socket.send((total += n));
 * }
 * ```
 */
export function WebSocket(path = '', options: WebSocketOptions = {}): MethodDecorator {
  const decorate = route('WebSocket', { kind: 'websocket', path, options });
  return (prototype, method, descriptor) => {
    checkOptionsOf(options, WEBSOCKET, `${nameOf(prototype, method)}: @WebSocket('${path}')`);
    decorate(prototype, method, descriptor);
  };
}

/**
 * Answers JSON-RPC 2.0 calls on the sockets of its class. `@Body()` is the `params`, the returned value the `result`. Errors have
 * the codes of the specification, -32602 for invalid params and -32000 for other `HttpError`s, with the problem document as
 * `data`. With `@Post` on the same method, it can be called over HTTP as well.
 *
 * @param name the name of the call; the name of the method by default
 * @param options `concurrent`: calls of one socket may overlap, up to 32
 * @example
 * ```ts
 * @Rpc('order')
 * @Post('/orders')
 * order(@Body(Order) order: z.infer<typeof Order>) {
 *   return this.orders.place(order);
 * }
 * ```
 */
export function Rpc(name?: string, options: RpcOptions = {}): MethodDecorator {
  return (prototype, method) => {
    checkOptionsOf(
      options,
      RPC,
      `${nameOf(prototype, method)}: @Rpc(${name === undefined ? '' : `'${name}'`})`,
    );
    if (name !== undefined && (typeof name !== 'string' || name === '' || name.startsWith('rpc.'))) {
      throw new ConfigurationError(
        `${nameOf(prototype, method)}: @Rpc takes a name that does not begin with rpc. (reserved by JSON-RPC 2.0), not ${describe(name)}`,
        { code: 'INVALID_DECORATOR' },
      );
    }
    methodMetadata(prototype, method, 'Rpc').routes.push({
      kind: 'rpc',
      name: name ?? String(method),
      options,
    });
  };
}

/** Sets the status of the response when the method returns without having set one: `@HttpCode(201)`. */
export function HttpCode(status: number): MethodDecorator {
  return (prototype, method) => {
    methodMetadata(prototype, method, 'HttpCode').status = status;
  };
}

function verb(name: Verb): (path?: string) => MethodDecorator {
  const decorator = name.charAt(0) + name.slice(1).toLowerCase();
  return (path = '', ...rest: unknown[]) => route(decorator, { kind: 'http', verb: name, path }, rest);
}

/** `rest` has the method's name and descriptor if the decorator was written without parentheses. */
function route(
  decorator: string,
  metadata: Exclude<RouteMetadata, { kind: 'rpc' }>,
  rest: readonly unknown[] = [],
): MethodDecorator {
  const { path } = metadata as { path: unknown };
  if (typeof path === 'object' && path !== null && typeof rest[0] === 'string') {
    throw new ConfigurationError(
      `${nameOf(path, rest[0])}: @${decorator} lacks its parentheses: write @${decorator}()`,
      { code: 'INVALID_DECORATOR' },
    );
  }
  return (prototype, method) => {
    const methods = methodMetadata(prototype, method, decorator);
    checkPath(`${nameOf(prototype, method)}: @${decorator}`, path);
    methods.routes.push(metadata);
  };
}

/** The name of a method in errors: `Rooms.show`. */
function nameOf(prototype: object, method: string | symbol): string {
  return `${prototype.constructor.name}.${String(method)}`;
}

/** Other routers accept a list of paths; coequal takes one path per decorator. */
function checkPath(where: string, path: unknown): void {
  if (typeof path === 'string') return;
  throw new ConfigurationError(
    `${where} takes a path, not ${Array.isArray(path) ? 'a list: write one decorator for each path' : describe(path)}`,
    { code: 'INVALID_PATH' },
  );
}

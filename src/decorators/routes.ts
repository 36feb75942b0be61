import { ConfigurationError } from '../core/errors.js';
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
} from '../core/metadata.js';
import {
  callback,
  checkOptionsOf,
  oneOf,
  POSITIVE,
  SWITCH,
  TEXT,
  TEXTS,
  withMethods,
  type Checks,
} from '../core/option-checks.js';

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

/** Makes a class a controller: `path` stands before the paths of its methods. */
export function Controller(path = '', options: ControllerOptions = {}): ClassDecorator {
  checkPath('Controller', path);
  return (target, context?: unknown) => {
    refuseStandard('Controller', context);
    checkOptionsOf(options, CONTROLLER, `${target.name}: @Controller('${path}')`);
    classMetadata(target).controller = { path, options };
  };
}

/** Answers GET, and HEAD with it. */
export const Get = verb('GET');
export const Post = verb('POST');
export const Put = verb('PUT');
export const Patch = verb('PATCH');
export const Delete = verb('DELETE');
export const Head = verb('HEAD');
export const Options = verb('OPTIONS');
/** Answers every method. */
export const All = verb('ALL');

/**
 * Opens an event stream for requests that accept `text/event-stream`. With `{ method: 'POST' }` it takes a body, as APIs of
 * language models do; browsers call it by `fetch`, since `EventSource` sends GET.
 */
export function Sse(path = '', options: SseOptions = {}): MethodDecorator {
  const decorate = route('Sse', { kind: 'sse', verb: options.method ?? 'GET', path });
  return (prototype, method, descriptor) => {
    checkOptionsOf(options, SSE, `${nameOf(prototype, method)}: @Sse('${path}')`);
    decorate(prototype, method, descriptor);
  };
}

/** Opens a socket (RFC 6455) for requests that ask for the upgrade. */
export function WebSocket(path = '', options: WebSocketOptions = {}): MethodDecorator {
  const decorate = route('WebSocket', { kind: 'websocket', path, options });
  return (prototype, method, descriptor) => {
    checkOptionsOf(options, WEBSOCKET, `${nameOf(prototype, method)}: @WebSocket('${path}')`);
    decorate(prototype, method, descriptor);
  };
}

/** Answers JSON-RPC 2.0 calls on the sockets of the class; the method's own name by default. */
export function Rpc(name?: string, options: RpcOptions = {}): MethodDecorator {
  return (prototype, method) => {
    checkOptionsOf(
      options,
      RPC,
      `${nameOf(prototype, method)}: @Rpc(${name === undefined ? '' : `'${name}'`})`,
    );
    methodMetadata(prototype, method, 'Rpc').routes.push({
      kind: 'rpc',
      name: name ?? String(method),
      options,
    });
  };
}

/** The status of the answer when the method returns. */
export function HttpCode(status: number): MethodDecorator {
  return (prototype, method) => {
    methodMetadata(prototype, method, 'HttpCode').status = status;
  };
}

function verb(name: Verb): (path?: string) => MethodDecorator {
  const decorator = name.charAt(0) + name.slice(1).toLowerCase();
  return (path = '') => route(decorator, { kind: 'http', verb: name, path });
}

function route(decorator: string, metadata: Exclude<RouteMetadata, { kind: 'rpc' }>): MethodDecorator {
  checkPath(decorator, metadata.path);
  return (prototype, method) => {
    methodMetadata(prototype, method, decorator).routes.push(metadata);
  };
}

/** `Rooms.show`, as errors name a method. */
function nameOf(prototype: object, method: string | symbol): string {
  return `${prototype.constructor.name}.${String(method)}`;
}

/** Without its parentheses a decorator is given what it stands on, and other routers take lists of paths. */
function checkPath(decorator: string, path: unknown): void {
  if (typeof path === 'string') return;
  throw new ConfigurationError(
    `@${decorator} takes a path, not ${Array.isArray(path) ? 'a list: write one decorator for each path' : `a ${typeof path}: write @${decorator}()`}`,
  );
}

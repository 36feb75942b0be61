import { ConfigurationError, unknownKeys } from '../core/errors.js';
import {
  classMetadata,
  methodMetadata,
  refuseStandard,
  type ControllerOptions,
  type RouteMetadata,
  type RpcOptions,
  type Verb,
  type WebSocketOptions,
} from '../core/metadata.js';

const CONTROLLER: ReadonlySet<string> = new Set<keyof ControllerOptions>(['host']);
const WEBSOCKET: ReadonlySet<string> = new Set<keyof WebSocketOptions>([
  'protocols',
  'codec',
  'onError',
  'origins',
  'rate',
]);
const RPC: ReadonlySet<string> = new Set<keyof RpcOptions>(['concurrent']);

/** Makes a class a controller: `path` stands before the paths of its methods. */
export function Controller(path = '', options: ControllerOptions = {}): ClassDecorator {
  checkPath('Controller', path);
  unknownKeys(options, CONTROLLER, `@Controller('${path}')`);
  return (target, context?: unknown) => {
    refuseStandard('Controller', context);
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

/** Opens an event stream for requests that accept `text/event-stream`. */
export function Sse(path = ''): MethodDecorator {
  return route('Sse', { kind: 'sse', path });
}

/** Opens a socket (RFC 6455) for requests that ask for the upgrade. */
export function WebSocket(path = '', options: WebSocketOptions = {}): MethodDecorator {
  unknownKeys(options, WEBSOCKET, `@WebSocket('${path}')`);
  return route('WebSocket', { kind: 'websocket', path, options });
}

/** Answers JSON-RPC 2.0 calls on the sockets of the class; the method's own name by default. */
export function Rpc(name?: string, options: RpcOptions = {}): MethodDecorator {
  unknownKeys(options, RPC, `@Rpc(${name === undefined ? '' : `'${name}'`})`);
  return (prototype, method) => {
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

/** Without its parentheses a decorator is given what it stands on, and other routers take lists of paths. */
function checkPath(decorator: string, path: unknown): void {
  if (typeof path === 'string') return;
  throw new ConfigurationError(
    `@${decorator} takes a path, not ${Array.isArray(path) ? 'a list: write one decorator for each path' : `a ${typeof path}: write @${decorator}()`}`,
  );
}

import 'reflect-metadata';

export * from './core/base/registered-types.js';
export { App, createApp, type CloseOptions, type ListenOptions } from './core/app/app.js';
export type { Stats } from './core/app/stats.js';
export type { TraceParent } from './core/exchange/header-fields.js';
export type { Traced } from './core/exchange/tracing.js';
export { attribute, type Attribute, type Attributes } from './core/base/attributes.js';
export { Multipart, type Part } from './core/input/multipart.js';
export type { Middleware, MiddlewareClass, MiddlewareLike, Next } from './core/routing/middleware.js';
export { Context, type Kind } from './core/exchange/context.js';
export type { SetCookie } from './core/exchange/header-fields.js';
export {
  ConfigurationError,
  HttpError,
  type HttpErrorOptions,
  type Problem,
  type Violation,
} from './core/base/errors.js';
export { connect, type ExpressMiddleware } from './core/express/connect.js';
export type { Logger } from './core/base/logger.js';
export type { ControllerOptions, RpcOptions, WebSocketOptions } from './core/routing/metadata.js';
export type { Limits, Timeouts } from './core/exchange/limits.js';
export type { AppOptions } from './core/app/options.js';
export type { Validated, Validator } from './core/parameters/validator.js';
export type { OriginPolicy } from './core/routing/origins.js';
export { Unguarded, UseMiddleware } from './decorators/middleware.js';
export { param, type Param as ParamDecorator, type ParamOptions } from './decorators/param.js';
export {
  Attr,
  Body,
  Channel,
  Connection,
  Cookies,
  Ctx,
  Headers,
  Param,
  Query,
  Session,
  Signal,
  Socket,
  User,
} from './decorators/parameters.js';
export {
  All,
  Controller,
  Delete,
  Get,
  Head,
  HttpCode,
  Options,
  Patch,
  Post,
  Put,
  Rpc,
  Sse,
  WebSocket,
} from './decorators/routes.js';
export {
  conflate,
  defineChannel,
  type ChannelDefinition,
  type ChannelOptions,
  type Conflate,
  type Overflow,
} from './live/broadcast/definition.js';
export type { Authorize, AuthorizeClass } from './live/broadcast/authorization.js';
export { Channels } from './live/broadcast/channels.js';
export { Connections } from './live/connections/connections.js';
export type { Codec } from './live/encoding/format.js';
export { event, type EventFields } from './live/encoding/message.js';
export { sessions, type SessionOptions } from './live/sessions/middleware.js';
export type { SessionRecord, SessionStore } from './live/sessions/store.js';
export type { Broker, GapReason, Member, Replay } from './live/broker/broker.js';
export type { RevokeTarget } from './live/connections/revocations.js';
export type { HistoryBounds } from './live/broker/history.js';

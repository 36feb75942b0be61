import 'reflect-metadata';

export * from './core/register.js';
export { App, createApp, type CloseOptions, type ListenOptions } from './core/app.js';
export type { Stats } from './core/stats.js';
export type { TraceParent } from './core/trace-parent.js';
export type { Traced } from './core/tracing.js';
export { attribute, type Attribute, type Attributes } from './core/attributes.js';
export { Multipart, type Part } from './core/multipart.js';
export type { Middleware, MiddlewareClass, MiddlewareLike, Next } from './core/compose.js';
export { Context, type Kind } from './core/context.js';
export type { SetCookie } from './core/cookies.js';
export {
  ConfigurationError,
  HttpError,
  type HttpErrorOptions,
  type Problem,
  type Violation,
} from './core/errors.js';
export { connect, type ExpressMiddleware } from './core/express/connect.js';
export type { Logger } from './core/logger.js';
export type { ControllerOptions, RpcOptions, WebSocketOptions } from './core/metadata.js';
export type { Limits, Timeouts } from './core/limits.js';
export type { AppOptions } from './core/options.js';
export type { Validated, Validator } from './core/validator.js';
export type { OriginPolicy } from './core/origins.js';
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
} from './live/channel-definition.js';
export type { Authorize, AuthorizeClass } from './live/authorization.js';
export { Channels } from './live/channels.js';
export { Connections } from './live/connections.js';
export type { Codec } from './live/format.js';
export { event, type EventFields } from './live/message.js';
export { sessions, type SessionOptions } from './live/sessions.js';
export type { SessionRecord, SessionStore } from './live/session-store.js';
export type { Broker, GapReason, Member, Replay } from './live/broker.js';
export type { RevokeTarget } from './live/revocations.js';
export type { HistoryBounds } from './live/history.js';

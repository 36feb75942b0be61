import type { Attribute } from '../core/attributes.js';
import type { Schema } from '../core/convert.js';
import type { ParameterSite } from '../core/metadata.js';
import { readTemplate } from '../core/path-template.js';
import type { Multipart } from '../core/multipart.js';
import type { Class } from '../core/injection.js';
import type { RegisteredSession } from '../core/register.js';
import type { ChannelDefinition } from '../live/channel-definition.js';
import type { Channel as ChannelType } from '../live/channel.js';
import type { Connection as ConnectionType } from '../live/connection.js';
import type { Session as SessionType } from '../live/session.js';
import type { Socket as SocketType } from '../live/socket.js';
import { param } from './param.js';

type Value = StringConstructor | NumberConstructor | BooleanConstructor | DateConstructor | ObjectConstructor;

/**
 * What converts or validates an input: a Standard Schema, a type, a class that the application's validator knows, or a
 * list of one, `[Number]`. `Object` takes it as it came.
 */
export type Form = Schema | Value | Class | readonly [Value | Class];

/** Reads an input as a whole or by name, converted to the declared type or validated. */
type Input = [name?: string | Form, form?: Form];

/** The exchange itself. */
export const Ctx = param('Ctx', (ctx) => ctx);

/** Who the request is from, as middleware has said. */
export const User = param('User', (ctx) => ctx.user);

/** What middleware has set under a key. */
export const Attr = param('Attr', (ctx, key: string | symbol | Attribute<unknown>) =>
  ctx.attributes.get(key),
);

/** A parameter of the path, or all of them. */
export const Param = param<Input>('Param', (ctx, name?) => pick(ctx.params, name), {
  input: true,
  stable: true,
  named: true,
  check: (site, name) =>
    typeof name !== 'string' || readTemplate(site.path).parameters.includes(name)
      ? undefined
      : `the path ${site.path} has no parameter :${name}${suggestion(readTemplate(site.path).parameters)}`,
});

/** A parameter of the query, or all of them. */
export const Query = param<Input>('Query', (ctx, name?) => pick(ctx.query, name), {
  input: true,
  stable: true,
  named: true,
});

/** A header field of the request (any case), or all of them. */
export const Headers = param<Input>(
  'Headers',
  (ctx, name?) => pick(ctx.headers, typeof name === 'string' ? name.toLowerCase() : name),
  { input: true, stable: true, named: true },
);

/** A cookie, or all of them. */
export const Cookies = param<Input>('Cookies', (ctx, name?) => pick(ctx.cookies, name), {
  input: true,
  stable: true,
  named: true,
});

/** The body of a request, also of an `@Sse` by POST; on a socket each message; on a call its `params`. */
export const Body = param<[form?: Form | typeof Buffer | typeof Uint8Array | typeof Multipart]>(
  'Body',
  () => undefined,
  {
    input: true,
    takes: 'body',
    kinds: ['http', 'websocket'],
  },
);

/** The socket of a method that runs once: an async iterable of its messages, each converted or validated where a form is given. */
export const Socket = param<[form?: Form | typeof Buffer | typeof Uint8Array]>(
  'Socket',
  (ctx) => ctx.outlet,
  {
    kinds: ['websocket'],
    takes: 'socket',
  },
);
export type Socket<In = unknown, Out = unknown> = SocketType<In, Out>;

/** The session, where `sessions()` runs. */
export const Session = param('Session', (ctx) => {
  if ((ctx.session as unknown) === undefined) {
    throw new Error('there is no session: give sessions() to createApp({ middleware: [sessions()] })');
  }
  return ctx.session;
});
export type Session<T extends object = RegisteredSession & object> = SessionType<T>;

/** What stays open: the event stream or the socket. */
export const Connection = param('Connection', (ctx) => ctx.outlet, {
  kinds: ['sse', 'websocket'],
  takes: 'connection',
});
export type Connection = ConnectionType;

/** The channel of a definition, its template filled from the parameters of the path. */
export const Channel = param(
  'Channel',
  (ctx, definition: ChannelDefinition<never>) => ctx.environment.channels.read(definition, ctx),
  {
    stable: true,
    check: (site: ParameterSite, definition?: ChannelDefinition<never>) => {
      if (definition === undefined) {
        return 'its definition is undefined, most often because of a circular import: define the channel in a file that imports nothing back';
      }
      const missing = definition.parameters.filter(
        (name) => !readTemplate(site.path).parameters.includes(name),
      );
      return missing.length === 0
        ? undefined
        : `the channel ${definition.template} needs :${missing.join(', :')}, which the path ${site.path} does not have`;
    },
  },
);
export type Channel<T = unknown> = ChannelType<T>;

/** Aborts when the exchange ends. */
export const Signal = param('Signal', (ctx) => ctx.signal, { stable: true });

function suggestion(names: readonly string[]): string {
  return names.length === 0 ? '' : `; it has :${names.join(', :')}`;
}

function pick(record: Readonly<Record<string, unknown>>, name: unknown): unknown {
  if (typeof name !== 'string') return record;
  return Object.hasOwn(record, name) ? record[name] : undefined;
}

import type { Attribute } from '../core/base/attributes.js';
import type { Schema } from '../core/input/convert.js';
import type { ParameterSite } from '../core/routing/metadata.js';
import { readTemplate } from '../core/routing/path-template.js';
import type { Multipart } from '../core/input/multipart.js';
import type { Class } from '../core/injection/injection.js';
import type { RegisteredSession } from '../core/base/registered-types.js';
import type { ChannelDefinition } from '../live/broadcast/definition.js';
import type { Channel as ChannelType } from '../live/broadcast/channel.js';
import type { Connection as ConnectionType } from '../live/connections/connection.js';
import type { Session as SessionType } from '../core/exchange/session.js';
import type { Socket as SocketType } from '../live/messages/socket.js';
import { param } from './param.js';

type Value = StringConstructor | NumberConstructor | BooleanConstructor | DateConstructor | ObjectConstructor;

/**
 * Converts or validates an input: a Standard Schema, a type, a class that the application's validator knows, or a list of one,
 * `[Number]`. `Object` leaves the input as it came.
 */
export type Form = Schema | Value | Class | readonly [Value | Class];

/** Arguments of an input decorator: a name, or none for the record of all inputs; and a type or a schema. */
type Input = [name?: string | Form, form?: Form];

/** The `Context` of the exchange; of an `@Rpc` call, that of the call. */
export const Ctx = param('Ctx', (ctx) => ctx);

/** `ctx.user`: the user that middleware has set; `undefined` without one. */
export const User = param('User', (ctx) => ctx.user);

/** The value that middleware has set in `ctx.attributes`, by a string or a typed key: `@Attr(Plan)`. */
export const Attr = param(
  'Attr',
  (ctx, key: string | symbol | Attribute<unknown>) => ctx.attributes.get(key),
  {
    check: (_site, key) =>
      (key as unknown) === undefined
        ? 'it takes the key that middleware sets: a text or attribute(…). A key that is undefined here is often a circular import'
        : undefined,
  },
);

/**
 * A parameter of the path, decoded, or the record of all: `@Param('id') id: number`. It is converted to its declared type, or
 * validated by a type or schema given last; an invalid value is a 400. It never contains `.` or `..` segments.
 */
export const Param = param<Input>('Param', (ctx, name?) => pick(ctx.params, name), {
  input: true,
  stable: true,
  named: true,
  check: (site, name) =>
    typeof name !== 'string' || readTemplate(site.path).parameters.includes(name)
      ? undefined
      : `the path ${site.path} has no parameter :${name}${suggestion(readTemplate(site.path).parameters)}`,
});

/**
 * A parameter of the query, or the record of all: `@Query('page') page: number = 1`, `@Query('ids', [Number])`,
 * `@Query(Paging)`. It is converted to its declared type, or validated by a type or schema given last. An invalid value is a 400,
 * a missing one `undefined`.
 */
export const Query = param<Input>('Query', (ctx, name?) => pick(ctx.query, name), {
  input: true,
  stable: true,
  named: true,
});

/** A header field of the request, in any case, or the record of all; converted or validated like `Query`. */
export const Headers = param<Input>(
  'Headers',
  (ctx, name?) => pick(ctx.headers, typeof name === 'string' ? name.toLowerCase() : name),
  { input: true, stable: true, named: true },
);

/** A cookie of the request, or the record of all; converted or validated like `Query`. */
export const Cookies = param<Input>('Cookies', (ctx, name?) => pick(ctx.cookies, name), {
  input: true,
  stable: true,
  named: true,
});

/**
 * The payload: the body of a request (of an `@Sse` by POST, too), each message of a socket, the `params` of a call. Declared as
 * `string` it is the text, as `Buffer` or `Uint8Array` the bytes, as `Multipart` a form with files; otherwise the content type
 * decides, and a schema or the application's validator checks it: `@Body(Order) order: z.infer<typeof Order>`.
 *
 * A request gets a 400 for invalid or malformed input, a 413 above `limits.body`, and a 415 for an unsupported content type.
 */
export const Body = param<[form?: Form | typeof Buffer | typeof Uint8Array | typeof Multipart]>(
  'Body',
  () => undefined,
  {
    input: true,
    takes: 'body',
    kinds: ['http', 'websocket'],
  },
);

/**
 * The socket, for a method that runs once: an async iterable of its messages. With a type or schema each message is validated;
 * an invalid one is answered with `{ error }` and skipped.
 *
 * @example
 * ```ts
 * @WebSocket('/chat')
 * async chat(@Socket(Message) socket: Socket<z.infer<typeof Message>>, @Channel(Room) room: Channel<string>) {
 *   room.subscribe(socket);
 *   for await (const { text } of socket) room.publish(text);
 * }
 * ```
 */
export const Socket = param<[form?: Form | typeof Buffer | typeof Uint8Array]>(
  'Socket',
  (ctx) => ctx.connection,
  {
    kinds: ['websocket'],
    takes: 'socket',
  },
);
/** An open WebSocket that receives `In` and sends `Out`. */
export type Socket<In = unknown, Out = unknown> = SocketType<In, Out>;

/**
 * The session of the exchange. It needs `sessions()` in the middleware; without it, the exchange is a 500.
 *
 * @example
 * ```ts
 * @Post('/sign-in')
 * async signIn(@Session() session: Session, @Body(Credentials) credentials: z.infer<typeof Credentials>) {
 *   const user = await this.accounts.verify(credentials);
 *   await session.regenerate();
 *   await session.set('user', user.id);
 * }
 * ```
 */
export const Session = param('Session', (ctx) => {
  if ((ctx.session as unknown) === undefined) {
    throw new Error('there is no session: give sessions() to createApp({ middleware: [sessions()] })');
  }
  return ctx.session;
});
/** The session of an exchange, with the values that `Register` declares. */
export type Session<T extends object = RegisteredSession & object> = SessionType<T>;

/** The connection of the method: the event stream or the socket. */
export const Connection = param('Connection', (ctx) => ctx.connection, {
  kinds: ['sse', 'websocket'],
  takes: 'connection',
});
/** An open event stream or socket. */
export type Connection = ConnectionType;

/**
 * The channel of a definition, whose parameters the path fills. `authorize` of the definition decides first whether the exchange
 * may read it: if not, the exchange is a 403.
 *
 * @example
 * ```ts
 * const Room = defineChannel<string>('rooms/:room', { history: 100 });
 *
 * @Get('/rooms/:room') @Sse('/rooms/:room') @WebSocket('/rooms/:room')
 * messages(@Channel(Room) room: Channel<string>) {
 *   return room; // GET: its history; streams and sockets: what they missed, then live messages
 * }
 * ```
 */
export const Channel = param(
  'Channel',
  (ctx, definition: ChannelDefinition<never>) => ctx.environment.channels.read(definition, ctx),
  {
    stable: true,
    check: (site: ParameterSite, definition?: ChannelDefinition<never>) => {
      if (definition === undefined) {
        return 'its definition is undefined, most often because of a circular import: define the channel in a file that imports nothing back';
      }
      if (!Array.isArray(definition?.parameters)) {
        return "it takes what defineChannel() returned: const Room = defineChannel('rooms/:room'), then @Channel(Room)";
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
/** A handle on one channel. */
export type Channel<T = unknown> = ChannelType<T>;

/** `ctx.signal`: aborts when the response has been sent, the stream has ended, the socket has closed, or the client has left. */
export const Signal = param('Signal', (ctx) => ctx.signal, { stable: true });

function suggestion(names: readonly string[]): string {
  return names.length === 0 ? '' : `; it has :${names.join(', :')}`;
}

function pick(record: Readonly<Record<string, unknown>>, name: unknown): unknown {
  if (typeof name !== 'string') return record;
  return Object.hasOwn(record, name) ? record[name] : undefined;
}

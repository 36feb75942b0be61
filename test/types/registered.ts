// Checked by types.test.ts with a configuration of its own: what is registered here would hold for all tests.
import {
  attribute,
  Connections,
  Context,
  type Attributes,
  type Middleware,
  type Connection,
  type Socket,
} from 'coequal';
import { serve } from 'coequal/testing';
import { expectTypeOf } from 'expect-type';

interface Account {
  id: string;
  name: string;
}

declare module 'coequal' {
  interface Register {
    user: Account;
  }
}

declare const ctx: Context;
declare const connection: Connection;
declare const socket: Socket<{ text: string }, { from: string }>;
declare const connections: Connections;

expectTypeOf(ctx.user).toEqualTypeOf<Account | undefined>();
expectTypeOf(connection.user).toEqualTypeOf<Account | undefined>();
expectTypeOf(socket.user).toEqualTypeOf<Account | undefined>();
for (const one of connections) expectTypeOf(one.user).toEqualTypeOf<Account | undefined>();

ctx.user = { id: '1', name: 'Ann' };
ctx.user = undefined;
// @ts-expect-error An account has a name.
ctx.user = { id: '1' };

export const signIn: Middleware = (exchange, next) => {
  exchange.user = { id: '1', name: 'Ann' };
  return next();
};

const server = serve({ controllers: [], middleware: [signIn] });
server.as({ id: '1', name: 'Ann' });
// @ts-expect-error A test signs in as the registered user, not as its name.
server.as('Ann');

const Role = attribute<'reader' | 'writer'>('role');
declare const attributes: Attributes;
expectTypeOf(attributes.get(Role)).toEqualTypeOf<'reader' | 'writer' | undefined>();

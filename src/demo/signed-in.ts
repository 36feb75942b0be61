import { HttpError, type Middleware } from 'coequal';
import type { Account } from './market/accounts.js';

/** Says who an exchange is from, by its session: a request, an event stream or a socket. */
export const identify: Middleware = (ctx, next) => {
  ctx.user ??= ctx.session.get('account');
  return next();
};

/** Lets nobody in who has not signed in: to a method, an event stream or a socket. */
export const signedIn: Middleware = (ctx, next) => {
  if (ctx.user === undefined) throw new HttpError(401, 'Sign in first');
  return next();
};

/** Lets only operators in. */
export const operatorsOnly: Middleware = (ctx, next) => {
  if ((ctx.user as Account | undefined)?.operator !== true) throw new HttpError(403, 'This is for operators');
  return next();
};

import { HttpError, type Middleware } from 'coequal';
import type { Account } from './market/accounts.js';

/** Sets the user of an exchange from its session: of a request, an event stream or a socket. */
export const identify: Middleware = (ctx, next) => {
  ctx.user ??= ctx.session.get('account');
  return next();
};

/** Responds with 401 to users who have not signed in. */
export const signedIn: Middleware = (ctx, next) => {
  if (ctx.user === undefined) throw new HttpError(401, 'Sign in first');
  return next();
};

/** Responds with 403 to users who are not operators. */
export const operatorsOnly: Middleware = (ctx, next) => {
  if ((ctx.user as Account | undefined)?.operator !== true) throw new HttpError(403, 'This is for operators');
  return next();
};

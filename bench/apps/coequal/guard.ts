import { HttpError, type Context, type Next } from 'coequal';

/** The account that every guarded application of the measurements knows. */
export interface Account {
  name: string;
  id?: string;
}

declare module 'coequal' {
  interface Register {
    user: Account;
  }
}

export function authenticated(ctx: Context, next: Next): unknown {
  if (ctx.headers.authorization !== 'Bearer alice') throw new HttpError(401);
  ctx.user = { name: 'alice' };
  return next();
}

import { randomBytes } from 'node:crypto';
import { Elysia } from 'elysia';
import { z } from 'zod';
import { ACCOUNTS, Order, confirmation } from '../../dist/orders.js';
import { listen, options } from './runtime.mjs';

/** Elysia has no sessions of its own: a Map by the cookie's random id. */
const sessions = new Map();

export async function start() {
  const app = new Elysia(await options())
    .post('/sign-in', ({ body, cookie, status }) => {
      const id = randomBytes(32).toString('base64url');
      sessions.set(id, body);
      cookie.session.set({ value: id, httpOnly: true, sameSite: 'lax', path: '/' });
      return status(204);
    })
    .resolve(({ cookie, path, status }) => {
      const account = ACCOUNTS.get(sessions.get(cookie.session?.value)?.account);
      if (account === undefined && path !== '/sign-in') return status(401);
      return { current: { account } };
    })
    .post(
      '/shops/:shop/orders',
      ({ params, body, current }) => confirmation(params.shop, current.account, body),
      { params: z.object({ shop: z.coerce.number().int() }), body: Order },
    );
  return { port: await listen(app) };
}

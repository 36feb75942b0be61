import { randomBytes } from 'node:crypto';
import { Hono } from 'hono';
import { getCookie, setCookie } from 'hono/cookie';
import { serve } from '@hono/node-server';
import { KEEP_ALIVE } from '../../lib/listening.mjs';
import { ACCOUNTS, Order, confirmation } from '../../dist/orders.js';

/** Hono has no sessions of its own: a Map by the cookie's random id. */
const sessions = new Map();

export async function start() {
  const app = new Hono();
  app.post('/sign-in', async (c) => {
    const id = randomBytes(32).toString('base64url');
    sessions.set(id, await c.req.json());
    setCookie(c, 'session', id, { httpOnly: true, sameSite: 'lax' });
    return c.body(null, 204);
  });
  app.post('/shops/:shop/orders', signedIn, async (c) => {
    const shop = Number(c.req.param('shop'));
    if (!Number.isSafeInteger(shop)) return c.json({ error: 'shop is not a number' }, 400);
    const { success, data, error } = Order.safeParse(await c.req.json());
    if (!success) return c.json({ errors: error.issues }, 400);
    return c.json(confirmation(shop, c.get('current').account, data));
  });
  return new Promise((resolve) => {
    const serverOptions = { keepAliveTimeout: KEEP_ALIVE };
    serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1', serverOptions }, ({ port }) =>
      resolve({ port }),
    );
  });
}

async function signedIn(c, next) {
  const account = ACCOUNTS.get(sessions.get(getCookie(c, 'session'))?.account);
  if (account === undefined) return c.json({ error: 'Unauthorized' }, 401);
  c.set('current', { account });
  await next();
}

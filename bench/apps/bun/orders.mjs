import { randomBytes } from 'node:crypto';
import { ACCOUNTS, Order, confirmation } from '../../dist/orders.js';

/** `Bun.serve` by hand, and a Map of sessions by the cookie's random id. */
const sessions = new Map();

export function start() {
  const { port } = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    idleTimeout: 72,
    routes: {
      '/sign-in': {
        async POST(request) {
          const id = randomBytes(32).toString('base64url');
          sessions.set(id, await request.json());
          request.cookies.set('session', id, { httpOnly: true, sameSite: 'lax' });
          return new Response(null, { status: 204 });
        },
      },
      '/shops/:shop/orders': { POST: place },
    },
  });
  return { port };
}

async function place(request) {
  const account = ACCOUNTS.get(sessions.get(request.cookies.get('session'))?.account);
  if (account === undefined) return Response.json({ error: 'Unauthorized' }, { status: 401 });
  const current = { account };
  const shop = Number(request.params.shop);
  if (!Number.isSafeInteger(shop)) return Response.json({ error: 'shop is not a number' }, { status: 400 });
  const { success, data, error } = Order.safeParse(await request.json());
  if (!success) return Response.json({ errors: error.issues }, { status: 400 });
  return Response.json(confirmation(shop, current.account, data));
}

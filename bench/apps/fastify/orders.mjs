import fastify from 'fastify';
import cookie from '@fastify/cookie';
import session from '@fastify/session';
import { ACCOUNTS, Order, SAMPLE, confirmation } from '../../dist/orders.js';

export async function start({ schemas = false }) {
  const app = fastify();
  await app.register(cookie);
  await app.register(session, {
    secret: 'a secret of at least thirty-two letters',
    cookieName: 'session',
    cookie: { secure: false, httpOnly: true, sameSite: 'lax' },
    saveUninitialized: false,
    rolling: false,
  });
  app.decorateRequest('current', null);
  app.post('/sign-in', async ({ session, body }, reply) => {
    session.account = body.account;
    return reply.code(204).send();
  });
  const schema = schemas ? { schema: { response: { 200: RESPONSE } } } : {};
  app.post('/shops/:shop/orders', { ...schema, preHandler: signedIn }, async (request, reply) => {
    const shop = Number(request.params.shop);
    if (!Number.isSafeInteger(shop)) return reply.code(400).send({ error: 'shop is not a number' });
    const { success, data, error } = Order.safeParse(request.body);
    if (!success) return reply.code(400).send({ errors: error.issues });
    return confirmation(shop, request.current.account, data);
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  return { port: app.server.address().port };
}

async function signedIn(request, reply) {
  const account = ACCOUNTS.get(request.session.account);
  if (account === undefined) return reply.code(401).send({ error: 'Unauthorized' });
  request.current = { account };
}

const RESPONSE = {
  type: 'object',
  properties: Object.fromEntries(
    Object.entries(confirmation(1, ACCOUNTS.get('ada'), SAMPLE)).map(([name, value]) => [
      name,
      Array.isArray(value)
        ? { type: 'array', items: { type: 'string' } }
        : { type: value === null ? ['string', 'null'] : typeof value },
    ]),
  ),
};

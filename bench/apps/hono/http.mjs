import { Hono } from 'hono';
import { serve } from '@hono/node-server';
import { KEEP_ALIVE } from '../../lib/listening.mjs';

export async function start() {
  const app = new Hono();
  app.get('/plaintext', (c) => c.text('Hello, World!'));
  app.get('/json', (c) => c.json({ message: 'Hello, World!' }));
  app.get('/users/:id/posts/:post', (c) =>
    c.json({ id: c.req.param('id'), post: c.req.param('post'), limit: Number(c.req.query('limit')) }),
  );
  app.post('/echo', async (c) => c.json(await c.req.json()));
  const mark = (name, value) => async (c, next) => {
    c.header(name, value);
    await next();
  };
  app.get('/guarded', mark('x-one', '1'), mark('x-two', '2'), mark('x-three', '3'), guard, (c) =>
    c.json({ user: c.get('user') }),
  );
  return new Promise((resolve) => {
    const serverOptions = { keepAliveTimeout: KEEP_ALIVE };
    serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1', serverOptions }, ({ port }) =>
      resolve({ port }),
    );
  });
}

async function guard(c, next) {
  if (c.req.header('authorization') !== 'Bearer alice') return c.text('Unauthorized', 401);
  c.set('user', { name: 'alice' });
  await next();
}

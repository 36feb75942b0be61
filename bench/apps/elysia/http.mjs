import { Elysia, t } from 'elysia';
import { node } from '@elysiajs/node';
import { freePort } from '../../lib/listening.mjs';

export async function start() {
  const port = await freePort();
  const mark =
    (name, value) =>
    ({ set }) => {
      set.headers[name] = value;
    };
  const app = new Elysia({ adapter: node() })
    .get('/plaintext', () => 'Hello, World!')
    .get('/json', () => ({ message: 'Hello, World!' }))
    .get(
      '/users/:id/posts/:post',
      ({ params, query }) => ({ id: params.id, post: params.post, limit: query.limit }),
      {
        query: t.Object({ limit: t.Numeric() }),
      },
    )
    .post('/echo', ({ body }) => body)
    .get('/guarded', (context) => ({ user: context.user }), {
      beforeHandle: [mark('x-one', '1'), mark('x-two', '2'), mark('x-three', '3'), guard],
    });
  await new Promise((resolve) => app.listen({ port, hostname: '127.0.0.1' }, resolve));
  return { port };
}

function guard(context) {
  if (context.headers.authorization !== 'Bearer alice') return context.status(401);
  context.user = { name: 'alice' };
}

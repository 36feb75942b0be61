import { H3, HTTPError, getQuery, readBody } from 'h3';
import { toNodeHandler } from 'h3/node';
import { createServer } from 'node:http';
import { listening } from '../../lib/listening.mjs';

export async function start() {
  const app = new H3();
  app.get('/plaintext', (event) => {
    event.res.headers.set('content-type', 'text/plain; charset=utf-8');
    return 'Hello, World!';
  });
  app.get('/json', () => ({ message: 'Hello, World!' }));
  app.get('/users/:id/posts/:post', (event) => {
    const { id, post } = event.context.params;
    return { id, post, limit: Number(getQuery(event).limit) };
  });
  app.post('/echo', (event) => readBody(event));
  const mark = (name, value) => (event, next) => {
    event.res.headers.set(name, value);
    return next();
  };
  app.get('/guarded', (event) => ({ user: event.context.user }), {
    middleware: [mark('x-one', '1'), mark('x-two', '2'), mark('x-three', '3'), guard],
  });
  return { port: await listening(createServer(toNodeHandler(app))) };
}

function guard(event, next) {
  if (event.req.headers.get('authorization') !== 'Bearer alice') throw new HTTPError({ status: 401 });
  event.context.user = { name: 'alice' };
  return next();
}

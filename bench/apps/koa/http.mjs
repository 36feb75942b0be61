import Koa from 'koa';
import Router from '@koa/router';
import bodyParser from 'koa-bodyparser';
import { createServer } from 'node:http';
import { listening } from '../../lib/listening.mjs';

export async function start() {
  const router = new Router();
  router.get('/plaintext', (ctx) => void (ctx.body = 'Hello, World!'));
  router.get('/json', (ctx) => void (ctx.body = { message: 'Hello, World!' }));
  router.get('/users/:id/posts/:post', (ctx) => {
    ctx.body = { id: ctx.params.id, post: ctx.params.post, limit: Number(ctx.query.limit) };
  });
  router.post('/echo', bodyParser(), (ctx) => void (ctx.body = ctx.request.body));
  const mark = (name, value) => (ctx, next) => {
    ctx.set(name, value);
    return next();
  };
  router.get('/guarded', mark('x-one', '1'), mark('x-two', '2'), mark('x-three', '3'), guard, (ctx) => {
    ctx.body = { user: ctx.state.user };
  });
  const app = new Koa();
  app.use(router.routes());
  return { port: await listening(createServer(app.callback())) };
}

function guard(ctx, next) {
  if (ctx.headers.authorization !== 'Bearer alice') ctx.throw(401);
  ctx.state.user = { name: 'alice' };
  return next();
}

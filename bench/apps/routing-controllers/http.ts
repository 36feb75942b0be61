import 'reflect-metadata';
import { createServer } from 'node:http';
import Koa from 'koa';
import type { Context, Next } from 'koa';
import {
  Body,
  Controller,
  Get,
  HttpCode,
  JsonController,
  Param,
  Post,
  QueryParam,
  State,
  UseBefore,
  useKoaServer,
} from 'routing-controllers';
import { listening } from '../listening.js';

const mark = (name: string, value: string) => (ctx: Context, next: Next) => {
  ctx.set(name, value);
  return next();
};

function guard(ctx: Context, next: Next) {
  if (ctx.headers.authorization !== 'Bearer alice') ctx.throw(401);
  ctx.state.user = { name: 'alice' };
  return next();
}

@Controller()
class TextController {
  @Get('/plaintext')
  plaintext() {
    return 'Hello, World!';
  }
}

@JsonController()
class BenchController {
  @Get('/json')
  json() {
    return { message: 'Hello, World!' };
  }

  @Get('/users/:id/posts/:post')
  post(@Param('id') id: string, @Param('post') post: string, @QueryParam('limit') limit: number) {
    return { id, post, limit };
  }

  @Post('/echo')
  @HttpCode(200)
  echo(@Body() body: object) {
    return body;
  }

  @Get('/guarded')
  @UseBefore(mark('x-one', '1'), mark('x-two', '2'), mark('x-three', '3'), guard)
  guarded(@State('user') user: object) {
    return { user };
  }
}

export async function start() {
  const app = new Koa();
  // Errors are silent, as they are for the others.
  app.silent = true;
  useKoaServer(app, {
    controllers: [TextController, BenchController],
    validation: false,
    classTransformer: false,
  });
  return { port: await listening(createServer(app.callback())) };
}

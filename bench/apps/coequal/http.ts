import {
  Body,
  Controller,
  Get,
  HttpCode,
  Param,
  Post,
  Query,
  UseMiddleware,
  User,
  createApp,
  type Middleware,
} from 'coequal';
import { authenticated, type Account } from './guard.js';

const mark =
  (name: string, value: string): Middleware =>
  (ctx, next) => {
    ctx.setHeader(name, value);
    return next();
  };

@Controller()
class BenchController {
  @Get('/plaintext')
  plaintext() {
    return 'Hello, World!';
  }

  @Get('/json')
  json() {
    return { message: 'Hello, World!' };
  }

  @Get('/users/:id/posts/:post')
  post(@Param('id') id: string, @Param('post') post: string, @Query('limit') limit: number) {
    return { id, post, limit };
  }

  @Post('/echo')
  @HttpCode(200)
  echo(@Body() body: object) {
    return body;
  }

  @Get('/guarded')
  @UseMiddleware(mark('x-one', '1'), mark('x-two', '2'), mark('x-three', '3'), authenticated)
  guarded(@User() user: Account) {
    return { user };
  }
}

export async function start() {
  const { port } = await createApp({ controllers: [BenchController] }).listen({ port: 0, host: '127.0.0.1' });
  return { port };
}

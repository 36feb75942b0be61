import 'reflect-metadata';
import type { AddressInfo } from 'node:net';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import {
  Body,
  type CallHandler,
  type CanActivate,
  Controller,
  type ExecutionContext,
  Get,
  Header,
  HttpCode,
  Injectable,
  Module,
  type NestInterceptor,
  Param,
  ParseIntPipe,
  Post,
  Query,
  Req,
  UnauthorizedException,
  UseGuards,
  UseInterceptors,
  mixin,
  type Type,
} from '@nestjs/common';

/** What wraps a handler in NestJS, and can set headers of its answer, is an interceptor. */
function mark(name: string, value: string): Type<NestInterceptor> {
  @Injectable()
  class Mark implements NestInterceptor {
    intercept(context: ExecutionContext, next: CallHandler) {
      context.switchToHttp().getResponse().header(name, value);
      return next.handle();
    }
  }
  return mixin(Mark);
}

@Injectable()
class Authenticated implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest();
    if (request.headers.authorization !== 'Bearer alice') throw new UnauthorizedException();
    request.user = { name: 'alice' };
    return true;
  }
}

@Controller()
class BenchController {
  @Get('/plaintext')
  @Header('content-type', 'text/plain; charset=utf-8')
  plaintext() {
    return 'Hello, World!';
  }

  @Get('/json')
  json() {
    return { message: 'Hello, World!' };
  }

  @Get('/users/:id/posts/:post')
  post(@Param('id') id: string, @Param('post') post: string, @Query('limit', ParseIntPipe) limit: number) {
    return { id, post, limit };
  }

  @Post('/echo')
  @HttpCode(200)
  echo(@Body() body: object) {
    return body;
  }

  @Get('/guarded')
  @UseGuards(Authenticated)
  @UseInterceptors(mark('x-one', '1'), mark('x-two', '2'), mark('x-three', '3'))
  guarded(@Req() request: { user: object }) {
    return { user: request.user };
  }
}

@Module({ controllers: [BenchController] })
class BenchModule {}

export async function start() {
  const app = await NestFactory.create<NestFastifyApplication>(BenchModule, new FastifyAdapter(), {
    logger: false,
  });
  await app.listen(0, '127.0.0.1');
  return { port: (app.getHttpServer().address() as AddressInfo).port };
}

import 'reflect-metadata';
import type { AddressInfo } from 'node:net';
import cookie from '@fastify/cookie';
import session from '@fastify/session';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import {
  Body,
  type CanActivate,
  Controller,
  type ExecutionContext,
  HttpCode,
  Injectable,
  Module,
  Param,
  ParseIntPipe,
  Post,
  Req,
  Scope,
  StandardSchemaValidationPipe,
  UnauthorizedException,
  UseGuards,
  type Type,
} from '@nestjs/common';
import { ACCOUNTS, Order, confirmation, type Account } from '../orders.js';

interface Request {
  session: { account?: string };
  current: { account: Account };
}

function accountOf({ session: { account } }: Request): Account {
  const found = ACCOUNTS.get(account);
  if (found === undefined) throw new UnauthorizedException();
  return found;
}

@Controller('/sign-in')
class SessionController {
  @Post()
  @HttpCode(204)
  signIn(@Req() { session }: Request, @Body() { account }: { account: string }) {
    session.account = account;
  }
}

/** The account of a request in a request-scoped service: whoever depends on it is made anew for each request. */
function requestScoped(): Type {
  @Injectable({ scope: Scope.REQUEST })
  class CurrentAccount {
    account!: Account;
  }

  @Injectable()
  class SignedIn implements CanActivate {
    constructor(private readonly current: CurrentAccount) {}

    canActivate(context: ExecutionContext): boolean {
      this.current.account = accountOf(context.switchToHttp().getRequest());
      return true;
    }
  }

  @Controller('/shops/:shop/orders')
  class OrderController {
    constructor(private readonly current: CurrentAccount) {}

    @Post()
    @HttpCode(200)
    @UseGuards(SignedIn)
    place(@Param('shop', ParseIntPipe) shop: number, @Body({ schema: Order }) order: Order) {
      return confirmation(shop, this.current.account, order);
    }
  }

  @Module({ controllers: [SessionController, OrderController], providers: [CurrentAccount] })
  class ScopedModule {}
  return ScopedModule;
}

/** The account of a request on the request: guard and controller are singletons. */
function singletons(): Type {
  @Injectable()
  class SignedIn implements CanActivate {
    canActivate(context: ExecutionContext): boolean {
      const request = context.switchToHttp().getRequest<Request>();
      request.current = { account: accountOf(request) };
      return true;
    }
  }

  @Controller('/shops/:shop/orders')
  class OrderController {
    @Post()
    @HttpCode(200)
    @UseGuards(SignedIn)
    place(
      @Req() { current }: Request,
      @Param('shop', ParseIntPipe) shop: number,
      @Body({ schema: Order }) order: Order,
    ) {
      return confirmation(shop, current.account, order);
    }
  }

  @Module({ controllers: [SessionController, OrderController] })
  class SingletonModule {}
  return SingletonModule;
}

export async function start({ scoped }: { scoped: boolean }) {
  const app = await NestFactory.create<NestFastifyApplication>(
    scoped ? requestScoped() : singletons(),
    new FastifyAdapter(),
    { logger: false },
  );
  app.useGlobalPipes(new StandardSchemaValidationPipe());
  await app.register(cookie);
  await app.register(session, {
    secret: 'a secret of at least thirty-two letters',
    cookieName: 'session',
    cookie: { secure: false, httpOnly: true, sameSite: 'lax' },
    saveUninitialized: false,
    rolling: false,
  });
  await app.listen(0, '127.0.0.1');
  return { port: (app.getHttpServer().address() as AddressInfo).port };
}

import {
  Body,
  Controller,
  HttpCode,
  HttpError,
  Param,
  Post,
  Session,
  UseMiddleware,
  createApp,
  sessions,
  type Context,
  type Next,
} from 'coequal';
import { Lifecycle, injectable, scoped } from 'tsyringe';
import { ACCOUNTS, Order, confirmation, type Account } from '../orders.js';

@scoped(Lifecycle.ContainerScoped)
class CurrentAccount {
  account!: Account;
}

@injectable()
class SignedIn {
  constructor(private readonly current: CurrentAccount) {}

  use(ctx: Context, next: Next) {
    const account = ACCOUNTS.get(ctx.session.get('account'));
    if (account === undefined) throw new HttpError(401);
    this.current.account = account;
    return next();
  }
}

@Controller('/sign-in')
class SessionController {
  @Post()
  @HttpCode(204)
  async signIn(@Session() session: Session, @Body() { account }: { account: string }) {
    await session.regenerate();
    await session.set('account', account);
  }
}

@injectable()
@Controller('/shops/:shop/orders')
class OrderController {
  constructor(private readonly current: CurrentAccount) {}

  @Post()
  @HttpCode(200)
  @UseMiddleware(SignedIn)
  place(@Param('shop') shop: number, @Body(Order) order: Order) {
    return confirmation(shop, this.current.account, order);
  }
}

export async function start() {
  const app = createApp({
    controllers: [SessionController, OrderController],
    middleware: [sessions({ cookie: { name: 'session', secure: false } })],
  });
  const { port } = await app.listen({ port: 0, host: '127.0.0.1' });
  return { port };
}

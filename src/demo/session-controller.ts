import { Body, Controller, Delete, Get, Post, Session, User } from 'coequal';
import { injectable } from 'tsyringe';
import { z } from 'zod';
import { Accounts, type Account } from './market/accounts.js';

const Credentials = z.object({ name: z.string().max(50), password: z.string().max(200) });
type Credentials = z.infer<typeof Credentials>;

@injectable()
@Controller('/session')
export class SessionController {
  constructor(private readonly accounts: Accounts) {}

  /** The signed-in user; 204 without one. */
  @Get()
  show(@User() user: Account | undefined): Account | undefined {
    return user;
  }

  @Post()
  async signIn(
    @Session() session: Session,
    @Body(Credentials) { name, password }: Credentials,
  ): Promise<Account> {
    const account = await this.accounts.check(name, password);
    await session.regenerate();
    await session.set('account', account);
    return account;
  }

  /** Ends the session with its sockets and event streams, in every tab. */
  @Delete()
  async signOut(@Session() session: Session): Promise<void> {
    await session.destroy();
  }
}

import { Body, Channel, Channels, Controller, Get, Put, Sse, User, UseMiddleware, WebSocket } from 'coequal';
import { injectable } from 'tsyringe';
import { z } from 'zod';
import type { Account } from './market/accounts.js';
import { Market, Prices, type Quote } from './market/market.js';
import { news, News } from './market/news.js';
import { signedIn } from './signed-in.js';

const Pace = z.object({ pace: z.number().min(0.25).max(8) });
type Pace = z.infer<typeof Pace>;

@injectable()
@Controller('/market')
@UseMiddleware(signedIn)
export class MarketController {
  constructor(
    private readonly market: Market,
    private readonly channels: Channels,
  ) {}

  /** One method for three kinds. GET: the prices so far. Event stream or socket: the same, then each new price. */
  @Get('/prices')
  @Sse('/prices')
  @WebSocket('/prices')
  prices(@Channel(Prices) prices: Channel<Quote>) {
    return prices;
  }

  @Get('/pace')
  pace(): Pace {
    return { pace: this.market.pace };
  }

  @Put('/pace')
  setPace(@User() user: Account, @Body(Pace) { pace }: Pace): Pace {
    this.market.pace = pace;
    this.channels.of(News).publish(news('pace', `${user.name} set the pace to ${pace}×`));
    return { pace };
  }
}

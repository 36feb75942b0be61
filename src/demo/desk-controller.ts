import {
  Body,
  Channel,
  Connection,
  Controller,
  Get,
  HttpCode,
  Post,
  Rpc,
  User,
  UseMiddleware,
  WebSocket,
} from 'coequal';
import { injectable } from 'tsyringe';
import type { Account } from './market/accounts.js';
import { Desk, Order, type Fill, type Position } from './market/desk.js';
import { News, type Item } from './market/news.js';
import { signedIn } from './signed-in.js';

@injectable()
@Controller('/desk')
@UseMiddleware(signedIn)
export class DeskController {
  constructor(private readonly desk: Desk) {}

  @Get()
  position(@User() user: Account): Position {
    return this.desk.position(user);
  }

  /** Places an order: by `POST /desk/orders`, or by the call `order` on the socket. */
  @Post('/orders')
  @Rpc('order')
  @HttpCode(201)
  order(@User() user: Account, @Body(Order) order: Order): Fill {
    return this.desk.fill(user, order);
  }

  /** Opens a desk: it is present in the news channel, receives the news and presence, and may call `order`. */
  @WebSocket()
  sit(@Connection() connection: Connection, @Channel(News) news: Channel<Item>) {
    news.presence.subscribe(connection);
    return news;
  }
}

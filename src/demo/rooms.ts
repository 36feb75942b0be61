import {
  Body,
  Channel,
  Controller,
  defineChannel,
  Get,
  HttpCode,
  HttpError,
  type Middleware,
  Post,
  Rpc,
  Sse,
  UseMiddleware,
  User,
  WebSocket,
} from 'coequal';
import { z } from 'zod';
import type { Account } from './market/accounts.js';
import { SYMBOLS } from './market/history.js';
import { signedIn } from './signed-in.js';

export interface Message {
  from: string;
  text: string;
  /** Milliseconds of the epoch. */
  at: number;
}

/** A chat room for each share, with its latest messages. */
export const Room = defineChannel<Message>('rooms/:room', { history: 100 });

const NewMessage = z.object({ text: z.string().trim().min(1).max(500) });
type NewMessage = z.infer<typeof NewMessage>;

/** Responds with 404 to rooms that are not shares of the market, in all kinds. */
const exists: Middleware = (ctx, next) => {
  const { room } = ctx.params;
  if (!SYMBOLS.some((symbol) => symbol === room)) throw new HttpError(404, `There is no room ${room}`);
  return next();
};

@Controller('/rooms/:room/messages')
@UseMiddleware(signedIn, exists)
export class RoomController {
  /** GET: the latest messages. Event stream or socket: the same, then each new message. */
  @Get()
  @Sse()
  @WebSocket()
  messages(@Channel(Room) room: Channel<Message>) {
    return room;
  }

  /** Posts a message: by POST, or by a call on the socket of `messages`. */
  @Post()
  @Rpc('say')
  @HttpCode(201)
  say(
    @Channel(Room) room: Channel<Message>,
    @User() user: Account,
    @Body(NewMessage) { text }: NewMessage,
  ): Message {
    const message = { from: user.name, text, at: Date.now() };
    room.publish(message);
    return message;
  }
}

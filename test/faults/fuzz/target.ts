import {
  Body,
  Channel,
  Channels,
  Controller,
  Ctx,
  defineChannel,
  Get,
  Headers,
  HttpError,
  Multipart,
  Param,
  Post,
  Query,
  Rpc,
  Session,
  Socket,
  Sse,
  WebSocket,
  type Context,
} from 'coequal';
import type { TestServer } from 'coequal/testing';
import { z } from 'zod';

/** What no answer may show. */
export const SECRET = 'the password of the database';

export const Order = z.strictObject({ item: z.string().max(40), count: z.number().int().min(1).max(99) });
export type Order = z.infer<typeof Order>;

export const Sum = z.strictObject({ a: z.number(), b: z.number() });

/** How many news there are, and how many of them are kept. */
export const ISSUES = 25;
export const KEPT = 20;

export const News = defineChannel<string>('news', { history: KEPT });

interface Held {
  user: string;
}

/** What inputs need that an application has made: the token of a session, and a cursor of the news. */
export async function prepare(server: TestServer): Promise<{ session: string; cursor: string }> {
  const response = await server.fetch('/session', { method: 'POST' });
  const session = /^__Host-session=([\w-]+);/.exec(response.headers.getSetCookie()[0] ?? '')?.[1] ?? '';
  const news = server.app.container.resolve(Channels).of(News, {});
  for (let issue = 1; issue <= ISSUES; issue++) news.publish(`issue ${issue}`);
  const stream = await server.sse('/news');
  const { id: cursor = '' } = await stream.next();
  stream.close();
  return { session, cursor };
}

/** Requests of every sort. */
@Controller()
export class Requests {
  @Get('/') home() {
    return 'home';
  }
  @Get('/items/:id') item(
    @Param('id') id: number,
    @Query('page') page?: number,
    @Query('new') isNew?: boolean,
  ) {
    return { id, page: page ?? null, new: isNew ?? null };
  }
  @Get('/where/*') where(@Ctx() ctx: Context, @Query() query: object, @Headers('accept') accept?: string) {
    return { path: ctx.path, query, accept: accept ?? null };
  }
  @Get('/lines') async *lines() {
    for (let line = 0; line < 3; line++) yield { line };
  }
  @Get('/closed') closed() {
    throw new HttpError(403, 'Closed today', { cause: new Error(SECRET) });
  }
  @Post('/text') text(@Body() body: string) {
    return body;
  }
  @Post('/bytes') bytes(@Body() body: Buffer) {
    return body;
  }
  @Post('/any') any(@Body() body: unknown) {
    return { body: body ?? null };
  }
  @Post('/orders') order(@Body(Order) order: Order) {
    return order;
  }
  @Post('/uploads') async upload(@Body() form: Multipart) {
    const parts: unknown[] = [];
    for await (const part of form) {
      if ('value' in part) {
        parts.push(part);
        continue;
      }
      let size = 0;
      for await (const chunk of part.stream) size += (chunk as Buffer).length;
      parts.push({ name: part.name, filename: part.filename, mediaType: part.mediaType, size });
    }
    return parts;
  }
}

/** A session, and who it is. */
@Controller('/session')
export class Sessions {
  @Post() async signIn(@Session() session: Session<Held>) {
    await session.regenerate();
    await session.set('user', 'ada');
    return { user: 'ada' };
  }
  @Get() @Sse() @WebSocket() who(@Session() session: Session<Held>) {
    return { user: session.get('user') ?? null };
  }
}

/** Sockets of every sort. */
@Controller()
export class Sockets {
  @WebSocket('/echo') echo(@Body() text: string) {
    return text;
  }
  @WebSocket('/bytes') bytes(@Body() bytes: Buffer) {
    return bytes;
  }
  @WebSocket('/loop') async loop(@Socket(String) socket: Socket<string, string>) {
    for await (const text of socket) socket.send(text);
  }
  @WebSocket('/orders', { protocols: ['orders'] }) order(@Body(Order) order: Order) {
    return order;
  }
  @Get('/news') @Sse('/news') @WebSocket('/news') news(@Channel(News) news: Channel<string>) {
    return news;
  }
}

/** Calls, by a socket that takes nothing else and by one that takes other messages, too. */
@Controller('/calls')
export class Procedures {
  @WebSocket() open() {}
  @WebSocket('/mixed') mixed(@Body() value: unknown) {
    return { value: value ?? null };
  }
  @Rpc('sum') sum(@Body(Sum) { a, b }: z.infer<typeof Sum>) {
    return a + b;
  }
  @Rpc('echo') echo(@Body() params: unknown) {
    return params ?? null;
  }
  @Rpc('refuse') refuse() {
    throw new HttpError(409, 'Taken', { cause: new Error(SECRET) });
  }
  @Rpc('later', { concurrent: true }) async later(@Body() params: unknown) {
    await Promise.resolve();
    return params ?? null;
  }
}

import {
  Body,
  Channel,
  Channels,
  Controller,
  Rpc,
  Socket,
  UseMiddleware,
  WebSocket,
  createApp,
  defineChannel,
} from 'coequal';
import { authenticated } from './guard.js';

const Ticks = defineChannel<string>('ticks');

@Controller('/rpc')
class RpcController {
  @WebSocket()
  open(@Socket() _socket: Socket) {}

  @Rpc('echo')
  echo(@Body() value: object) {
    return value;
  }
}

@Controller()
class BenchController {
  @WebSocket('/text')
  text(@Body() text: string) {
    return text;
  }

  @WebSocket('/json')
  json(@Body() value: object) {
    return value;
  }

  @WebSocket('/ticks')
  ticks(@Channel(Ticks) channel: Channel<string>) {
    return channel;
  }

  @WebSocket('/idle')
  @UseMiddleware(authenticated, (ctx, next) => {
    ctx.attributes.set('room', 'lobby');
    return next();
  })
  idle(@Body() text: string) {
    return text;
  }
}

export async function start() {
  const app = createApp({ controllers: [BenchController, RpcController] });
  const { port } = await app.listen({ port: 0, host: '127.0.0.1' });
  const channel = app.container.resolve(Channels).of(Ticks, {});
  return { port, publish: (text: string) => channel.publish(text) };
}

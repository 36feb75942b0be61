import { Channel, Channels, Controller, Sse, createApp, defineChannel } from 'coequal';

const Ticks = defineChannel<string>('ticks');

@Controller()
class BenchController {
  @Sse('/events')
  events(@Channel(Ticks) channel: Channel<string>) {
    return channel;
  }
}

export async function start() {
  const app = createApp({ controllers: [BenchController] });
  const { port } = await app.listen({ port: 0, host: '127.0.0.1' });
  const channel = app.container.resolve(Channels).of(Ticks, {});
  return { port, publish: (text: string) => channel.publish(text) };
}

import { Channel, Channels, Controller, WebSocket, conflate, createApp, defineChannel } from 'coequal';

const Room = defineChannel<string>('rooms/:room');
const Oldest = defineChannel<string>('oldest', { overflow: 'drop-oldest' });
const Latest = defineChannel<string>('latest', { overflow: conflate((text: string) => text[0]) });

@Controller()
class RoomController {
  @WebSocket('/rooms/:room')
  room(@Channel(Room) channel: Channel<string>) {
    return channel;
  }

  @WebSocket('/oldest')
  oldest(@Channel(Oldest) channel: Channel<string>) {
    return channel;
  }

  @WebSocket('/latest')
  latest(@Channel(Latest) channel: Channel<string>) {
    return channel;
  }
}

/** Publishing goes to the room `0`, whatever other rooms there are, or to the channel of another policy. */
export async function start() {
  const app = createApp({ controllers: [RoomController] });
  const { port } = await app.listen({ port: 0, host: '127.0.0.1' });
  const channels = app.container.resolve(Channels);
  const all = [channels.of(Room, { room: '0' }), channels.of(Oldest), channels.of(Latest)];
  return { port, publish: (text: string, at: number) => all[at]!.publish(text) };
}

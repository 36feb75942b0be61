import { Channel, Channels, Controller, WebSocket, createApp, defineChannel } from 'coequal';

const Room = defineChannel<string>('rooms/:room');

@Controller()
class RoomController {
  @WebSocket('/rooms/:room')
  room(@Channel(Room) channel: Channel<string>) {
    return channel;
  }
}

/** Publishing goes to the room `0`, whatever other rooms there are. */
export async function start() {
  const app = createApp({ controllers: [RoomController] });
  const { port } = await app.listen({ port: 0, host: '127.0.0.1' });
  const channel = app.container.resolve(Channels).of(Room, { room: '0' });
  return { port, publish: (text: string) => channel.publish(text) };
}

import {
  Channel,
  Connection,
  Controller,
  Socket,
  UseMiddleware,
  User,
  WebSocket,
  createApp,
  defineChannel,
  type Context,
  type Next,
} from 'coequal';
import { HISTORY, Say, nameOf, type Said } from '../rooms.js';

const Room = defineChannel<Said>('rooms/:room', {
  history: HISTORY,
  presence: (user) => user,
});

interface Member {
  id: string;
  name: string;
}

function signedIn(ctx: Context, next: Next): unknown {
  const id = String(ctx.query.user);
  ctx.user = { id, name: id };
  return next();
}

@Controller('/rooms/:room')
class RoomController {
  @WebSocket()
  @UseMiddleware(signedIn)
  async room(
    @Channel(Room) room: Channel<Said>,
    @Connection() connection: Connection,
    @User() { id }: Member,
    @Socket(Say) socket: Socket<Say>,
  ) {
    room.subscribe(connection);
    room.presence.subscribe(connection);
    for await (const said of socket) room.publish({ from: await nameOf(id), ...said });
  }
}

export async function start() {
  const app = createApp({ controllers: [RoomController] });
  const { port } = await app.listen({ port: 0, host: '127.0.0.1' });
  return { port };
}

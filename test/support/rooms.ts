import { Channel, Connection, Controller, Get, Sse, WebSocket, type ChannelDefinition } from 'coequal';

/** A controller that gives a channel in all three kinds, at its own name; `opened` is told of each reader. */
export function roomsOf<T>(
  definition: ChannelDefinition<T>,
  opened: (room: Channel<T>, connection: Connection) => unknown = () => undefined,
): new () => object {
  @Controller(`/${definition.template}`)
  class Rooms {
    @Get()
    kept(@Channel(definition) room: Channel<T>) {
      return room;
    }

    @Sse()
    @WebSocket()
    read(@Channel(definition) room: Channel<T>, @Connection() connection: Connection) {
      opened(room, connection);
      return room;
    }
  }
  return Rooms;
}

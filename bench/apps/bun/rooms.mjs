import { Room, Say, nameOf } from '../../dist/rooms.js';

/** `Bun.serve` by hand: what is said goes out by its own topics. */
export function start() {
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch(request, server) {
      const { searchParams } = new URL(request.url);
      const data = { user: searchParams.get('user'), room: searchParams.get('room') };
      if (!server.upgrade(request, { data })) return new Response('', { status: 426 });
    },
    websocket: {
      open(ws) {
        const { user, room } = ws.data;
        ws.data.leave = Room.of(room).join(
          user,
          (text) => ws.send(text),
          (event, value) => JSON.stringify(value),
        );
        ws.subscribe(room);
      },
      close: (ws) => ws.data.leave(),
      async message(ws, text) {
        const { success, data: said, error } = Say.safeParse(JSON.parse(text));
        if (!success) return void ws.send(JSON.stringify({ errors: error.issues }));
        const { user, room } = ws.data;
        const message = JSON.stringify({ from: await nameOf(user), ...said });
        Room.of(room).keep(message);
        server.publish(room, message);
      },
    },
  });
  return { port: server.port };
}

import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';
import { Room, Say, nameOf } from '../../dist/rooms.js';
import { listening } from '../../lib/listening.mjs';

export async function start() {
  const server = createServer();
  new WebSocketServer({ server }).on('connection', (ws, req) => {
    const { searchParams } = new URL(req.url, 'ws://localhost');
    const user = searchParams.get('user');
    const room = Room.of(searchParams.get('room'));
    const leave = room.join(
      user,
      (text) => ws.send(text),
      (event, value) => JSON.stringify(value),
    );
    ws.on('close', leave);
    ws.on('message', async (data) => {
      const { success, data: said, error } = Say.safeParse(JSON.parse(data.toString()));
      if (!success) return ws.send(JSON.stringify({ errors: error.issues }));
      room.publish(JSON.stringify({ from: await nameOf(user), ...said }));
    });
  });
  return { port: await listening(server) };
}

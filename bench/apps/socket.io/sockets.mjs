import { createServer } from 'node:http';
import { Server } from 'socket.io';
import { listening } from '../../lib/listening.mjs';

/** Its own protocol over WebSocket: packets `42["event",value]`, answered by an event of the same shape. */
export async function start() {
  const server = createServer();
  // Pings are set far apart, so that idle connections are idle.
  const io = new Server(server, { transports: ['websocket'], pingInterval: 600_000, pingTimeout: 600_000 });
  io.use((socket, next) => {
    socket.data.user = { name: 'alice' };
    socket.data.attributes = new Map([['room', 'lobby']]);
    next();
  });
  io.on('connection', (socket) => {
    socket.on('text', (text) => socket.emit('text', text));
    socket.on('json', (value) => socket.emit('json', value));
  });
  return { port: await listening(server), publish: (text) => io.emit('text', text) };
}

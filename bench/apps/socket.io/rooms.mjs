import { createServer } from 'node:http';
import { Server } from 'socket.io';
import { HISTORY, Say, nameOf } from '../../dist/rooms.js';
import { listening } from '../../lib/listening.mjs';

/** Members are the sockets of Socket.IO's room; history is an array. */
export async function start() {
  const server = createServer();
  const io = new Server(server, { transports: ['websocket'], pingInterval: 600_000, pingTimeout: 600_000 });
  const histories = new Map();
  io.on('connection', async (socket) => {
    const { room, user } = socket.handshake.query;
    if (!histories.has(room)) histories.set(room, []);
    const history = histories.get(room);
    socket.data.user = user;
    socket.on('say', async (value) => {
      const { success, data, error } = Say.safeParse(value);
      if (!success) return socket.emit('refused', { errors: error.issues });
      const said = { from: await nameOf(user), ...data };
      if (history.push(said) > HISTORY) history.shift();
      io.to(room).emit('say', said);
    });
    socket.on('disconnect', () => io.to(room).emit('leave', { id: user }));
    for (const said of history) socket.emit('say', said);
    io.to(room).emit('join', { id: user });
    socket.join(room);
    const members = await io.in(room).fetchSockets();
    socket.emit('present', { members: [...new Set(members.map(({ data }) => data.user))] });
  });
  return { port: await listening(server) };
}

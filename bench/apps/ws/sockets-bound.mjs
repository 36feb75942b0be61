import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';
import { listening } from '../../lib/listening.mjs';
import { joinedByTurn } from '../../lib/turn.mjs';

/** No server to use: the frames of one turn are one string, written past `ws` to every connection that it has opened. */
export async function start() {
  const server = createServer();
  const connections = new Set();
  new WebSocketServer({ server }).on('connection', (ws, { socket }) => {
    connections.add(socket);
    ws.on('close', () => connections.delete(socket));
  });
  const write = joinedByTurn((frames) => {
    for (const socket of connections) socket.write(frames, 'latin1');
  });
  return { port: await listening(server), publish: (text) => write(frame(text)) };
}

/** A text of ASCII, and short: its length has one byte. */
function frame(text) {
  return `\x81${String.fromCharCode(text.length)}${text}`;
}

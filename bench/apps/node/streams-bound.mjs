import { createServer } from 'node:http';
import { listening } from '../../lib/listening.mjs';
import { joinedByTurn } from '../../lib/turn.mjs';

/** No server to use: the events of one turn are one chunk, written past the response to every connection. */
export async function start() {
  const connections = new Set();
  const server = createServer((req, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
    res.flushHeaders();
    connections.add(req.socket);
    res.on('close', () => connections.delete(req.socket));
  });
  const write = joinedByTurn((events) => {
    const chunk = `${events.length.toString(16)}\r\n${events}\r\n`;
    for (const socket of connections) socket.write(chunk, 'latin1');
  });
  return { port: await listening(server), publish: (text) => write(`data: ${text}\n\n`) };
}

import { createServer } from 'node:http';
import crossws from 'crossws/adapters/node';
import { listening } from '../../lib/listening.mjs';

export async function start() {
  const sockets = crossws({
    hooks: {
      upgrade(request) {
        if (!request.url.endsWith('/idle')) return undefined;
        if (request.headers.get('authorization') !== 'Bearer alice')
          return new Response(null, { status: 401 });
        return { context: { user: { name: 'alice' }, attributes: new Map([['room', 'lobby']]) } };
      },
      open(peer) {
        if (peer.request.url.endsWith('/ticks')) peer.subscribe('ticks');
      },
      message(peer, message) {
        if (peer.request.url.endsWith('/json')) peer.send(message.json());
        else peer.send(message.text());
      },
    },
  });
  const server = createServer((req, res) => res.writeHead(426).end());
  server.on('upgrade', (req, socket, head) => sockets.handleUpgrade(req, socket, head));
  return { port: await listening(server), publish: (text) => sockets.publish('ticks', text) };
}

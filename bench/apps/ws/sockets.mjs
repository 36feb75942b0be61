import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';
import { listening } from '../../lib/listening.mjs';

/** The baseline of sockets: `ws` by hand, and a loop of `ws.send(string)`. */
export async function start() {
  const server = createServer();
  const wss = new WebSocketServer({ server });
  wss.on('connection', (ws, req) => {
    if (req.url === '/json') ws.on('message', (data) => ws.send(JSON.stringify(JSON.parse(data.toString()))));
    else if (req.url === '/rpc') ws.on('message', (data) => ws.send(call(data.toString())));
    else ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }));
  });
  return {
    port: await listening(server),
    publish(text) {
      for (const ws of wss.clients) ws.send(text);
    },
  };
}

function call(text) {
  const { id, method, params } = JSON.parse(text);
  if (method !== 'echo') {
    return JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32601, message: 'Method not found' } });
  }
  return JSON.stringify({ jsonrpc: '2.0', id, result: params });
}

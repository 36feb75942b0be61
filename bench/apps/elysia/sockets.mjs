import { Elysia } from 'elysia';
import { node } from '@elysiajs/node';
import { freePort } from '../../lib/listening.mjs';

/** On Node, Elysia's own `server.publish` does nothing and messages come as text: a loop, and `JSON.parse`. */
export async function start() {
  const port = await freePort();
  const readers = new Map();
  const app = new Elysia({ adapter: node() })
    .ws('/text', {
      message(ws, text) {
        ws.send(text);
      },
    })
    .ws('/json', {
      message(ws, text) {
        ws.send(JSON.parse(text));
      },
    })
    .ws('/ticks', {
      // Each event comes with another wrapper of the same socket.
      open: (ws) => void readers.set(ws.raw, ws),
      close: (ws) => void readers.delete(ws.raw),
    })
    .ws('/idle', {
      beforeHandle: guard,
      message(ws) {
        ws.send(ws.data.user.name);
      },
    });
  await new Promise((resolve) => app.listen({ port, hostname: '127.0.0.1' }, resolve));
  return {
    port,
    publish(text) {
      for (const ws of readers.values()) ws.send(text);
    },
  };
}

function guard(context) {
  if (context.headers.authorization !== 'Bearer alice') return context.status(401);
  context.user = { name: 'alice' };
  context.attributes = new Map([['room', 'lobby']]);
}

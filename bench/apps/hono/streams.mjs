import { Hono } from 'hono';
import { serve } from '@hono/node-server';
import { streamSSE } from 'hono/streaming';

export async function start() {
  const streams = new Set();
  const app = new Hono();
  app.get('/events', (c) =>
    streamSSE(c, async (stream) => {
      streams.add(stream);
      await new Promise((resolve) => stream.onAbort(resolve));
      streams.delete(stream);
    }),
  );
  const port = await new Promise((resolve) => {
    serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, (address) => resolve(address.port));
  });
  return {
    port,
    publish(text) {
      for (const stream of streams) void stream.writeSSE({ data: text });
    },
  };
}

import { H3, createEventStream } from 'h3';
import { toNodeHandler } from 'h3/node';
import { createServer } from 'node:http';
import { listening } from '../../lib/listening.mjs';

export async function start() {
  const streams = new Set();
  const app = new H3();
  app.get('/events', (event) => {
    const stream = createEventStream(event);
    streams.add(stream);
    stream.onClosed(() => streams.delete(stream));
    // Without a first chunk h3 keeps the head, and the client waits.
    void stream.pushComment('open');
    return stream.send();
  });
  return {
    port: await listening(createServer(toNodeHandler(app))),
    publish(text) {
      for (const stream of streams) void stream.push(text);
    },
  };
}

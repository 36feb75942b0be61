import { createServer } from 'node:http';
import { listening } from '../../lib/listening.mjs';

/** The baseline of event streams: a set of responses, and a loop of `res.write(string)`. */
export async function start() {
  const streams = new Set();
  const server = createServer((req, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
    res.flushHeaders();
    streams.add(res);
    res.on('close', () => streams.delete(res));
  });
  return {
    port: await listening(server),
    publish(text) {
      const event = `data: ${text}\n\n`;
      for (const res of streams) res.write(event);
    },
  };
}

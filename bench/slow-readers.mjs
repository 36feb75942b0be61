import { fork } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
  Channel,
  Channels,
  conflate,
  Connections,
  Controller,
  createApp,
  defineChannel,
  Sse,
  WebSocket,
} from 'coequal';
import { openMany } from './lib/connection.mjs';

// How long a message takes to those who read a channel, without and with others on it that have stopped reading.
// The server has a process of its own: node bench/slow-readers.mjs [readers] [stuck] [messages]
const [READERS, STUCK, MESSAGES] = [900, 100, 200].map((usual, i) => Number(process.argv[i + 2] ?? usual));
const POLICIES = ['close', 'drop-oldest', 'conflate'];
const EVERY = 50;
const now = () => performance.timeOrigin + performance.now();

if (process.send === undefined) await measure();
else await serve();

async function measure() {
  for (const policy of POLICIES) {
    const server = fork(fileURLToPath(import.meta.url));
    const [{ port }] = await once(server, 'message');
    const ask = (question) => (server.send(question), once(server, 'message'));
    const path = `/${policy}`;
    const latencies = [];
    const half = Math.ceil(READERS / 2);
    const readers = [
      ...(await openMany(half, port, { path })),
      ...(await openMany(READERS - half, port, { path, status: 200 })),
    ];
    for (const reader of readers) {
      let rest = '';
      reader.listen((bytes) => {
        const text = rest + bytes.toString('latin1');
        for (const [, at] of text.matchAll(/@([\d.]+)~/g)) latencies.push(now() - at);
        // What is cut in two is read when it is whole.
        rest = text.slice(text.lastIndexOf('~') + 1);
      });
    }
    await ask({ policy, messages: 40 });
    for (const stuck of [0, STUCK]) {
      const clients = Array.from({ length: stuck }, (_, i) => stop(port, `${path}?stuck`, i % 2 === 0));
      await ask({ fill: stuck });
      latencies.length = 0;
      const [{ stats }] = await ask({ policy, messages: MESSAGES });
      for (let i = 0; i < 100 && latencies.length < MESSAGES * READERS; i++) await wait(100);
      if (latencies.length !== MESSAGES * READERS)
        throw new Error(`${latencies.length} deliveries were counted`);
      report(`${policy}, ${stuck} stuck`, latencies, stats);
      for (const client of clients) client.destroy();
    }
    for (const reader of readers) reader.destroy();
    server.kill();
    await once(server, 'exit');
  }
}

/** A client that reads nothing of what it has asked for. */
function stop(port, path, stream) {
  const client = connect(port, '127.0.0.1').on('error', () => client.destroy());
  client.pause();
  const fields = stream
    ? ['Accept: text/event-stream']
    : [
        'Connection: Upgrade',
        'Upgrade: websocket',
        'Sec-WebSocket-Version: 13',
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
      ];
  client.write([`GET ${path} HTTP/1.1`, 'Host: localhost', ...fields, '', ''].join('\r\n'));
  return client;
}

function report(name, latencies, { buffered, messages }) {
  latencies.sort((a, b) => a - b);
  const at = (share) => latencies[Math.floor((latencies.length - 1) * share)].toFixed(1).padStart(6);
  console.log(
    `${name.padEnd(24)} ${READERS} readers, ${MESSAGES} messages: median ${at(0.5)} ms, 99th percentile ${at(0.99)} ms, ` +
      `last ${at(1)} ms; ${(buffered / 1_048_576).toFixed(1)} MiB wait, ${messages.dropped + messages.conflated} skipped`,
  );
}

async function serve() {
  const definitions = {
    close: defineChannel('close'),
    'drop-oldest': defineChannel('drop-oldest', { overflow: 'drop-oldest' }),
    conflate: defineChannel('conflate', { overflow: conflate(() => 'price') }),
  };
  const controllers = Object.entries(definitions).map(([policy, definition]) => {
    class Reads {
      read(channel) {
        return channel;
      }
    }
    const property = Object.getOwnPropertyDescriptor(Reads.prototype, 'read');
    Channel(definition)(Reads.prototype, 'read', 0);
    for (const kind of [Sse, WebSocket]) kind()(Reads.prototype, 'read', property);
    Controller(`/${policy}`)(Reads);
    return Reads;
  });
  // The clients do not answer pings: none is sent.
  const app = createApp({ controllers, limits: { buffered: 131_072 }, heartbeat: 3_600_000 });
  const { port } = await app.listen();
  const answers = {
    /** Sends to the stuck ones, once all are there, until the system takes no more for any. */
    async fill(count) {
      const stuck = () =>
        [...app.container.resolve(Connections)].filter(({ context }) => 'stuck' in context.query);
      while (stuck().length < count) await wait(10);
      for (let fed = stuck(); fed.length > 0; fed = fed.filter(({ behind }) => !behind)) {
        for (const connection of fed) connection.send('x'.repeat(65_536));
        await wait(1);
      }
    },
    async messages(count, { policy }) {
      const channel = app.container.resolve(Channels).of(definitions[policy]);
      for (let i = 0; i < count; i++) {
        channel.publish(`${'x'.repeat(1_000)}@${now()}~`);
        await wait(EVERY);
      }
    },
  };
  process.on('message', async (question) => {
    const name = 'fill' in question ? 'fill' : 'messages';
    await answers[name](question[name], question);
    process.send({ stats: app.stats() });
  });
  process.on('disconnect', () => process.exit(0));
  process.send({ port });
}

import { createServer } from 'node:net';
import { pathToFileURL } from 'node:url';
import { listening } from './listening.mjs';

// A process of its own for one application. The parent speaks over the IPC channel; when it goes, so does this.
const [file, options] = process.argv.slice(2);
const app = await (await import(pathToFileURL(file))).start(JSON.parse(options));

/**
 * One byte from the load process: as many publishes as its low four bits say in one turn of the event loop, to the
 * channel that its high four bits number, where an application has several. Each byte has a turn of its own.
 */
const conductor = createServer((socket) => {
  socket.setNoDelay(true);
  socket.on('error', () => socket.destroy());
  socket.on('data', (bytes) => {
    for (const byte of bytes) setImmediate(burst, byte & 15, byte >> 4);
  });
});

const MESSAGE = `${'x'.repeat(63)}~`;

function burst(count, channel) {
  for (let i = 0; i < count; i++) app.publish(MESSAGE, channel);
}

process.on('message', ({ id, ask }) => process.send({ id, answer: answers[ask]() }));
process.on('disconnect', () => process.exit(0));

const answers = {
  cpu: () => process.cpuUsage(),
  memory() {
    for (let i = 0; i < 4; i++) (globalThis.gc ?? Bun.gc)(true);
    const { rss, heapUsed, external } = process.memoryUsage();
    return { rss, heap: heapUsed + external };
  },
};

const { publish: _publish, ...facts } = app;
process.send({ ready: { ...facts, conductor: await listening(conductor) } });

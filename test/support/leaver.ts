import { once } from 'node:events';
import { connect } from 'node:net';
import { asks } from './doors.js';
import { maskedFrame } from './raw-client.js';
import type { Kind } from 'coequal';

/** How far an exchange goes before its client leaves: bytes to write, and what to wait for before the next. */
export interface Point {
  readonly name: string;
  readonly path: string;
  readonly head?: 'half';
  readonly post?: { length: number; body: string };
  readonly steps: readonly (string | Uint8Array)[];
}

const HERE = '102 Processing';
const BYE = Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]);
const json = (value: unknown): Buffer => maskedFrame(1, JSON.stringify(value));
/** A frame that says more than what comes. */
const half = json({ text: 'half a message' }).subarray(0, 15);

/** Waits are text, writes are bytes. */
export const POINTS: Record<Kind, readonly Point[]> = {
  http: [
    { name: 'with half a head sent', path: '/handler', head: 'half', steps: [] },
    {
      name: 'with a head sent and no body',
      path: '/body?at=guard',
      post: { length: 100, body: '' },
      steps: [HERE],
    },
    {
      name: 'with half a body sent',
      path: '/body?at=guard',
      post: { length: 100, body: 'half' },
      steps: [HERE],
    },
    { name: 'while a guard waits', path: '/handler?at=guard', steps: [HERE] },
    { name: 'while a reader waits', path: '/handler?at=reader', steps: [HERE] },
    { name: 'while the handler waits', path: '/handler', steps: [HERE] },
    { name: 'after the head', path: '/large', steps: ['200 OK'] },
    { name: 'while the answer is streamed', path: '/endless', steps: ['xxx', 'xxx'] },
  ],
  sse: [
    { name: 'with half a head sent', path: '/stream', head: 'half', steps: [] },
    { name: 'while a guard waits', path: '/stream?at=guard', steps: [HERE] },
    { name: 'while a reader waits', path: '/stream?at=reader', steps: [HERE] },
    { name: 'while the handler waits', path: '/stream?at=handler', steps: [HERE] },
    { name: 'before the first event', path: '/stream?at=first', steps: [HERE] },
    { name: 'after the head', path: '/channel', steps: ['200 OK'] },
    { name: 'while events are streamed', path: '/stream', steps: ['data:', 'data:'] },
  ],
  websocket: [
    { name: 'with half a head sent', path: '/once', head: 'half', steps: [] },
    { name: 'while a guard waits', path: '/once?at=guard', steps: [HERE] },
    { name: 'while a reader waits', path: '/once?at=reader', steps: [HERE] },
    { name: 'right after the 101', path: '/channel', steps: ['101 Switching'] },
    { name: 'while the method waits', path: '/once?at=handler', steps: ['opened'] },
    { name: 'with half a message sent', path: '/messages', steps: ['101 Switching', half] },
    {
      name: 'while a message is handled',
      path: '/messages',
      steps: ['101 Switching', json({ text: 'hello' })],
    },
    {
      name: 'while messages wait',
      path: '/messages',
      steps: ['101 Switching', Buffer.concat([1, 2, 3, 4].map(json))],
    },
    {
      name: 'while a call is handled',
      path: '/once',
      steps: ['opened', json({ jsonrpc: '2.0', id: 1, method: 'call' }), 'called'],
    },
    { name: 'while a loop waits for messages', path: '/loop', steps: ['101 Switching', json({}), '{}'] },
    { name: 'while a channel is iterated', path: '/ticks', steps: ['at', 'at'] },
    { name: 'after it has said farewell', path: '/once', steps: ['opened', BYE] },
    { name: 'while the server waits for its farewell', path: '/farewell', steps: ['farewell'] },
  ],
};

/** Opens an exchange, leaves it at the point, and resolves when the connection is gone on this side. */
async function leave(kind: Kind, point: Point, port: number, number: number): Promise<void> {
  // Of many addresses, so that their ports do not run out.
  const from = `127.0.${1 + (number % 50)}.1`;
  const socket = connect({ port, host: '127.0.0.1', localAddress: from, allowHalfOpen: true });
  const gone = once(socket, 'close');
  // A reset by the server is one of its answers.
  socket.on('error', () => undefined);
  let received = '';
  let arrived: () => void = () => undefined;
  socket.on('data', (data: Buffer) => {
    received += data.toString('latin1');
    arrived();
  });
  const path = `/room-${number % 10}${point.path}`;
  const fields = [
    ...asks[kind],
    ...(point.post === undefined ? [] : [`Content-Length: ${point.post.length}`, 'Content-Type: text/plain']),
  ];
  const head = [
    `${point.post === undefined ? 'GET' : 'POST'} ${path} HTTP/1.1`,
    'Host: localhost',
    ...fields,
    '',
    '',
  ].join('\r\n');
  socket.write(point.head === 'half' ? head.slice(0, head.length / 2) : head + (point.post?.body ?? ''));
  for (const step of point.steps) {
    if (typeof step !== 'string') {
      socket.write(step);
      continue;
    }
    while (!received.includes(step)) {
      if (socket.destroyed || socket.readableEnded) throw new Error(`${kind} ${point.name}: ${received}`);
      await new Promise<void>((resolve) => {
        arrived = resolve;
        socket.once('end', resolve).once('close', resolve);
      });
    }
    received = '';
  }
  // The last bytes are on their way: a reset would drop what is still here.
  await new Promise<void>((resolve) => socket.write('', () => resolve()));
  if (number % 2 === 0) socket.resetAndDestroy();
  else socket.end().resume();
  await gone;
}

/** Has clients leave at all points of a kind in turn, some at a time, half of them by FIN and half by RST. */
export async function leaveAll(kind: Kind, url: string, count: number): Promise<void> {
  const port = Number(new URL(url).port);
  const points = POINTS[kind];
  let next = 0;
  const client = async (): Promise<void> => {
    while (next < count) {
      const number = next++;
      const point = points[(number >> 1) % points.length];
      if (point !== undefined) await leave(kind, point, port, number);
    }
  };
  await Promise.all(Array.from({ length: 50 }, client));
}

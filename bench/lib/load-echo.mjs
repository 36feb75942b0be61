import { isDeepStrictEqual } from 'node:util';
import { setTimeout as after } from 'node:timers/promises';
import { DIALECTS, exchange, parsed } from './dialects.mjs';
import { PING, clientFrame } from './frames.mjs';
import { openMany } from './connection.mjs';

/** Messages per second of `connections` sockets, each with `window` messages under way. */
export async function echo({ port, dialect, kind, connections, window, seconds }, held) {
  const { opening, path } = DIALECTS[dialect];
  const sockets = await openMany(connections, port, { path: path(`/${kind}`) }, { opening });
  const { sent, reply } = exchange(dialect, kind);
  const size = await check(sockets[0], sent, reply);

  const frame = clientFrame(sent);
  const bursts = Array.from({ length: window + 1 }, (_, count) => Buffer.concat(Array(count).fill(frame)));
  let total = 0;
  let running = true;
  const states = sockets.map((connection) => {
    const state = { bytes: 0, replies: 0, sent: 0 };
    connection.listen((chunk) => {
      const boundary = (size - (state.bytes % size)) % size;
      state.bytes += chunk.length;
      if (state.bytes % size !== 0) state.bytes -= answerPings(connection, chunk, boundary, size);
      const count = Math.floor(state.bytes / size) - state.replies;
      if (count === 0) return;
      state.replies += count;
      total += count;
      if (!running) return;
      if (count > window) throw new Error(`${count} replies to ${window} messages`);
      state.sent += count;
      connection.socket.write(bursts[count]);
    });
    state.sent = window;
    connection.socket.write(bursts[window]);
    return state;
  });

  await after(seconds * 300);
  await held('begin');
  const [began, before, cpu] = [performance.now(), total, process.cpuUsage()];
  await after(seconds * 1000);
  const elapsed = (performance.now() - began) / 1000;
  const count = total - before;
  const used = process.cpuUsage(cpu);
  await held('end');
  running = false;

  const outstanding = () => states.some((state) => state.bytes !== state.sent * size);
  for (let i = 0; i < 200 && outstanding(); i++) await after(10);
  const wrong = states.filter((state) => state.bytes !== state.sent * size);
  if (wrong.length > 0) {
    const [{ sent: messages, bytes }] = wrong;
    const ended = sockets.filter((connection) => connection.ended !== undefined);
    throw new Error(
      `on ${wrong.length} of ${connections} sockets replies are not what was expected: ` +
        `the first sent ${messages} messages and got ${bytes} bytes, not ${messages * size}; ` +
        `${ended.length} have been closed${ended.length > 0 ? `, ${ended[0].ended.message}` : ''}`,
    );
  }
  for (const connection of sockets) connection.onBytes = undefined;
  await Promise.all(sockets.map((connection) => check(connection, sent, reply)));
  for (const connection of sockets) connection.destroy();
  return { rate: count / elapsed, clientBusy: (used.user + used.system) / 1e6 / elapsed };
}

/** Answers pings among the replies of one chunk, the first of which begins at `at`, and gives their size in bytes. */
function answerPings(connection, chunk, at, size) {
  let pings = 0;
  while (at < chunk.length) {
    if (chunk[at] !== PING) {
      at += size;
      continue;
    }
    const end = at + 2 + chunk[at + 1];
    connection.socket.write(clientFrame(chunk.subarray(at + 2, end), 10));
    pings += end - at;
    at = end;
  }
  return pings;
}

/** One exchange, compared; the size of the reply's frame in bytes. */
async function check(connection, sent, reply) {
  connection.sendText(sent);
  const { text, size } = await connection.message();
  const got = typeof reply === 'string' ? text : parsed(text);
  if (!isDeepStrictEqual(got, reply)) throw new Error(`${sent}\nwas answered with\n${text}`);
  return size;
}

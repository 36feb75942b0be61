import { isDeepStrictEqual } from 'node:util';
import { DIALECTS, exchange, parsed } from './dialects.mjs';
import { PING, clientFrame } from './frames.mjs';
import { openMany } from './connection.mjs';
import { Contestant, contest } from './contest.mjs';

/**
 * Messages per second of `connections` sockets to each target, with `window` messages under way on each, in turns.
 * The first and the last exchange of each connection are compared, and those between are counted by their size.
 */
export async function echo({ targets, kind, connections, window, seconds }, held) {
  return contest(
    targets.map((target, i) => new Talker(target, kind, connections, window, () => held(i))),
    seconds,
  );
}

class Talker extends Contestant {
  #target;
  #count;
  #window;
  #kind;
  #sockets = [];
  #size = 0;
  #bursts = [];
  #done = 0;
  #running = false;
  #waiting = 0;
  #over = undefined;
  #fault = undefined;

  constructor(target, kind, count, window, processor) {
    super(processor);
    this.#target = target;
    this.#kind = kind;
    this.#count = count;
    this.#window = window;
  }

  async open() {
    const { port, dialect } = this.#target;
    const { opening, path } = DIALECTS[dialect];
    this.#sockets = await openMany(this.#count, port, { path: path(`/${this.#kind}`) }, { opening });
    await this.check();
    const frame = clientFrame(exchange(dialect, this.#kind).sent);
    this.#bursts = Array.from({ length: this.#window + 1 }, (_, n) => Buffer.concat(Array(n).fill(frame)));
  }

  /** Sends anew for each reply until the time is over, and waits for the last ones. */
  async work(milliseconds) {
    const began = performance.now();
    const before = this.#done;
    this.#running = true;
    this.#waiting = this.#sockets.length;
    const over = new Promise((resolve, reject) => {
      this.#over = resolve;
      this.#fault = reject;
    });
    for (const socket of this.#sockets) this.#talk(socket);
    const end = setTimeout(() => (this.#running = false), milliseconds);
    const late = setTimeout(() => this.#fault(new Error('replies are missing')), 20_000);
    try {
      await over;
    } finally {
      clearTimeout(end);
      clearTimeout(late);
    }
    return { count: this.#done - before, elapsed: (performance.now() - began) / 1000 };
  }

  #talk(connection) {
    const size = this.#size;
    const state = { bytes: 0, replies: 0, left: this.#window };
    connection.listen((chunk) => {
      const boundary = (size - (state.bytes % size)) % size;
      state.bytes += chunk.length;
      if (state.bytes % size !== 0) state.bytes -= answerPings(connection, chunk, boundary, size);
      const count = Math.floor(state.bytes / size) - state.replies;
      if (count === 0) return;
      if (count > state.left) return this.#fault(new Error(`${count} replies to ${state.left} messages`));
      state.replies += count;
      this.#done += count;
      if (this.#running) connection.socket.write(this.#bursts[count]);
      else if ((state.left -= count) === 0 && --this.#waiting === 0) this.#over();
    });
    connection.socket.write(this.#bursts[this.#window]);
  }

  async check() {
    const { sent, reply } = exchange(this.#target.dialect, this.#kind);
    for (const socket of this.#sockets) {
      socket.onBytes = undefined;
      this.#size = await check(socket, sent, reply);
    }
  }

  close() {
    for (const socket of this.#sockets) socket.destroy();
  }
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

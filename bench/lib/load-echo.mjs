import { setTimeout as after } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { DIALECTS, exchange, parsed } from './dialects.mjs';
import { PING, clientFrame } from './frames.mjs';
import { openMany } from './connection.mjs';
import { Contestant, contest } from './contest.mjs';

/**
 * Messages per second of `connections` sockets to each target, with `window` messages under way on each, in turns.
 * Where `members` sockets share a room, each message goes to all of them, and each of them sends one for `members`
 * that it gets. The first and the last exchange of each connection are compared, and those between are counted by
 * their size.
 */
export async function echo({ targets, seconds, ...task }, held) {
  return contest(
    targets.map((target, i) => new Talker(target, task, () => held(i))),
    seconds,
  );
}

class Talker extends Contestant {
  #target;
  #task;
  #sockets = [];
  #size = 0;
  #bursts = [];
  #replies = 0;
  #due = 0;
  #running = false;
  #over = undefined;
  #fault = undefined;

  constructor(target, task, processor) {
    super(processor);
    this.#target = target;
    this.#task = { members: 1, ...task };
  }

  async open() {
    const { port, dialect } = this.#target;
    const { kind, connections, members, window } = this.#task;
    const { opening, path } = DIALECTS[dialect];
    if (members === 1) {
      this.#sockets = await openMany(connections, port, { path: path(`/${kind}`) }, { opening });
    } else {
      for (let i = 0; i < connections; i++) {
        const target = { path: seat(path, Math.floor(i / members), i % members) };
        this.#sockets.push(...(await openMany(1, port, target, { opening })));
      }
    }
    if (members > 1) await this.#settle();
    await this.check();
    const frame = clientFrame(exchange(dialect, kind).sent);
    const most = window * members + 1;
    this.#bursts = Array.from({ length: most }, (_, n) => Buffer.concat(Array(n).fill(frame)));
  }

  /** History and presence come with the opening, and are not counted. */
  async #settle() {
    for (const socket of this.#sockets) socket.listen(() => {});
    await after(500);
    for (const socket of this.#sockets) socket.onBytes = undefined;
  }

  /** Sends anew for each reply until the time is over, and waits for the last ones. */
  async work(milliseconds) {
    const began = performance.now();
    this.#replies = 0;
    this.#due = 0;
    this.#running = true;
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
    return { count: this.#replies / this.#task.members, elapsed: (performance.now() - began) / 1000 };
  }

  #talk(connection) {
    const size = this.#size;
    const { members, window } = this.#task;
    let bytes = 0;
    let replies = 0;
    let unanswered = 0;
    const send = (count) => {
      this.#due += count * members;
      connection.socket.write(this.#bursts[count]);
    };
    connection.listen((chunk) => {
      const boundary = (size - (bytes % size)) % size;
      bytes += chunk.length;
      if (bytes % size !== 0) bytes -= answerPings(connection, chunk, boundary, size);
      const count = Math.floor(bytes / size) - replies;
      if (count === 0) return;
      replies += count;
      unanswered += count;
      this.#replies += count;
      this.#due -= count;
      if (this.#due < 0) return this.#fault(new Error(`${-this.#due} replies too many`));
      const next = Math.floor(unanswered / members);
      if (this.#running && next > 0) {
        unanswered -= next * members;
        send(next);
      }
      if (!this.#running && this.#due === 0) this.#over();
    });
    send(window);
  }

  /** One exchange at a time, compared by all who get it. */
  async check() {
    const { members } = this.#task;
    for (const socket of this.#sockets) socket.onBytes = undefined;
    for (const [i, sender] of this.#sockets.entries()) {
      const first = i - (i % members);
      const { sent, reply } = exchange(this.#target.dialect, this.#task.kind, i - first);
      sender.sendText(sent);
      for (const receiver of this.#sockets.slice(first, first + members)) {
        this.#size = await check(receiver, sent, reply);
      }
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

/** A reply, compared; the size of its frame in bytes. */
async function check(connection, sent, reply) {
  const { text, size } = await connection.message();
  const got = typeof reply === 'string' ? text : parsed(text);
  if (!isDeepStrictEqual(got, reply)) throw new Error(`${sent}\nwas answered with\n${text}`);
  return size;
}

/** Where a member of a room connects. Protocols with one path for all find the room in the query. */
function seat(path, room, member) {
  const place = path(`/rooms/${room}`);
  return `${place}${place.includes('?') ? '&' : '?'}room=${room}&user=${member}`;
}

import { Backlog } from '../../src/live/connections/backlog.js';
import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { defineChannel } from 'coequal';
import type { Context } from '../../src/core/exchange/context.js';
import { Connection } from '../../src/live/connections/connection.js';
import { Outbox } from '../../src/live/connections/outbox.js';
import { parseCursor } from '../../src/live/encoding/cursor.js';
import { eventObjects } from '../../src/live/encoding/format.js';
import { Message, messageOf } from '../../src/live/encoding/message.js';
import type { EncodedMessage } from '../../src/live/encoding/encoded-message.js';
import { Topics } from '../../src/live/broadcast/topics.js';
import { Lagging, Offsets } from '../support/lagging-broker.js';
import { LONG } from '../support/long.js';

/** Orders of events that each test tries. */
const RUNS = LONG ? 50_000 : 2_000;

const BOUNDS = { messages: 6, age: 50 };
const Room = defineChannel<number>('rooms/:room', { history: BOUNDS });
const ROOMS = ['rooms/a', 'rooms/b'] as const;
const READERS = 3;

describe('a channel that is published to, dropped, resumed, trimmed and restarted in any order', () => {
  it('has no silent gap, no duplicate and no disorder', function () {
    this.timeout(120_000);
    fc.assert(
      fc.property(commands(), (steps) => {
        const world = new World((now) => new Offsets(now));
        for (const step of steps) world.run(step);
        world.finish();
      }),
      { numRuns: RUNS },
    );
  });

  it('has none with a broker that takes its time, and is late with messages and answers alike', async function () {
    this.timeout(240_000);
    await fc.assert(
      fc.asyncProperty(commands(), async (steps) => {
        const world = new World((now) => new Lagging(now));
        for (const step of steps) {
          world.run(step);
          await settled();
        }
        for (let lane = steps.length; world.lag() > 0; lane++) {
          world.advance(lane);
          await settled();
        }
        world.finish();
      }),
      { numRuns: RUNS },
    );
  });
});

/** What happens, and to whom. */
type Step = readonly [action: number, which: number];

function commands(): fc.Arbitrary<Step[]> {
  return fc.array(fc.tuple(fc.nat(19), fc.nat(11)), { minLength: 5, maxLength: 60 });
}

/** Keeps what is sent. */
class Kept extends Outbox {
  readonly messages: Message[] = [];

  override send(value: unknown): boolean {
    return this.messages.push(messageOf(value)) > 0;
  }

  override deliver({ message }: EncodedMessage): void {
    this.messages.push(message);
  }
}

/** A connection that keeps what it is sent, until its client takes it or it is dropped. */
class Wire extends Connection {
  readonly kind = 'sse';
  readonly outbox: Kept;

  constructor(
    context: Context,
    private readonly resumeAt: string | undefined,
  ) {
    super(context);
    this.outbox = new Kept(this, eventObjects, SINK);
  }

  override get resumable(): boolean {
    return true;
  }

  override get cursor(): string | undefined {
    return this.resumeAt;
  }

  close(): void {
    this.finish({ code: 1000, reason: '' });
  }

  override onOverflow(): void {
    throw new Error('nothing waits for this reader');
  }

  override beat(): boolean {
    return true;
  }

  terminate(): void {
    this.close();
  }
}

const SINK = new PassThrough();

/** What a connection asks of its exchange. About two messages fit into what may wait at once. */
const CONTEXT = {
  environment: {
    limits: { buffered: 200 },
    backlog: new Backlog({ buffered: 200, value: 200, bufferedTotal: Infinity }),
    userId: () => undefined,
  },
} as unknown as Context;

/** What a client knows: up to which value it has seen all, and whether it was told that it has not. */
class Client {
  wire: Wire | undefined = undefined;
  cursor: string | undefined = undefined;
  upTo: number | undefined = undefined;
  told = false;

  constructor(readonly room: string) {}

  /** Takes one event, and holds it against what the client has seen. */
  take(world: World): boolean {
    const message = this.wire?.outbox.messages.shift();
    if (message === undefined) return false;
    if (message.event === 'gap') {
      this.told = true;
      return true;
    }
    if (message.id === undefined) throw new Error('a message without a cursor');
    this.cursor = message.id;
    if (message.value === undefined) {
      const top = world.valueAt(this.room, message.id);
      if (this.upTo !== undefined && top > this.upTo && !this.told)
        this.#fail('a silent gap before the top', top);
      if (this.upTo !== undefined && top < this.upTo) this.#fail('a step back', top);
      this.upTo = top;
    } else {
      const value = message.value as number;
      if (this.upTo !== undefined && value <= this.upTo) this.#fail('a duplicate or disorder', value);
      const next = this.upTo === undefined ? value : world.next(this.room, this.upTo);
      if (value !== next && !this.told) this.#fail('a silent gap', value);
      this.upTo = value;
    }
    this.told = false;
    return true;
  }

  #fail(what: string, value: number): never {
    throw new Error(`${what}: ${value} after ${String(this.upTo)} on ${this.room}`);
  }
}

/** The server in its lives, its clients, and the time. */
class World {
  readonly #clients = Array.from({ length: READERS }, (_, i) => new Client(ROOMS[i % 2] ?? ''));
  readonly #published: Record<string, number[]> = { [ROOMS[0]]: [], [ROOMS[1]]: [] };
  #time = 1_000;
  #count = 0;
  #broker: Offsets | Lagging;
  #topics: Topics;
  /** The last value of the lives before. */
  #before = 0;

  constructor(private readonly make: (now: () => number) => Offsets | Lagging) {
    this.#broker = make(() => this.#time);
    this.#topics = this.#listen();
  }

  run([action, which]: Step): void {
    const client = this.#clients[which % READERS];
    if (client === undefined) return;
    if (action < 5) this.#publish(ROOMS[which % 2] ?? '');
    else if (action < 7) this.#connect(client);
    else if (action < 8) this.#drop(client, which);
    else if (action < 10) client.take(this);
    else if (action < 18) this.advance(which);
    else if (action < 19) this.#time += which * 10;
    else if (which < 2) this.#restart();
  }

  lag(): number {
    return this.#broker.lag;
  }

  advance(lane: number): void {
    this.#broker.advance(lane);
  }

  /** Whoever is connected has all that was published, or was told. */
  finish(): void {
    for (const client of this.#clients) {
      while (client.take(this));
      if (client.wire === undefined) continue;
      const last = this.#broker.offsets.values.findLast(({ topic }) => topic === client.room)?.value;
      if (last !== undefined && (client.upTo ?? 0) < last && !client.told) {
        throw new Error(`${last} was lost: the reader of ${client.room} has ${String(client.upTo)}`);
      }
    }
  }

  /** The last value of a room at a cursor. */
  valueAt(room: string, cursor: string): number {
    const offset = parseCursor(cursor)?.offset ?? 0;
    const { values } = this.#broker.offsets;
    return values.findLast((one) => one.topic === room && one.offset <= offset)?.value ?? this.#before;
  }

  /** The value that follows another one in its room. */
  next(room: string, value: number): number | undefined {
    return this.#published[room]?.find((one) => one > value);
  }

  #publish(room: string): void {
    this.#published[room]?.push(++this.#count);
    this.#topics.publish(room, new Message(this.#count), { bytes: Infinity, ...BOUNDS });
  }

  #connect(client: Client): void {
    client.wire?.close();
    client.wire = new Wire(CONTEXT, client.cursor);
    // What was told on the connection before is told again, or is not so.
    client.told = false;
    this.#topics.subscribe(client.room, Room, client.wire);
  }

  /** The connection breaks; some of what was on its way still arrives. */
  #drop(client: Client, arriving: number): void {
    for (let i = 0; i < arriving % 4; i++) client.take(this);
    client.wire?.close();
    client.wire = undefined;
  }

  #restart(): void {
    for (const client of this.#clients) this.#drop(client, 0);
    this.#before = this.#count;
    this.#broker = this.make(() => this.#time);
    this.#topics = this.#listen();
  }

  #listen(): Topics {
    return new Topics(this.#broker, (error) => {
      throw error;
    });
  }
}

/** Promises that wait for one another have all gone on. */
async function settled(): Promise<void> {
  for (let i = 0; i < 8; i++) await Promise.resolve();
}

import type { Writable } from 'node:stream';
import { bytesAccepted, bytesReceived, isBlocked } from '../../core/node/tcp-progress.js';

/** A connection that is asked for signs of life. */
interface Beating {
  /** Asks the peer for a sign of life. False if there was none since the last heartbeat. */
  beat(interval: number): boolean;
  terminate(): void;
}

/** The connections that are asked in the same tick. */
export type Slot = Set<Beating>;

/** All connections are asked within one interval: in slots, so that no tick has to ask all of them. */
const SLOTS = 16;

/** One timer for the heartbeats of all connections. A peer that was silent for a whole interval is cut. */
export class Heartbeat {
  readonly #slots: Slot[] = Array.from({ length: SLOTS }, () => new Set<Beating>());
  #tick = 0;
  #next = 0;
  #timer: NodeJS.Timeout | undefined = undefined;

  constructor(
    /** Milliseconds between two heartbeats of one connection. */
    private readonly interval: number,
  ) {}

  /** Returns the slot of the connection, which has to leave it when it ends. */
  add(connection: Beating): Slot {
    const slot = this.#slots[this.#next++ % SLOTS] as Slot;
    slot.add(connection);
    if (this.#timer === undefined) {
      this.#timer = setInterval(() => this.#beat(), this.interval / SLOTS);
      this.#timer.unref();
    }
    return slot;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #beat(): void {
    for (const connection of this.#slots[this.#tick++ % SLOTS] ?? []) {
      if (!connection.beat(this.interval)) connection.terminate();
    }
  }
}

/** Bytes a second that count as a slow line, and the bytes of our own ping. */
const SLOW_LINE = 4_000;
const PING_BYTES = 2;

/** The signs of life of one peer. */
export class Pulse {
  /** Whether the peer has sent a message or a pong since the last heartbeat. */
  alive = true;
  /** At the last heartbeat: bytes received, bytes that the system had accepted, and whether more waited. */
  #received = 0;
  #accepted = 0;
  #blocked = false;
  /** Bytes that may still be on their way to the peer although the system has accepted them. */
  #underway = 0;

  /**
   * Whether bytes have moved since the last heartbeat, `interval` milliseconds ago: some have come, or the system has accepted
   * some of those that waited. Our own pings do not count: the system accepts what little there is for a peer that is gone, too.
   * A large message that it has accepted takes its time on a slow line, and so does the answer to a ping behind it.
   */
  hasProgressed(stream: Writable, interval: number): boolean {
    const [received, total, blocked] = [bytesReceived(stream), bytesAccepted(stream), isBlocked(stream)];
    const accepted = total - this.#accepted;
    const heard = received !== this.#received;
    const sent = heard ? accepted : this.#underway + accepted;
    this.#underway = Math.max(0, sent - PING_BYTES - (SLOW_LINE * interval) / 1_000);
    const progressed = heard || (this.#blocked && accepted > 0) || (!blocked && this.#underway > 0);
    this.#received = received;
    this.#accepted = total;
    this.#blocked = blocked;
    return progressed;
  }
}

import type { Writable } from 'node:stream';
import type { Limits } from '../../core/exchange/limits.js';
import { bytesAccepted, isBlocked } from '../../core/node/tcp-progress.js';

declare module '../../core/exchange/environment.js' {
  interface Environment {
    /** The readers that are behind. */
    readonly backlog: Backlog;
  }
}

/** The outbox of a reader that is behind. */
interface Reader {
  readonly owner: {
    readonly closed: unknown;
    /** The reader takes nothing: brings what waits within `limits.buffered`, or closes the connection. */
    onStalled(): void;
  };
  readonly sink: Writable;
  /** All bytes that wait for the reader. */
  readonly waiting: number;
}

interface State {
  accepted: number;
  /** For how many checks in a row the reader has taken nothing. */
  silent: number;
}

/** A reader is behind from so many waiting bytes on; from half of `limits.buffered` on where that is less. */
const HIGH_WATER_MARK = 65_536;
/** Milliseconds between two checks. */
const INTERVAL = 100;
/** A reader that has taken nothing for so many checks has stalled: two seconds. */
const PATIENCE = 20;

/**
 * Bounds what waits for readers that are behind. A reader has stalled if it takes nothing while more than `limits.buffered`
 * waits for it: checks are counted, not time, so that a pause of this process makes no reader look slow. What waits is
 * always bounded: for each reader by `limits.buffered` and one value, and for all by `limits.bufferedTotal`, where those that
 * have taken nothing for the longest go first.
 */
export class Backlog {
  readonly highWaterMark: number;
  readonly #readers = new Map<Reader, State>();
  #total = 0;
  #timer: NodeJS.Timeout | undefined = undefined;

  constructor(private readonly limits: Pick<Limits, 'buffered' | 'bufferedTotal' | 'value'>) {
    this.highWaterMark = Math.min(HIGH_WATER_MARK, limits.buffered / 2);
  }

  /** How many bytes may wait for any one reader. */
  get most(): number {
    return this.limits.buffered + this.limits.value;
  }

  /** Counts `bytes` more for a reader for which `waiting` bytes wait with them. False if they are too many. */
  grow(reader: Reader, bytes: number, waiting: number): boolean {
    if (waiting > this.most) return false;
    if (!this.#readers.has(reader)) {
      this.#readers.set(reader, { accepted: bytesAccepted(reader.sink), silent: 0 });
      this.#total += waiting;
      this.#timer ??= setInterval(() => this.#check(true), INTERVAL).unref();
    } else {
      this.#total += bytes;
    }
    if (this.#total > this.limits.bufferedTotal) this.#check(false);
    return reader.owner.closed === undefined;
  }

  /** How many bytes may wait for a reader before its subscriptions drop messages. */
  allowance(reader: Reader): number {
    const state = this.#readers.get(reader);
    return state !== undefined && state.silent >= PATIENCE ? this.limits.buffered : this.most;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Finds the readers that have taken nothing since the last check. Only the checks of the timer count. */
  #check(counts: boolean): void {
    const silent: [Reader, State][] = [];
    let total = 0;
    for (const [reader, state] of this.#readers) {
      const { owner, sink, waiting } = reader;
      if (owner.closed !== undefined || waiting < this.highWaterMark) {
        this.#readers.delete(reader);
        continue;
      }
      total += waiting;
      const accepted = bytesAccepted(sink);
      if (accepted !== state.accepted || !isBlocked(sink)) {
        state.accepted = accepted;
        state.silent = 0;
      } else {
        if (counts) state.silent++;
        if (state.silent > 0) silent.push([reader, state]);
      }
    }
    this.#total = total;
    this.#relieve(silent);
    if (this.#readers.size === 0) this.stop();
  }

  #relieve(silent: [Reader, State][]): void {
    for (const [reader, state] of silent.sort(([, a], [, b]) => b.silent - a.silent)) {
      const { waiting } = reader;
      const hasStalled = state.silent >= PATIENCE && waiting > this.limits.buffered;
      if (!hasStalled && this.#total <= this.limits.bufferedTotal) continue;
      state.silent = Math.max(state.silent, PATIENCE);
      reader.owner.onStalled();
      this.#total -= waiting - reader.waiting;
    }
  }
}

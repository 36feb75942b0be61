import type { Limits } from '../../core/exchange/limits.js';

declare module '../../core/exchange/environment.js' {
  interface Environment {
    /** The readers for whom much waits. */
    readonly backlog: Backlog;
  }
}

/** A reader for whom much waits. */
interface Waiting {
  readonly closed: unknown;
  readonly buffered: number;
  readonly highWater: number;
  /** How many bytes it has taken so far. */
  taken(): number;
  /** Whether it is the reader that holds up what waits. */
  blocked(): boolean;
  /** It takes nothing: what waits for it is brought within `limits.buffered`, by its policies. */
  stalled(): void;
}

interface State {
  taken: number;
  /** For how many looks in a row it has taken nothing. */
  silent: number;
}

/** Milliseconds between two looks at the readers for whom much waits. */
const INTERVAL = 100;
/** After so many looks at which it had taken nothing a reader counts as stuck: two seconds. */
const PATIENCE = 20;

/**
 * The readers for whom much waits. A reader is slow if it takes nothing while more than `limits.buffered` waits for
 * it: looks are counted, not time, so that a process that was busy itself takes nobody for slow. What waits is bounded
 * all the same: for each reader by `limits.buffered` and one value, and for all by `limits.bufferedTotal`, where those
 * that have taken nothing for the longest go first.
 */
export class Backlog {
  readonly #waiting = new Map<Waiting, State>();
  #total = 0;
  #timer: NodeJS.Timeout | undefined = undefined;

  constructor(private readonly limits: Pick<Limits, 'buffered' | 'bufferedTotal' | 'value'>) {}

  /** How many bytes may wait for any one reader. */
  get most(): number {
    return this.limits.buffered + this.limits.value;
  }

  /** More than a little waits for the reader, by so many bytes more than before. False says that it is too much. */
  grows(reader: Waiting, bytes: number, waiting: number): boolean {
    if (waiting > this.most) return false;
    if (!this.#waiting.has(reader)) {
      this.#waiting.set(reader, { taken: reader.taken(), silent: 0 });
      this.#total += waiting;
      this.#timer ??= setInterval(() => this.#look(true), INTERVAL).unref();
    } else {
      this.#total += bytes;
    }
    if (this.#total > this.limits.bufferedTotal) this.#look(false);
    return reader.closed === undefined;
  }

  /** How many bytes may wait for a reader before its policy decides what it loses. */
  allowance(reader: Waiting): number {
    const state = this.#waiting.get(reader);
    return state !== undefined && state.silent >= PATIENCE ? this.limits.buffered : this.most;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Looks at who has taken something since the last time; a look that counts is one of the timer's. */
  #look(counts: boolean): void {
    const stuck: [Waiting, State][] = [];
    let total = 0;
    for (const [reader, state] of this.#waiting) {
      const { buffered } = reader;
      if (reader.closed !== undefined || buffered < reader.highWater) {
        this.#waiting.delete(reader);
        continue;
      }
      total += buffered;
      const taken = reader.taken();
      if (taken !== state.taken || !reader.blocked()) {
        state.taken = taken;
        state.silent = 0;
      } else {
        if (counts) state.silent++;
        if (state.silent > 0) stuck.push([reader, state]);
      }
    }
    this.#total = total;
    this.#giveUp(stuck);
    if (this.#waiting.size === 0) this.stop();
  }

  #giveUp(stuck: [Waiting, State][]): void {
    for (const [reader, state] of stuck.sort(([, a], [, b]) => b.silent - a.silent)) {
      const waits = reader.buffered;
      const alone = state.silent >= PATIENCE && waits > this.limits.buffered;
      if (!alone && this.#total <= this.limits.bufferedTotal) continue;
      state.silent = Math.max(state.silent, PATIENCE);
      reader.stalled();
      this.#total -= waits - reader.buffered;
    }
  }
}

import type { Broker, GapReason, Member, Replay, RevokeTarget } from './broker.js';
import { formatCursor, newEpoch, nonceOf, parseCursor } from './cursor.js';
import { History, type HistoryBounds } from './history.js';
import { Message } from './message.js';

const SWEEP = 1_000;

/** The broker of a single process: in memory, and at once. */
export class LocalBroker implements Broker {
  readonly #epoch = newEpoch();
  readonly #receivers = new Map<string, (message: Message) => void>();
  readonly #histories = new Map<string, History>();
  readonly #present = new Map<string, Map<string, { member: Member; connections: number }>>();
  /** From how many histories on those that time has emptied are looked for. */
  #sweepAt = SWEEP;
  readonly #revokers: ((target: RevokeTarget, reason: string) => void)[] = [];
  /** One count for all channels: a channel that is forgotten and comes back never repeats an offset. */
  #offset = 0;
  /** Up to where forgotten channels had lost messages: those who come back to one are told rather than misled. */
  #forgotten = 0;

  constructor(private readonly now: () => number = Date.now) {}

  /** How many channels have a history here. */
  get kept(): number {
    return this.#histories.size;
  }

  publish(topic: string, message: Message, bounds: HistoryBounds | undefined): void {
    let kept = message;
    if (bounds !== undefined) {
      const offset = ++this.#offset;
      kept = new Message(message.value, message.event, this.#cursor(topic, offset), message.retry);
      this.#history(topic, bounds).append(offset, kept);
    }
    this.#receivers.get(topic)?.(kept);
  }

  attach(topic: string, receive: (message: Message) => void): void {
    this.#receivers.set(topic, receive);
  }

  detach(topic: string): void {
    this.#receivers.delete(topic);
    this.#forget(topic);
  }

  replay(topic: string, cursor: string | undefined): Replay {
    const history = this.#histories.get(topic);
    const top = this.#cursor(topic, this.#offset);
    if (cursor === undefined) return { messages: history?.after(0) ?? [], gap: undefined, top };
    const position = parseCursor(cursor);
    let gap: GapReason | undefined;
    if (position === undefined || position.nonce !== nonceOf(topic)) gap = 'unknown';
    else if (position.epoch !== this.#epoch) gap = 'epoch';
    else if (position.offset > this.#offset) gap = 'unknown';
    else if (position.offset < this.#trimmed(topic)) gap = 'trimmed';
    const after = gap === undefined && position !== undefined ? position.offset : 0;
    return { messages: history?.after(after) ?? [], gap, top };
  }

  join(topic: string, member: Member): boolean {
    let members = this.#present.get(topic);
    if (members === undefined) this.#present.set(topic, (members = new Map()));
    const entry = members.get(member.id);
    if (entry !== undefined) {
      entry.connections++;
      return false;
    }
    members.set(member.id, { member, connections: 1 });
    return true;
  }

  leave(topic: string, id: string): boolean {
    const members = this.#present.get(topic);
    const entry = members?.get(id);
    if (members === undefined || entry === undefined || --entry.connections > 0) return false;
    members.delete(id);
    if (members.size === 0) this.#present.delete(topic);
    return true;
  }

  members(topic: string): Member[] {
    return [...(this.#present.get(topic)?.values() ?? [])].map(({ member }) => member);
  }

  revoke(target: RevokeTarget, reason: string): void {
    for (const listener of this.#revokers) listener(target, reason);
  }

  onRevoke(listener: (target: RevokeTarget, reason: string) => void): void {
    this.#revokers.push(listener);
  }

  close(): void {
    this.#receivers.clear();
    this.#histories.clear();
    this.#present.clear();
  }

  #history(topic: string, bounds: HistoryBounds): History {
    let history = this.#histories.get(topic);
    if (history === undefined) {
      if (this.#histories.size >= this.#sweepAt) this.#sweep();
      history = new History(bounds, this.#forgotten, this.now);
      this.#histories.set(topic, history);
    }
    return history;
  }

  /** An empty history costs nothing, if nobody reads the channel. */
  #forget(topic: string): void {
    const history = this.#histories.get(topic);
    if (history === undefined || !history.empty || this.#receivers.has(topic)) return;
    this.#forgotten = Math.max(this.#forgotten, history.trimmed);
    this.#histories.delete(topic);
  }

  /** Each is looked at again only when there are twice as many: the cost is shared by those that came. */
  #sweep(): void {
    for (const topic of this.#histories.keys()) this.#forget(topic);
    this.#sweepAt = Math.max(SWEEP, this.#histories.size * 2);
  }

  #trimmed(topic: string): number {
    const history = this.#histories.get(topic);
    return history === undefined ? this.#forgotten : history.trimmed;
  }

  #cursor(topic: string, offset: number): string {
    return formatCursor({ epoch: this.#epoch, nonce: nonceOf(topic), offset });
  }
}

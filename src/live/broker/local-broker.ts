import type { Broker, GapReason, Member, Replay } from './broker.js';
import type { RevokeTarget } from '../connections/revocations.js';
import { formatCursor, newEpoch, nonceOf, parseCursor } from '../encoding/cursor.js';
import { History, type HistoryBounds } from './history.js';
import type { Message } from '../encoding/message.js';

/** From how many histories on the broker looks for expired ones. */
const SWEEP = 1_000;

/** The memory of a channel besides its messages and its name, in bytes. */
const NAME = 500;

/** The default broker: in memory, synchronous, for one process. */
export class LocalBroker implements Broker {
  readonly #epoch = newEpoch();
  readonly #receivers = new Map<string, (message: Message) => void>();
  readonly #histories = new Map<string, History>();
  /** By topic and member id: one entry per connection, in the order of joining. */
  readonly #present = new Map<string, Map<string, Member[]>>();
  /** The number of histories at which the broker looks for expired ones next. */
  #sweepAt = SWEEP;
  readonly #revokers: ((target: RevokeTarget, reason: string) => void)[] = [];
  /** One counter for all channels: a channel that is forgotten and used again never repeats an offset. */
  #offset = 0;
  /** The highest offset that a forgotten channel has lost: readers that resume below it get a gap. */
  #forgotten = 0;

  /** The weight of all histories in bytes. */
  #weight = 0;

  constructor(
    private readonly now: () => number = Date.now,
    /** The maximum weight of all histories in bytes. */
    private readonly most = Infinity,
  ) {}

  /** The number of channels with a history. */
  get kept(): number {
    return this.#histories.size;
  }

  /** The approximate size of the histories in bytes, and the number of their channels. */
  get history(): { bytes: number; channels: number } {
    return { bytes: this.#weight, channels: this.#histories.size };
  }

  publish(topic: string, message: Message, bounds: HistoryBounds | undefined): void {
    let kept = message;
    if (bounds !== undefined) {
      const offset = ++this.#offset;
      kept = message.at(this.#cursor(topic, offset));
      this.#keep(topic, bounds, offset, kept);
    }
    this.#receivers.get(topic)?.(kept);
    kept.forgetJson();
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
    // Trims by age first.
    if (history !== undefined) this.#isEmpty(history);
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
    const connections = members.get(member.id);
    if (connections === undefined) members.set(member.id, [member]);
    else connections.push(member);
    return connections === undefined;
  }

  leave(topic: string, member: Member): boolean {
    const members = this.#present.get(topic);
    const connections = members?.get(member.id);
    const position = connections?.lastIndexOf(member) ?? -1;
    if (members === undefined || connections === undefined || position === -1) return false;
    connections.splice(position, 1);
    if (connections.length > 0) return false;
    members.delete(member.id);
    if (members.size === 0) this.#present.delete(topic);
    return true;
  }

  members(topic: string): Member[] {
    return [...(this.#present.get(topic)?.values() ?? [])].flatMap((connections) => connections.at(-1) ?? []);
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
    this.#weight = 0;
  }

  #keep(topic: string, bounds: HistoryBounds, offset: number, message: Message): void {
    const history = this.#history(topic, bounds);
    // The map is ordered by the latest message of each channel: the quietest comes first.
    this.#histories.delete(topic);
    this.#histories.set(topic, history);
    this.#weigh(history, () => history.append(offset, message));
    for (const [quietest, other] of this.#histories) {
      if (this.#weight <= this.most || other === history) break;
      this.#forgotten = Math.max(this.#forgotten, other.last);
      this.#delete(quietest, other);
    }
    if (this.#weight > this.most) this.#weigh(history, () => history.shrink(this.most - NAME - topic.length));
  }

  /** Applies a change to a history and updates the total weight: messages may expire meanwhile. */
  #weigh(history: History, change: () => void): void {
    this.#weight -= history.weight;
    change();
    this.#weight += history.weight;
  }

  #isEmpty(history: History): boolean {
    let empty = false;
    this.#weigh(history, () => (empty = history.empty));
    return empty;
  }

  #delete(topic: string, history: History): void {
    this.#histories.delete(topic);
    this.#weight -= history.weight + NAME + topic.length;
  }

  #history(topic: string, bounds: HistoryBounds): History {
    let history = this.#histories.get(topic);
    if (history === undefined) {
      if (this.#histories.size >= this.#sweepAt) this.#sweep();
      history = new History(bounds, this.#forgotten, this.now);
      this.#histories.set(topic, history);
      this.#weight += NAME + topic.length;
    }
    return history;
  }

  /** Deletes an empty history of a channel without readers. */
  #forget(topic: string): void {
    const history = this.#histories.get(topic);
    if (history === undefined || !this.#isEmpty(history) || this.#receivers.has(topic)) return;
    this.#forgotten = Math.max(this.#forgotten, history.trimmed);
    this.#delete(topic, history);
  }

  /** Runs next when the number of histories has doubled, so that its cost per new history is constant. */
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

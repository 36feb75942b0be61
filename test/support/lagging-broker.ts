import type { Broker, HistoryBounds, Member, RevokeTarget } from 'coequal';
import { LocalBroker } from '../../src/live/broker/local-broker.js';
import type { Message } from '../../src/live/encoding/message.js';

/** The broker in memory; it keeps a record of which value has which offset. */
export class Offsets extends LocalBroker {
  readonly values: { topic: string; offset: number; value: number }[] = [];

  override publish(topic: string, message: Message, bounds: HistoryBounds | undefined): void {
    this.values.push({ topic, offset: this.values.length + 1, value: message.value as number });
    super.publish(topic, message, bounds);
  }

  get offsets(): Offsets {
    return this;
  }

  advance(_lane: number): void {}

  get lag(): number {
    return 0;
  }
}

type Lane = (() => void)[];

/** A broker elsewhere: requests, attachments, answers and messages have a way each, on which they keep their order. */
export class Lagging implements Broker {
  readonly offsets: Offsets;
  readonly #asked: Lane = [];
  readonly #attaching: Lane = [];
  readonly #answers: Lane = [];
  readonly #messages: Lane = [];

  constructor(now: () => number) {
    this.offsets = new Offsets(now);
  }

  get lag(): number {
    return this.#lanes.reduce((sum, { length }) => sum + length, 0);
  }

  /** Lets one thing happen, of the lane that is named if it has any. */
  advance(lane: number): void {
    const named = this.#lanes[lane % this.#lanes.length];
    const chosen = named?.length === 0 ? this.#lanes.find(({ length }) => length > 0) : named;
    chosen?.shift()?.();
  }

  get #lanes(): Lane[] {
    return [this.#asked, this.#messages, this.#answers, this.#attaching];
  }

  publish(topic: string, message: Message, bounds: HistoryBounds | undefined): Promise<void> {
    return this.#ask(() => this.offsets.publish(topic, message, bounds));
  }

  attach(topic: string, receive: (message: Message) => void): Promise<void> {
    const later = (message: Message): void => void this.#messages.push(() => receive(message));
    return this.#ask(() => this.offsets.attach(topic, later), this.#attaching);
  }

  detach(topic: string): Promise<void> {
    return this.#ask(() => this.offsets.detach(topic), this.#attaching);
  }

  replay(topic: string, cursor: string | undefined): ReturnType<Broker['replay']> {
    return this.#ask(() => this.offsets.replay(topic, cursor));
  }

  join(topic: string, member: Member): Promise<boolean> {
    return this.#ask(() => this.offsets.join(topic, member));
  }

  leave(topic: string, member: Member): Promise<boolean> {
    return this.#ask(() => this.offsets.leave(topic, member));
  }

  members(topic: string): Promise<Member[]> {
    return this.#ask(() => this.offsets.members(topic));
  }

  revoke(target: RevokeTarget, reason: string): Promise<void> {
    return this.#ask(() => this.offsets.revoke(target, reason));
  }

  onRevoke(): void {}

  close(): void {}

  #ask<T>(work: () => T, lane = this.#asked): Promise<T> {
    return new Promise((resolve) => {
      lane.push(() => {
        const answer = work();
        this.#answers.push(() => resolve(answer));
      });
    });
  }
}

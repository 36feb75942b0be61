import type { Message } from '../encoding/message.js';

/** How much a channel keeps; the bound that is reached first applies. */
export interface HistoryBounds {
  /** Messages. */
  readonly messages: number;
  /** Bytes: of text, of bytes, of JSON text, or of a structured clone if the value has no JSON form. */
  readonly bytes: number;
  /** Milliseconds. */
  readonly age: number;
}

interface Kept {
  readonly offset: number;
  readonly message: Message;
  readonly bytes: number;
  readonly at: number;
}

/** The memory of a kept message besides its value, in bytes. */
const OVERHEAD = 200;

/** The last messages of one channel, within its bounds. */
export class History {
  #kept: Kept[] = [];
  /** The index of the oldest message: trimmed ones are removed from the array in batches. */
  #head = 0;
  #bytes = 0;

  constructor(
    private readonly bounds: HistoryBounds,
    private gone: number,
    private readonly now: () => number = Date.now,
  ) {}

  /** The offset up to which messages were trimmed: a reader behind it has missed some. */
  get trimmed(): number {
    this.#trim();
    return this.gone;
  }

  /** The approximate memory in bytes. */
  get weight(): number {
    return this.#bytes + (this.#kept.length - this.#head) * OVERHEAD;
  }

  /** The offset of the newest message. */
  get last(): number {
    return this.#kept.at(-1)?.offset ?? this.gone;
  }

  /** Drops the oldest messages until the rest weighs at most `weight` bytes. */
  shrink(weight: number): void {
    while (this.weight > weight && this.#head < this.#kept.length) this.#shift();
  }

  get empty(): boolean {
    this.#trim();
    return this.#head === this.#kept.length;
  }

  append(offset: number, message: Message): void {
    const bytes = message.size;
    this.#kept.push({ offset, message, bytes, at: this.now() });
    this.#bytes += bytes;
    this.#trim();
  }

  /** Messages after an offset, oldest first. */
  after(offset: number): Message[] {
    this.#trim();
    return this.#kept
      .slice(this.#head)
      .filter((kept) => kept.offset > offset)
      .map(({ message }) => message);
  }

  #shift(): void {
    const first = this.#kept[this.#head] as Kept;
    this.#head++;
    this.#bytes -= first.bytes;
    this.gone = first.offset;
  }

  #trim(): void {
    const { messages, bytes, age } = this.bounds;
    const oldest = this.now() - age;
    for (let first = this.#kept[this.#head]; first !== undefined; first = this.#kept[this.#head]) {
      const count = this.#kept.length - this.#head;
      if (count <= messages && this.#bytes <= bytes && first.at >= oldest) break;
      this.#shift();
    }
    if (this.#head > 64 && this.#head * 2 > this.#kept.length) {
      this.#kept = this.#kept.slice(this.#head);
      this.#head = 0;
    }
  }
}

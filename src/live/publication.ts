import type { Format } from './format.js';
import type { Frame } from './frame.js';
import type { Message } from './message.js';

/** One message on its way to many: encoded once for each format, however many receive it. */
export class Publication {
  #format: Format | undefined = undefined;
  #frame: Frame | undefined = undefined;
  #others: Map<Format, Frame | undefined> | undefined = undefined;
  /** What the encoder threw, for the publisher. */
  failure: { error: unknown } | undefined = undefined;

  constructor(readonly message: Message) {}

  /** The message in a format; undefined where it cannot be encoded, which `failure` tells the publisher. */
  frame(format: Format): Frame | undefined {
    if (format === this.#format) return this.#frame;
    if (this.#format === undefined) {
      this.#format = format;
      return (this.#frame = this.#encode(format));
    }
    const others = (this.#others ??= new Map());
    if (!others.has(format)) others.set(format, this.#encode(format));
    return others.get(format);
  }

  #encode(format: Format): Frame | undefined {
    try {
      return format.encode(this.message);
    } catch (error) {
      this.failure ??= { error };
      return undefined;
    }
  }
}

import type { Format } from './format.js';
import type { Frame } from './frame.js';
import type { Message } from './message.js';

interface Encoded {
  readonly payload: string | Uint8Array;
  frame: Frame | undefined;
}

/** One message on its way to many: encoded once for each format, and framed once, however many receive it. */
export class Publication {
  #format: Format | undefined = undefined;
  #encoded: Encoded | undefined = undefined;
  #others: Map<Format, Encoded | undefined> | undefined = undefined;
  /** What the encoder threw, for the publisher. */
  failure: { error: unknown } | undefined = undefined;

  constructor(readonly message: Message) {}

  /** The message in a format; undefined where it cannot be encoded, which `failure` tells the publisher. */
  frame(format: Format): Frame | undefined {
    const encoded = this.#in(format);
    return encoded && (encoded.frame ??= format.frame(encoded.payload));
  }

  /** The message in a format, for those who frame it themselves; undefined as above. */
  payload(format: Format): string | Uint8Array | undefined {
    return this.#in(format)?.payload;
  }

  #in(format: Format): Encoded | undefined {
    if (format === this.#format) return this.#encoded;
    if (this.#format === undefined) {
      this.#format = format;
      return (this.#encoded = this.#encode(format));
    }
    const others = (this.#others ??= new Map());
    if (!others.has(format)) others.set(format, this.#encode(format));
    return others.get(format);
  }

  #encode(format: Format): Encoded | undefined {
    try {
      return { payload: format.payload(this.message), frame: undefined };
    } catch (error) {
      this.failure ??= { error };
      return undefined;
    }
  }
}

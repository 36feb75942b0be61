import type { Format } from './format.js';
import { tooLarge, type Frame } from './frame.js';
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
  #exceeds = false;

  constructor(
    readonly message: Message,
    /** Bytes that the encoded message may have. */
    private readonly most = Infinity,
  ) {}

  /** Whether the message has too many bytes in one of the formats: its publisher is told before anybody receives it. */
  isTooLarge(readers: Iterable<{ readonly format?: Format }>): boolean {
    // The formats differ by less than that: an escape or the name of a field for each character at the most.
    const limit = this.most / 8;
    for (const { format } of readers) {
      if (format === undefined) continue;
      const payload = this.payload(format);
      if (this.#exceeds) return true;
      if (payload !== undefined && payload.length * 3 < limit) return false;
    }
    return false;
  }

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
      const payload = format.payload(this.message);
      if (payload.length * 3 > this.most) {
        const bytes = Buffer.byteLength(payload);
        this.#exceeds ||= bytes > this.most;
        if (bytes > this.most) throw tooLarge(bytes, this.most);
      }
      return { payload, frame: undefined };
    } catch (error) {
      this.failure ??= { error };
      return undefined;
    }
  }
}

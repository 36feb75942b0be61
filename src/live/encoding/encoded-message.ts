import { isBlob } from '../../core/base/bytes.js';
import type { Format } from './format.js';
import { tooLarge, type Frame } from './frame.js';
import type { Message } from './message.js';

interface Encoding {
  readonly payload: string | Uint8Array;
  frame: Frame | undefined;
}

/** One message on its way to many: encoded once for each format, and framed once, however many receive it. */
export class EncodedMessage {
  #format: Format | undefined = undefined;
  #encoded: Encoding | undefined = undefined;
  #others: Map<Format, Encoding | undefined> | undefined = undefined;
  /** What the encoder threw, for the publisher. */
  failure: { error: unknown } | undefined = undefined;
  #exceeds = false;
  /** Bytes of the Blob that the message is, read or not: what waits weighs the same all the time. */
  readonly blobSize: number | undefined;
  /** The Blob that is to be read before the message can be encoded. */
  #blob: Blob | undefined;
  #read: Promise<void> | undefined = undefined;

  constructor(
    public message: Message,
    /** Bytes that the encoded message may have. */
    private readonly most = Infinity,
    /** Learns of a failure that comes after the message was handed on, as that of a Blob does. */
    private readonly onFailure?: (error: unknown) => void,
  ) {
    const { value } = message;
    this.#blob = isBlob(value) ? value : undefined;
    this.blobSize = this.#blob?.size;
  }

  /** Whether there is a Blob to be read first. */
  get unread(): boolean {
    return this.#blob !== undefined;
  }

  /** Reads the Blob, once for all readers. Where that fails the message cannot be encoded. */
  read(): Promise<void> {
    return (this.#read ??= this.#readBlob());
  }

  async #readBlob(): Promise<void> {
    try {
      const bytes = await this.#blob?.arrayBuffer();
      if (bytes !== undefined) this.message = this.message.withBytes(new Uint8Array(bytes));
      this.#blob = undefined;
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    if (this.failure !== undefined) return;
    this.failure = { error };
    if (this.blobSize !== undefined) this.onFailure?.(error);
  }

  /** Whether the message has too many bytes in one of the formats: its publisher is told before anybody receives it. */
  isTooLarge(readers: Iterable<{ readonly format?: Format }>): boolean {
    const { blobSize = 0 } = this;
    if (blobSize > this.most) this.failure = { error: tooLarge(blobSize, this.most) };
    if (this.#blob !== undefined) return blobSize > this.most;
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

  #in(format: Format): Encoding | undefined {
    if (format === this.#format) return this.#encoded;
    if (this.#format === undefined) {
      this.#format = format;
      return (this.#encoded = this.#encode(format));
    }
    const others = (this.#others ??= new Map());
    if (!others.has(format)) others.set(format, this.#encode(format));
    return others.get(format);
  }

  #encode(format: Format): Encoding | undefined {
    // It could not be read, which `failure` says already.
    if (this.#blob !== undefined) return undefined;
    try {
      const payload = format.payload(this.message);
      if (payload.length * 3 > this.most) {
        const bytes = Buffer.byteLength(payload);
        this.#exceeds ||= bytes > this.most;
        if (bytes > this.most) throw tooLarge(bytes, this.most);
      }
      return { payload, frame: undefined };
    } catch (error) {
      this.#fail(error);
      return undefined;
    }
  }
}

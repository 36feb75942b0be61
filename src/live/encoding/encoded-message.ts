import { isBlob } from '../../core/base/bytes.js';
import type { Format } from './format.js';
import { tooLarge, type Frame } from './frame.js';
import type { Message } from './message.js';

interface Encoding {
  readonly payload: string | Uint8Array;
  frame: Frame | undefined;
}

/** A message for many readers: encoded and framed once per format. */
export class EncodedMessage {
  readonly #encodings = new Map<Format, Encoding | undefined>();
  /** The first error of encoding, for the publisher. */
  failure: { error: unknown } | undefined = undefined;
  #exceeds = false;
  /** The size of the Blob that the message carries, the same before and after it is read. */
  readonly blobSize: number | undefined;
  /** The Blob to read before the message can be encoded. */
  #blob: Blob | undefined;
  #read: Promise<void> | undefined = undefined;

  constructor(
    public message: Message,
    /** The maximum size of the encoded message in bytes. */
    private readonly most = Infinity,
    /** Called for a failure after the message was delivered, such as that of reading a Blob. */
    private readonly onFailure?: (error: unknown) => void,
  ) {
    const { value } = message;
    this.#blob = isBlob(value) ? value : undefined;
    this.blobSize = this.#blob?.size;
  }

  /** Whether a Blob must be read first. */
  get unread(): boolean {
    return this.#blob !== undefined;
  }

  /** Reads the Blob, once for all readers. If that fails, the message cannot be encoded. */
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

  /** Whether the message is too large in one of the readers' formats. Call it before delivery, so that no reader gets it. */
  isTooLarge(readers: Iterable<{ readonly format?: Format }>): boolean {
    const { blobSize = 0 } = this;
    if (blobSize > this.most) this.failure = { error: tooLarge(blobSize, this.most) };
    if (this.#blob !== undefined) return blobSize > this.most;
    // Formats differ in size by less than a factor of 8: at most one escape or field name per character.
    const limit = this.most / 8;
    for (const { format } of readers) {
      if (format === undefined) continue;
      const payload = this.payload(format);
      if (this.#exceeds) return true;
      if (payload !== undefined && payload.length * 3 < limit) return false;
    }
    return false;
  }

  /** The framed message in a format; undefined if it cannot be encoded, with `failure` set. */
  frame(format: Format): Frame | undefined {
    const encoded = this.#in(format);
    return encoded && (encoded.frame ??= format.frame(encoded.payload));
  }

  /** The message in a format, unframed; undefined as above. */
  payload(format: Format): string | Uint8Array | undefined {
    return this.#in(format)?.payload;
  }

  #in(format: Format): Encoding | undefined {
    if (!this.#encodings.has(format)) this.#encodings.set(format, this.#encode(format));
    return this.#encodings.get(format);
  }

  #encode(format: Format): Encoding | undefined {
    // Reading the Blob failed, and `failure` is set.
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

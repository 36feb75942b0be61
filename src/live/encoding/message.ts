import { serialize } from 'node:v8';
import { bytesOf, isBlob } from '../../core/base/bytes.js';

/** A value that is sent, and its fields in an event stream. */
export class Message {
  #json: string | undefined = undefined;

  constructor(
    readonly value: unknown,
    /** The name of the event; none for plain messages. */
    readonly event?: string,
    /** The cursor by which a reader resumes after it. */
    readonly id?: string,
    /** Milliseconds after which a stream's reader reconnects. */
    readonly retry?: number,
  ) {
    if (event !== undefined) refuseBreaks('event', event);
    if (id !== undefined) refuseBreaks('id', id);
    if (retry !== undefined && !(Number.isInteger(retry) && retry >= 0)) {
      throw new TypeError(`retry must be whole milliseconds, not ${String(retry)}`);
    }
  }

  /** @internal The JSON text of the value. */
  get json(): string {
    return this.#json ?? json(this.value);
  }

  /** @internal The same message with a cursor. */
  at(cursor: string): Message {
    const message = new Message(this.value, this.event, cursor, this.retry);
    message.#json = this.#json;
    return message;
  }

  /** @internal The same message with the bytes of its Blob. */
  withBytes(bytes: Uint8Array): Message {
    return new Message(bytes, this.event, this.id, this.retry);
  }

  /** @internal Drops the JSON text that `size` has made: a message that is kept holds its value alone. */
  forgetJson(): void {
    this.#json = undefined;
  }

  /** @internal Bytes of the value: of text, of bytes, of its JSON text, or of a structured clone of what has no JSON form. */
  get size(): number {
    const { value } = this;
    if (typeof value === 'object') {
      const bytes = bytesOf(value);
      if (bytes !== undefined) return bytes.byteLength;
      if (isBlob(value)) return value.size;
    }
    try {
      return Buffer.byteLength(typeof value === 'string' ? value : (this.#json ??= json(value)));
    } catch (error) {
      // Readers of other formats still receive it; where it cannot be encoded, the publisher gets the error.
      if (error instanceof Error) return cloneSize(value);
      throw error;
    }
  }
}

/** Bytes of a value that other formats can encode: `bigint`, maps, and circles. A value that cannot be cloned counts as 0. */
function cloneSize(value: unknown): number {
  try {
    return serialize(value).byteLength;
  } catch {
    return 0;
  }
}

/** Fields of an event in an event stream (HTML standard, section 9.2). */
export interface EventFields {
  /** The name of the event; `message` by default. */
  event?: string;
  /** The id that a browser returns as `Last-Event-ID` when it reconnects. */
  id?: string;
  /** Milliseconds after which a browser reconnects. */
  retry?: number;
}

/**
 * Gives an event a name, an id and a reconnect delay. Event streams send the fields; sockets send the bare value, or all fields
 * with the subprotocol `coequal.events`.
 *
 * @throws TypeError for a line break or NUL in `event` or `id`, which would forge further fields, and for a `retry` that is not a
 * whole number of milliseconds
 * @example
 * ```ts
 * yield event(price, { event: 'price', id: '7' });
 * ```
 */
export function event(data: unknown, { event: name, id, retry }: EventFields = {}): Message {
  return new Message(data, name, id, retry);
}

/** The value as a message; a message stays as it is. */
export function messageOf(value: unknown): Message {
  return value instanceof Message ? value : new Message(value);
}

function refuseBreaks(field: string, text: string): void {
  if (typeof text !== 'string' || hasBreak(text)) {
    throw new TypeError(`the ${field} of an event must not contain a line break or NUL`);
  }
}

function hasBreak(text: string): boolean {
  return text.includes('\n') || text.includes('\r') || text.includes('\0');
}

/** JSON text of a value. @throws TypeError for a value without one, for example a function. */
export function json(value: unknown): string {
  const text = JSON.stringify(value) as string | undefined;
  if (text === undefined) throw new TypeError(`a ${typeof value} cannot be sent: it has no JSON form`);
  return text;
}

import { createHash, randomBytes } from 'node:crypto';

/** The position of a reader: the epoch of the broker, the channel, and the message that it has received last. */
export interface Position {
  readonly epoch: string;
  readonly nonce: string;
  readonly offset: number;
}

const FORM = /^([\w-]{8})\.([\w-]{8})\.([0-9a-z]{1,11})$/;

/** Begins an epoch of a broker. Cursors of earlier epochs are recognized. */
export function newEpoch(): string {
  return randomBytes(6).toString('base64url');
}

/** Distinguishes the cursors of one channel from those of all others. */
export function nonceOf(topic: string): string {
  return createHash('sha256').update(topic).digest('base64url').slice(0, 8);
}

/** A position as clients keep it: opaque, and at most 64 characters. */
export function formatCursor({ epoch, nonce, offset }: Position): string {
  return `${epoch}.${nonce}.${offset.toString(36)}`;
}

/** Whether a message comes after a cursor of its channel. Messages of another epoch do. */
export function isAfter(id: string | undefined, cursor: string): boolean {
  if (id === undefined) return true;
  const [one, other] = [parseCursor(id), parseCursor(cursor)];
  if (one === undefined || other === undefined || one.epoch !== other.epoch) return id !== cursor;
  return one.offset > other.offset;
}

/** Undefined for text that is not a cursor. */
export function parseCursor(text: string): Position | undefined {
  const match = FORM.exec(text);
  if (match === null) return undefined;
  const [, epoch = '', nonce = '', offset = ''] = match;
  const number = Number.parseInt(offset, 36);
  return Number.isSafeInteger(number) ? { epoch, nonce, offset: number } : undefined;
}

/** The cursor that a client sends. Two at once make an unknown one, so that the reader learns of the gap. */
export function cursorIn(field: string | string[] | undefined): string | undefined {
  return field === undefined || field === '' ? undefined : String(field);
}

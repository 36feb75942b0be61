import { types } from 'node:util';

/**
 * The bytes that a value stands for: of an `ArrayBuffer`, a `SharedArrayBuffer`, a `DataView` or any other view,
 * of this realm or another, without a copy. Undefined for everything else.
 */
export function bytesOf(value: unknown): Uint8Array | undefined {
  if (value instanceof Uint8Array) return value;
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  return types.isAnyArrayBuffer(value) ? new Uint8Array(value) : undefined;
}

/** Whether a value is a `Blob` or a `File`, Node's own or that of another package: its bytes come later. */
export function isBlob(value: unknown): value is Blob {
  if (typeof value !== 'object' || value === null) return false;
  const { arrayBuffer } = value as Partial<Blob>;
  // What most values lack is asked for first: each message passes here.
  if (typeof arrayBuffer !== 'function') return false;
  if (value instanceof Blob) return true;
  const { stream, size } = value as Partial<Blob>;
  return (
    TAGS.has(Object.prototype.toString.call(value)) &&
    typeof stream === 'function' &&
    typeof size === 'number'
  );
}

const TAGS: ReadonlySet<string> = new Set(['[object Blob]', '[object File]']);

import { types } from 'node:util';

/**
 * The bytes of an `ArrayBuffer`, a `SharedArrayBuffer`, a `DataView` or any other view, of any realm, without a copy.
 * Undefined for other values.
 */
export function bytesOf(value: unknown): Uint8Array | undefined {
  if (value instanceof Uint8Array) return value;
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  return types.isAnyArrayBuffer(value) ? new Uint8Array(value) : undefined;
}

/** Whether a value is a `Blob` or a `File` of Node or of another package. Its bytes are read asynchronously. */
export function isBlob(value: unknown): value is Blob {
  if (typeof value !== 'object' || value === null) return false;
  const { arrayBuffer } = value as Partial<Blob>;
  // Most values fail this check, so it comes first: it runs for each message.
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

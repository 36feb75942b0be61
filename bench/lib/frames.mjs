/** The first byte of a server's ping. */
export const PING = 0x89;

/** A whole text frame of a client, RFC 6455, with a fixed mask: it is built once and sent many times. */
export function clientFrame(text, opcode = 1) {
  const payload = Buffer.from(text);
  const mask = [0x12, 0x34, 0x56, 0x78];
  const long = payload.length > 125;
  if (payload.length > 65_535) throw new RangeError('the client sends short messages only');
  const head = long
    ? [0x80 | opcode, 0x80 | 126, payload.length >> 8, payload.length & 255, ...mask]
    : [0x80 | opcode, 0x80 | payload.length, ...mask];
  return Buffer.concat([Buffer.from(head), payload.map((byte, i) => byte ^ mask[i & 3])]);
}

/** The first frame of a server in `bytes`: `{ opcode, text, size }`, or undefined while it is not whole. */
export function serverFrame(bytes) {
  if (bytes.length < 2) return undefined;
  if ((bytes[1] & 0x80) !== 0) throw new Error('a server must not mask');
  let length = bytes[1] & 127;
  let start = 2;
  if (length === 126) {
    if (bytes.length < 4) return undefined;
    length = bytes.readUInt16BE(2);
    start = 4;
  } else if (length === 127) {
    throw new Error('the client expects short messages only');
  }
  const size = start + length;
  if (bytes.length < size) return undefined;
  return { opcode: bytes[0] & 15, text: bytes.toString('utf8', start, size), size };
}

import { bytesOf } from '../../core/base/bytes.js';
import { binaryFrame, shared, textFrame, type Frame } from './frame.js';
import { json, Message } from './message.js';

/** Replaces JSON on a socket, for example by MessagePack. */
export interface Codec {
  /** Encodes a value that is sent: as text for a string, as binary for bytes. */
  encode(value: unknown): string | Uint8Array;
  /** Decodes a message. If it throws, the client gets `{ error }` with a 400. */
  decode(data: string | Buffer): unknown;
}

/** How messages become bytes on one kind of connection. Each format is one object, so that its frames can be shared. */
export interface Format {
  /** A message without its frame. @throws what the encoder throws. */
  payload(message: Message): string | Uint8Array;
  /** A message that is only a value, as most are. */
  plain(value: unknown): string | Uint8Array;
  /** The bytes of a payload on the connection. */
  frame(payload: string | Uint8Array): Frame;
}

/** An event stream, in the format of the HTML standard, section 9.2.5. */
export const eventStream: Format = {
  payload: fields,
  plain: (value) => fields(new Message(value)),
  frame(payload) {
    if (typeof payload !== 'string') return Buffer.from(payload);
    return Buffer.byteLength(payload) === payload.length ? shared(payload) : Buffer.from(payload);
  },
};

/** A comment, so that proxies do not close a quiet stream. */
export const HEARTBEAT_COMMENT: Frame = ':\n\n';

/** The JSON that measuring a message for its history has made is not made again. */
const bare: Format = {
  payload: (message) => asItIs(message.value) ?? message.json,
  plain: (value) => asItIs(value) ?? json(value),
  frame: messageFrame,
};
const bareByCodec = new WeakMap<Codec, Format>();

/** Bare values on a socket: text as text, bytes as bytes, all else by the codec. Routes with the same codec share one. */
export function bareFormat(codec: Codec | undefined): Format {
  if (codec === undefined) return bare;
  let format = bareByCodec.get(codec);
  if (format === undefined) bareByCodec.set(codec, (format = bareBy((value) => codec.encode(value))));
  return format;
}

/** The subprotocol `coequal.events`: the fields of an event stream, as JSON. */
export const EVENTS_PROTOCOL = 'coequal.events';

export const eventObjects: Format = {
  payload: ({ id, event, retry, value }) =>
    json({ id, event, retry, data: bytesOf(value) === undefined ? value : textOf(value) }),
  plain: (value) => eventObjects.payload(new Message(value)),
  frame: messageFrame,
};

function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  if (value === undefined) return '';
  const bytes = bytesOf(value);
  if (bytes !== undefined) return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
  return json(value);
}

/** Makes each line of the data a field of its own: a bare CR or LF would end the field, and forge another. */
function lines(text: string): string {
  return text.includes('\n') || text.includes('\r') ? text.replace(/\r\n|\r|\n/g, '\ndata: ') : text;
}

function fields(message: Message): string {
  const { value, event, id, retry } = message;
  let text = '';
  if (event !== undefined) text += `event: ${event}\n`;
  if (id !== undefined) text += `id: ${id}\n`;
  if (retry !== undefined) text += `retry: ${retry}\n`;
  if (value !== undefined || event !== undefined || text === '')
    text += `data: ${lines(typeof value === 'object' && asItIs(value) === undefined ? message.json : textOf(value))}\n`;
  return `${text}\n`;
}

/** Text and bytes, which no codec encodes. */
function asItIs(value: unknown): string | Uint8Array | undefined {
  if (typeof value === 'string') return value;
  return typeof value === 'object' ? bytesOf(value) : undefined;
}

function bareBy(encode: (value: unknown) => string | Uint8Array): Format {
  const plain = (value: unknown): string | Uint8Array => asItIs(value) ?? encode(value);
  return { payload: ({ value }) => plain(value), plain, frame: messageFrame };
}

function messageFrame(payload: string | Uint8Array): Frame {
  return typeof payload === 'string' ? textFrame(payload) : binaryFrame(payload);
}

import { CLOSE, skim } from './frame.js';
import { FrameModel, readSent, type Reply, type Sent } from './frame-model.js';
import { readAnswers } from './http-answers.js';
import { allClosed, Wire, within } from './wire.js';

/** The limit of a message in the target. */
const LIMIT = 4_096;

/** Pings of one conversation: one who sends more than 60 of them at once is taken by ws for a flood, and cut. */
const PINGS = 40;

/** The bytes of one connection, and what is to come back. */
export interface Conversation {
  readonly bytes: Buffer;
  readonly expected: readonly Sent[];
  /** Whether the server is to close. */
  readonly over: boolean;
}

/** Shares inputs out among connections: where the server is to close, the rest goes on a new one. */
export function conversations(inputs: readonly Buffer[], reply: Reply): Conversation[] {
  const all: Conversation[] = [];
  let model = new FrameModel(LIMIT, reply);
  let bytes: Buffer[] = [];
  for (const input of inputs) {
    bytes.push(input);
    const { over, sent } = model.feed(input);
    if (!over && sent.filter((one) => one.startsWith('pong:')).length < PINGS) continue;
    all.push({ bytes: Buffer.concat(bytes), expected: sent, over });
    model = new FrameModel(LIMIT, reply);
    bytes = [];
  }
  if (bytes.length > 0) all.push({ bytes: Buffer.concat(bytes), expected: model.sent, over: false });
  return all;
}

export interface Way {
  port: number;
  path: string;
  /** Bytes that are written at once; 0 for all of them. */
  piece: number;
  /** Whether frames come together with the handshake. */
  together: boolean;
  /** Header fields of the handshake beyond those that it needs. */
  fields?: readonly string[];
}

/**
 * Opens a socket for each, brings the bytes, waits for the close where there is to be one, leaves, and gives what came
 * back. @throws Error where one was refused.
 */
export async function converse(
  all: readonly Conversation[],
  { port, path, piece, together, fields = [] }: Way,
): Promise<Sent[][]> {
  const lines = [`GET ${path} HTTP/1.1`, ...HANDSHAKE, ...fields, '', ''];
  const handshake = Buffer.from(lines.join('\r\n'));
  const talk = async ({ bytes, over }: Conversation): Promise<Wire> => {
    const wire = await Wire.open(port);
    if (together) await wire.write(Buffer.concat([handshake, bytes]), piece);
    else await wire.write(handshake);
    // Who leaves before the 101 is taken for a client that has given up.
    await wire.until((received) => received.includes('\r\n\r\n'));
    if (!together) await wire.write(bytes, piece);
    if (over) await wire.until(hasClose);
    wire.leave();
    return wire;
  };
  const wires = await within(Promise.all(all.map(talk)), () => 'no answer to a handshake, or no close');
  await allClosed(wires);
  return wires.map(({ received }) => {
    const { answers, rest } = readAnswers(received);
    if (rest === undefined) throw new Error(`the handshake was refused with ${answers[0]?.status}`);
    return readSent(rest, { rsv1: fields.length > 0 });
  });
}

/** Whether a close frame has come. */
function hasClose(received: Buffer): boolean {
  for (let at = received.indexOf('\r\n\r\n') + 4; at + 1 < received.length;) {
    const { opcode, next } = skim(received, at);
    if (opcode === CLOSE) return true;
    at = next;
  }
  return false;
}

const HANDSHAKE = [
  'Host: localhost',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
];

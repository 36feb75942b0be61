import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { mistreated } from '../../support/canary.js';
import { deflated, packed, packedFragments, Unpacker } from '../../support/deflated.js';
import { BINARY_PATHS, Echoes, QUIET, TEXT_PATHS } from '../../support/echoes.js';
import {
  BINARY,
  CLOSE,
  CONTINUATION,
  frame,
  PING,
  PONG,
  says,
  text,
  TEXT,
  Wire,
} from '../../support/ws-wire.js';

const DEFLATE = 'Sec-WebSocket-Extensions: permessage-deflate';
const MIB = 1_048_576;
const letters = (size: number): string => 'abcdefghij'.repeat(Math.ceil(size / 10)).slice(0, size);

describe('Frames', () => {
  const { server, log, holds } = mistreated({
    controllers: [Echoes],
    heartbeat: QUIET,
    perMessageDeflate: true,
  });

  async function fails(
    path: string,
    sent: readonly Uint8Array[],
    code: number,
    chop = Infinity,
  ): Promise<void> {
    const wire = await Wire.open(server, path, DEFLATE);
    if (chop === Infinity) wire.write(...sent);
    else await wire.chop(chop, ...sent);
    expect(await wire.rest()).to.deep.equal([says.close(code)]);
    expect(log.lines.map(({ message }) => message)).to.deep.equal(['the socket failed']);
  }

  describe('broken compression', () => {
    for (const path of TEXT_PATHS) {
      const [first, second] = packedFragments(TEXT, 'frag and ment', 2) as [Buffer, Buffer];
      const broken: [name: string, frames: Buffer[], code: number][] = [
        ['RSV1 on a continuation', [first, frame(CONTINUATION, 'x', { rsv: 4 })], 1002],
        [
          'RSV1 on a continuation of plain text',
          [text('x', { fin: false }), frame(CONTINUATION, 'x', { rsv: 4 })],
          1002,
        ],
        ['RSV1 on a ping', [frame(PING, 'x', { rsv: 4 })], 1002],
        ['RSV1 on a pong', [frame(PONG, 'x', { rsv: 4 })], 1002],
        ['RSV1 on a close', [frame(CLOSE, '', { rsv: 4 })], 1002],
        ['RSV2', [text('x', { rsv: 2 })], 1002],
        ['RSV3 with RSV1', [text('x', { rsv: 5 })], 1002],
        ['a reserved opcode with RSV1', [frame(3, 'x', { rsv: 4 })], 1002],
        ['a compressed message without a mask', [text('x', { rsv: 4, mask: 'none' })], 1002],
        ['a new message within a compressed one', [first, packed(TEXT, 'x'), second], 1002],
        ['garbage', [frame(TEXT, Buffer.alloc(100, 0xff), { rsv: 4 })], 1007],
        ['a block of a type that there is not', [frame(TEXT, Buffer.from([0x07, 0x00]), { rsv: 4 })], 1007],
        ['a reference to what was never sent', [packed(TEXT, letters(500), letters(500))], 1007],
        ['garbage in a second fragment', [first, frame(CONTINUATION, Buffer.alloc(100, 0xff))], 1007],
        ['what is no UTF-8 once it is unpacked', [packed(TEXT, Buffer.from([0xc3, 0x28]))], 1007],
        ['text that is cut within a letter', [packed(TEXT, Buffer.from([0xe2, 0x82]))], 1007],
      ];
      for (const [name, frames, code] of broken) {
        holds(`${name} closes the socket with ${code} (${path})`, () => fails(path, frames, code));
        holds(`${name}, byte by byte, closes the socket with ${code} (${path})`, () =>
          fails(path, frames, code, 1),
        );
        holds(`${name} behind a compressed message: the message is answered first (${path})`, async () => {
          const wire = await Wire.open(server, path, DEFLATE);
          // What is not of this message must not be referred to by what comes behind it.
          wire.write(packed(TEXT, 'good'), ...frames);
          expect(new Unpacker().payload(await wire.next()).toString()).to.equal('good');
          expect(await wire.rest()).to.deep.equal([says.close(code)]);
        });
      }
    }

    holds('RSV1 closes a socket with 1002 that was opened without compression', async () => {
      const wire = await Wire.open(server, '/text');
      wire.write(text('plain'), packed(TEXT, 'x'));
      expect(await wire.rest()).to.deep.equal([says.text('plain'), says.close(1002)]);
    });
    holds('a client that has agreed to forget may not refer to what came before', async () => {
      const wire = await Wire.open(server, '/text', `${DEFLATE}; client_no_context_takeover`);
      wire.write(packed(TEXT, letters(500)));
      await wire.next();
      wire.write(packed(TEXT, letters(500), letters(500)));
      expect(await wire.rest()).to.deep.equal([says.close(1007)]);
    });
  });

  describe('bombs', () => {
    for (const path of BINARY_PATHS) {
      holds(`65,537 bytes in a few close the socket with 1009 (${path})`, () =>
        fails(path, [packed(BINARY, Buffer.alloc(65_537))], 1009),
      );
      holds(`50 MiB in 50 KiB close the socket with 1009 (${path})`, () =>
        fails(path, [packed(BINARY, Buffer.alloc(50 * MIB))], 1009),
      );
      holds(`too much by the sum of compressed fragments closes the socket with 1009 (${path})`, () =>
        fails(
          path,
          packedFragments(BINARY, Buffer.concat([randomBytes(20_000), Buffer.alloc(50_000)]), 4),
          1009,
        ),
      );
      holds(
        `a bomb behind a message closes the socket with 1009, and the message is answered (${path})`,
        async () => {
          const wire = await Wire.open(server, path, DEFLATE);
          wire.write(packed(BINARY, 'good'), packed(BINARY, Buffer.alloc(MIB)));
          expect(new Unpacker().payload(await wire.next()).toString()).to.equal('good');
          expect(await wire.rest()).to.deep.equal([says.close(1009)]);
        },
      );
    }

    holds('fifty bombs of 50 MiB at once are unpacked no further than the limit', async () => {
      const bomb = frame(BINARY, deflated(Buffer.alloc(50 * MIB)), { rsv: 4 });
      const wires = await Promise.all(Array.from({ length: 50 }, () => Wire.open(server, '/bytes', DEFLATE)));
      const before = process.memoryUsage().arrayBuffers;
      let most = 0;
      const looking = setInterval(
        () => (most = Math.max(most, process.memoryUsage().arrayBuffers - before)),
        1,
      );
      for (const wire of wires) wire.write(bomb);
      for (const heard of await Promise.all(wires.map((wire) => wire.rest()))) {
        expect(heard).to.deep.equal([says.close(1009)]);
      }
      clearInterval(looking);
      // Unpacked they would be 2,500 MiB; as they are on the way, read and written, they are 5.
      expect(most, 'bytes').to.be.below(100 * MIB);
    });
  });
});

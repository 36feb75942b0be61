import { expect } from 'chai';
import { Controller, Socket, WebSocket } from 'coequal';
import { binaryFrame, textFrame } from '../../src/live/encoding/frame.js';
import { servers } from '../support/doors.js';

const BORDERS = [0, 1, 125, 126, 127, 65_535, 65_536, 70_000];

describe('frames', () => {
  const serve = servers();

  @Controller('/frames')
  class Frames {
    @WebSocket('/text')
    text(@Socket() socket: Socket) {
      for (const length of BORDERS) socket.send('a'.repeat(length));
    }

    @WebSocket('/beyond-ascii')
    beyond(@Socket() socket: Socket) {
      for (const length of BORDERS) socket.send('é€😀'.repeat(length / 9));
    }

    @WebSocket('/bytes')
    bytes(@Socket() socket: Socket) {
      for (const length of BORDERS) socket.send(new Uint8Array(length).fill(7));
    }

    @WebSocket('/mixed')
    mixed(@Socket() socket: Socket) {
      for (const value of ['a', 'é', Buffer.from([1, 2]), { b: 'ü' }, '', 'z'.repeat(70_000), 'end'])
        socket.send(value);
    }
  }

  it('of text are read by a client at each border of the length field', async () => {
    const socket = await serve({ controllers: [Frames] }).socket('/frames/text');
    for (const length of BORDERS) expect(await socket.next(), `${length}`).to.equal('a'.repeat(length));
  });

  it('of text beyond ASCII hold bytes of UTF-8, counted as such', async () => {
    const socket = await serve({ controllers: [Frames] }).socket('/frames/beyond-ascii');
    for (const length of BORDERS)
      expect(await socket.next(), `${length}`).to.equal('é€😀'.repeat(length / 9));
  });

  it('of bytes arrive as bytes', async () => {
    const socket = await serve({ controllers: [Frames] }).socket('/frames/bytes');
    for (const length of BORDERS) {
      const message = await socket.next();
      expect(Buffer.isBuffer(message), `${length}`).to.equal(true);
      expect(message).to.deep.equal(Buffer.alloc(length, 7));
    }
  });

  it('of several sorts in one turn arrive whole and in order', async () => {
    const socket = await serve({ controllers: [Frames] }).socket('/frames/mixed');
    const got: (string | Buffer)[] = [];
    while (got.at(-1) !== 'end') got.push(await socket.next());
    expect(got).to.deep.equal(['a', 'é', Buffer.from([1, 2]), '{"b":"ü"}', '', 'z'.repeat(70_000), 'end']);
  });

  it('take the shortest form of the length (RFC 6455, section 5.2)', () => {
    for (const [length, head] of [
      [125, 2],
      [126, 4],
      [65_535, 4],
      [65_536, 10],
    ] as const) {
      expect(textFrame('a'.repeat(length)).length - length, `text of ${length}`).to.equal(head);
      expect(binaryFrame(new Uint8Array(length)).length - length, `${length} bytes`).to.equal(head);
      expect(textFrame('é'.repeat(length)).length - 2 * length).to.equal(
        2 * length < 126 ? 2 : 2 * length < 65_536 ? 4 : 10,
      );
    }
  });
});

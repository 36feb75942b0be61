import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { mistreated } from '../../support/canary.js';
import { packed, packedFragments, Unpacker } from '../../support/deflated.js';
import { BINARY_PATHS, Echoes, QUIET, TEXT_PATHS } from '../../support/echoes.js';
import { BINARY, close, frame, ping, pong, says, text, TEXT, Wire } from '../../support/ws-wire.js';

const DEFLATE = 'Sec-WebSocket-Extensions: permessage-deflate';
const letters = (size: number): string => 'abcdefghij'.repeat(Math.ceil(size / 10)).slice(0, size);

const offers: [offered: string, agreed: string | undefined][] = [
  ['permessage-deflate', 'permessage-deflate'],
  ['permessage-deflate; client_max_window_bits', 'permessage-deflate'],
  ['permessage-deflate; client_max_window_bits=10', 'permessage-deflate; client_max_window_bits=10'],
  ['permessage-deflate; server_max_window_bits=10', 'permessage-deflate; server_max_window_bits=10'],
  ['permessage-deflate; server_max_window_bits="15"', 'permessage-deflate; server_max_window_bits=15'],
  ['permessage-deflate ; server_max_window_bits = 8', 'permessage-deflate; server_max_window_bits=8'],
  ['permessage-deflate; server_no_context_takeover', 'permessage-deflate; server_no_context_takeover'],
  ['permessage-deflate; client_no_context_takeover', 'permessage-deflate; client_no_context_takeover'],
  ['x-unknown, permessage-deflate', 'permessage-deflate'],
  ['permessage-deflate; x, permessage-deflate', 'permessage-deflate'],
  [
    'permessage-deflate; server_max_window_bits=7, permessage-deflate; server_max_window_bits=9',
    'permessage-deflate; server_max_window_bits=9',
  ],
  // What cannot be accepted is declined, and the socket opens without it (RFC 7692, section 7).
  ['permessage-deflate; x', undefined],
  ['permessage-deflate; constructor', undefined],
  ['permessage-deflate; __proto__=1', undefined],
  ['permessage-deflate; server_max_window_bits', undefined],
  ['permessage-deflate; server_max_window_bits=7', undefined],
  ['permessage-deflate; server_max_window_bits=16', undefined],
  ['permessage-deflate; server_max_window_bits=08', undefined],
  ['permessage-deflate; server_max_window_bits=1e1', undefined],
  ['permessage-deflate; client_max_window_bits=7', undefined],
  ['permessage-deflate; client_max_window_bits=abc', undefined],
  ['permessage-deflate; server_no_context_takeover=1', undefined],
  ['permessage-deflate; client_no_context_takeover=true', undefined],
  ['permessage-deflate; server_no_context_takeover; server_no_context_takeover', undefined],
  ['permessage-deflate; client_max_window_bits=9; client_max_window_bits=9', undefined],
  ['x-webkit-deflate-frame', undefined],
  ['constructor', undefined],
];

describe('Frames', () => {
  const { server, log, holds } = mistreated({
    controllers: [Echoes],
    heartbeat: QUIET,
    perMessageDeflate: true,
  });

  /** Sends frames on a new socket with compression, and compares the payloads of the replies, unpacked. */
  async function echoes(
    path: string,
    sent: readonly Uint8Array[],
    expected: readonly (string | Uint8Array)[],
    { chop = Infinity, offer = DEFLATE, unpacker = new Unpacker() } = {},
  ): Promise<void> {
    const wire = await Wire.open(server, path, offer);
    expect(wire.head.headers['sec-websocket-extensions']).to.match(/^permessage-deflate/);
    if (chop === Infinity) wire.write(...sent);
    else await wire.chop(chop, ...sent);
    for (const [i, one] of expected.entries()) {
      const reply = await wire.next();
      expect(reply.opcode).to.equal(path.startsWith('/text') ? TEXT : BINARY);
      expect(unpacker.payload(reply).equals(Buffer.from(one)), `reply ${i}`).to.equal(true);
    }
    wire.write(close(1000));
    expect(await wire.rest()).to.deep.equal([says.close(1000)]);
    expect(log.lines).to.deep.equal([]);
  }

  describe('compression, as it is agreed on', () => {
    for (const [offered, agreed] of offers) {
      holds(
        `an offer of "${offered}" is ${agreed === undefined ? 'declined' : `answered by "${agreed}"`}`,
        async () => {
          const wire = await Wire.open(server, '/text', `Sec-WebSocket-Extensions: ${offered}`);
          expect(wire.head.headers['sec-websocket-extensions']).to.equal(agreed);
          wire.write(text('plain'), close(1000));
          const unpacker = new Unpacker();
          expect(unpacker.payload(await wire.next()).toString()).to.equal('plain');
          expect(await wire.rest()).to.deep.equal([says.close(1000)]);
        },
      );
    }

    holds('offers in several fields are one list', async () => {
      const wire = await Wire.open(server, '/text', 'Sec-WebSocket-Extensions: x-unknown', DEFLATE);
      expect(wire.head.headers['sec-websocket-extensions']).to.equal('permessage-deflate');
      wire.client.reset();
      await wire.client.closed();
    });
  });

  describe('compressed messages', () => {
    for (const size of [0, 1, 125, 126, 127, 128, 1_023, 1_024, 65_535, 65_536]) {
      for (const path of TEXT_PATHS) {
        holds(`text of ${size} bytes comes back (${path})`, () =>
          echoes(path, [packed(TEXT, letters(size))], [letters(size)]),
        );
      }
      for (const path of BINARY_PATHS) {
        holds(`${size} bytes come back (${path})`, () =>
          echoes(path, [packed(BINARY, letters(size))], [letters(size)]),
        );
      }
    }
    holds('bytes that cannot be made smaller come back', () => {
      const noise = randomBytes(60_000);
      return echoes('/bytes', [packed(BINARY, noise)], [noise]);
    });

    for (const path of TEXT_PATHS) {
      for (const count of [2, 3, 10]) {
        for (const chop of [Infinity, 7]) {
          holds(
            `text in ${count} fragments comes back${chop === 7 ? ', in chops of seven' : ''} (${path})`,
            () =>
              echoes(
                path,
                packedFragments(TEXT, `${letters(300)}, κόσμε`, count),
                [`${letters(300)}, κόσμε`],
                { chop },
              ),
          );
        }
      }
      holds(`text byte by byte comes back (${path})`, () =>
        echoes(path, [packed(TEXT, 'hello, κόσμε')], ['hello, κόσμε'], { chop: 1 }),
      );
      holds(`compressed messages and plain ones in one chunk come back in order (${path})`, () =>
        echoes(
          path,
          [packed(TEXT, 'one'), text('two'), packed(TEXT, 'three', 'one'), text(''), packed(TEXT, '')],
          ['one', 'two', 'three', '', ''],
        ),
      );
      holds(`two hundred messages in one chunk come back in order (${path})`, () => {
        const messages = Array.from({ length: 200 }, (_, i) => `message ${i}`);
        return echoes(
          path,
          messages.map((one) => packed(TEXT, one)),
          messages,
        );
      });
      holds(`a message may refer to the one before (${path})`, () => {
        const [one, two] = ['the same words, and many', 'the same words, and many, again'];
        const frames = [packed(TEXT, one), packed(TEXT, two, one)] as const;
        expect(frames[1].length).to.be.below(packed(TEXT, two).length);
        return echoes(path, frames, [one, two]);
      });
      holds(`where the server has agreed to forget, each of its messages stands alone (${path})`, () => {
        const messages = Array.from({ length: 5 }, () => letters(3_000));
        return echoes(
          path,
          messages.map((one) => packed(TEXT, one)),
          messages,
          {
            offer: `${DEFLATE}; server_no_context_takeover`,
            unpacker: new Unpacker(false),
          },
        );
      });
      holds(`where the client may forget, messages that stand alone come back (${path})`, () => {
        const messages = Array.from({ length: 5 }, () => letters(3_000));
        return echoes(
          path,
          messages.map((one) => packed(TEXT, one)),
          messages,
          {
            offer: `${DEFLATE}; client_no_context_takeover`,
          },
        );
      });
      for (const bits of [9, 12, 15]) {
        holds(`the server keeps to a window of ${bits} bits (${path})`, () => {
          const messages = Array.from(
            { length: 3 },
            (_, i) => randomBytes(2_000).toString('hex') + letters(i * 999),
          );
          return echoes(
            path,
            messages.map((one) => packed(TEXT, one)),
            messages,
            {
              offer: `${DEFLATE}; server_max_window_bits=${bits}`,
              unpacker: new Unpacker(true, bits),
            },
          );
        });
      }
      holds(
        `a ping between compressed fragments is answered, and the message comes back (${path})`,
        async () => {
          const [first, second] = packedFragments(TEXT, 'frag and ment', 2) as [Buffer, Buffer];
          const wire = await Wire.open(server, path, DEFLATE);
          wire.write(first, ping('now'), pong('hm'), second);
          expect(await wire.say(1)).to.deep.equal([says.pong('now')]);
          expect(new Unpacker().payload(await wire.next()).toString()).to.equal('frag and ment');
          wire.write(close(1000));
          expect(await wire.rest()).to.deep.equal([says.close(1000)]);
        },
      );
      holds(`a close behind compressed messages comes after their replies (${path})`, async () => {
        const wire = await Wire.open(server, path, DEFLATE);
        wire.write(packed(TEXT, 'one'), packed(TEXT, 'two'), close(1001, 'away'));
        const unpacker = new Unpacker();
        for (const one of ['one', 'two'])
          expect(unpacker.payload(await wire.next()).toString()).to.equal(one);
        expect(await wire.rest()).to.deep.equal([says.close(1001, 'away')]);
      });
    }

    holds('a message that ends its own stream comes back (RFC 7692, section 7.2.3.4)', () =>
      echoes(
        '/text',
        [frame(TEXT, Buffer.from([0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00]), { rsv: 4 })],
        ['Hello'],
      ),
    );
    holds('a message that is not compressed within comes back (RFC 7692, section 7.2.3.3)', () =>
      echoes(
        '/text',
        [
          frame(TEXT, Buffer.from([0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00]), {
            rsv: 4,
          }),
        ],
        ['Hello'],
      ),
    );
    holds('a message of two blocks comes back (RFC 7692, section 7.2.3.5)', () =>
      echoes(
        '/text',
        [
          frame(
            TEXT,
            Buffer.from([0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00]),
            { rsv: 4 },
          ),
        ],
        ['Hello'],
      ),
    );
  });
});

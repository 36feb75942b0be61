import { expect } from 'chai';
import { mistreated } from '../../support/canary.js';
import { BINARY_PATHS, echoes, Echoes, QUIET, TEXT_PATHS } from '../../support/echoes.js';
import {
  binary,
  close,
  CONTINUATION,
  fragments,
  frame,
  says,
  text,
  TEXT,
  Wire,
} from '../../support/ws-wire.js';

const MIB = 1_048_576;
const letters = (size: number): string => 'x'.repeat(size);

describe('Frames', () => {
  describe('lengths', () => {
    const { holds, talks, fails } = echoes();

    // Section 5.2 bids the sender to take the shortest form; what a receiver does with another is left open. It says
    // the same and hides nothing, so it is taken; what the server sends is always the shortest.
    const longer: [size: number, bits: 16 | 64][] = [
      [0, 16],
      [5, 16],
      [125, 16],
      [0, 64],
      [5, 64],
      [126, 64],
      [65_535, 64],
    ];
    for (const [size, bits] of longer) {
      for (const path of TEXT_PATHS) {
        holds(`${size} bytes whose length takes ${bits} bits are read as if it were shorter (${path})`, () =>
          talks(path, [text(letters(size), { bits })], [says.text(letters(size))]),
        );
      }
    }

    const claims: [name: string, claim: bigint][] = [
      ['2^31', 2n ** 31n],
      ['2^32', 2n ** 32n],
      ['2^53 - 1', 2n ** 53n - 1n],
      ['2^53', 2n ** 53n],
      ['2^63 - 1', 2n ** 63n - 1n],
      ['2^63, the bit that must be 0', 2n ** 63n],
      ['2^64 - 1', 2n ** 64n - 1n],
    ];
    for (const [name, claim] of claims) {
      for (const path of [...TEXT_PATHS, ...BINARY_PATHS]) {
        holds(
          `a claim of ${name} bytes closes the socket with 1009 before any of them has come (${path})`,
          () => fails(path, [frame(TEXT, '', { claim }).subarray(0, 10)], [says.close(1009)]),
        );
      }
      holds(
        `a claim of ${name} bytes behind a message closes the socket with 1009, the message answered`,
        () => fails('/text', [text('first'), text('', { claim })], [says.text('first'), says.close(1009)]),
      );
    }
  });

  describe('messages beyond the limit', () => {
    const { holds, talks, fails } = echoes();
    const small = echoes({ limits: { message: 10 } });

    for (const path of TEXT_PATHS) {
      holds(`one byte too many closes the socket with 1009 (${path})`, () =>
        fails(path, [text(letters(65_537))], [says.close(1009)]),
      );
      holds(`one byte too many by claim closes the socket with 1009 (${path})`, () =>
        fails(path, [text('', { claim: 65_537 }).subarray(0, 10)], [says.close(1009)]),
      );
      holds(`one byte too many by the sum of two fragments closes the socket with 1009 (${path})`, () =>
        fails(path, fragments(TEXT, [letters(65_536), 'x']), [says.close(1009)]),
      );
      holds(`one byte too many by the sum of many fragments closes the socket with 1009 (${path})`, () =>
        fails(path, fragments(TEXT, [...Array.from({ length: 64 }, () => letters(1_024)), 'x']), [
          says.close(1009),
        ]),
      );
      holds(`too much by the claim of a second fragment closes the socket with 1009 (${path})`, () =>
        fails(
          path,
          [
            frame(TEXT, letters(40_000), { fin: false }),
            frame(CONTINUATION, '', { claim: 30_000 }).subarray(0, 4),
          ],
          [says.close(1009)],
        ),
      );
      holds(`messages that are together beyond the limit are none of its business (${path})`, () =>
        talks(
          path,
          [text(letters(40_000)), text(letters(40_000))],
          [says.text(letters(40_000)), says.text(letters(40_000))],
        ),
      );
      small.holds(`the limit is that of the application (${path})`, async () => {
        await small.talks(path, [text(letters(10))], [says.text(letters(10))]);
        await small.fails(path, [text(letters(11))], [says.close(1009)]);
      });
      small.holds(`the limit counts bytes, not letters (${path})`, async () => {
        await small.talks(path, [text('üüüüü')], [says.text('üüüüü')]);
        await small.fails(path, [text('üüüüüx')], [says.close(1009)]);
      });
    }

    holds('16,384 fragments are one message', () =>
      talks(
        '/text',
        fragments(
          TEXT,
          Array.from({ length: 16_384 }, () => 'x'),
        ),
        [says.text(letters(16_384))],
      ),
    );
    holds('more fragments than 16,384 close the socket with 1008', () =>
      fails(
        '/text',
        fragments(
          TEXT,
          Array.from({ length: 16_386 }, () => 'x'),
        ),
        [says.close(1008)],
      ),
    );
    holds('more empty fragments than 16,384 close the socket with 1008', () =>
      fails(
        '/text-loop',
        fragments(
          TEXT,
          Array.from({ length: 16_386 }, () => ''),
        ),
        [says.close(1008)],
      ),
    );
  });

  describe('memory', () => {
    const { holds, server } = mistreated({
      controllers: [Echoes],
      heartbeat: QUIET,
      limits: { message: 1_024 * MIB },
    });

    const claims: [name: string, frames: Buffer[]][] = [
      ['2^30 bytes', [binary('', { claim: 2 ** 30 })]],
      ['2^30 bytes, and a few of them', [binary(letters(100), { claim: 2 ** 30 })]],
      [
        '2^30 bytes in a second fragment',
        [binary('x', { fin: false }), frame(CONTINUATION, '', { claim: 2 ** 30 - 1 })],
      ],
    ];
    for (const [name, frames] of claims) {
      holds(`a hundred sockets that claim ${name} have nothing allocated for them`, async () => {
        const before = used();
        const wires = await Promise.all(Array.from({ length: 100 }, () => Wire.open(server, '/bytes')));
        // A ping cannot come within a frame; one on another socket is answered when what came before has been read.
        for (const wire of wires) wire.write(...frames);
        await witness(await Wire.open(server, '/text'));
        expect(used() - before, 'bytes').to.be.below(50 * MIB);
        expect(server.app.stats().connections.websocket, 'still open').to.be.at.least(101);
        for (const wire of wires) wire.client.reset();
        await Promise.all(wires.map((wire) => wire.client.closed()));
      });
    }

    holds(
      'a hundred sockets that claim 2^53 - 1 bytes are closed with 1009, and nothing was allocated',
      async () => {
        const before = used();
        const wires = await Promise.all(Array.from({ length: 100 }, () => Wire.open(server, '/bytes')));
        for (const wire of wires) wire.write(binary('', { claim: 2n ** 53n - 1n }));
        for (const heard of await Promise.all(wires.map((wire) => wire.rest()))) {
          expect(heard).to.deep.equal([says.close(1009)]);
        }
        expect(used() - before, 'bytes').to.be.below(50 * MIB);
      },
    );
  });
});

/** What this process holds outside of its heap, where payloads are. */
function used(): number {
  const { arrayBuffers, external } = process.memoryUsage();
  return Math.max(arrayBuffers, external);
}

async function witness(wire: Wire): Promise<void> {
  wire.write(text('read'), close(1000));
  expect(await wire.rest()).to.deep.equal([says.text('read'), says.close(1000)]);
}

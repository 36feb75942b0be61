import { expect } from 'chai';
import { Body, Context, Controller, Ctx, HttpError, Socket, WebSocket } from 'coequal';
import { Journal } from '../../support/journal.js';
import { mistreated } from '../../support/canary.js';
import { echoes, QUIET, TEXT_PATHS } from '../../support/echoes.js';
import { binary, close, CLOSE, frame, ping, says, text, Wire } from '../../support/ws-wire.js';

const LEGAL = [
  1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999,
];
const ILLEGAL = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535];

/** What is no UTF-8: a lone continuation, an overlong form, a surrogate, too high, cut short. */
const NOT_UTF8: [name: string, bytes: number[]][] = [
  ['a lone continuation', [0x68, 0x80]],
  ['an overlong slash', [0xc0, 0xaf]],
  ['a surrogate', [0xed, 0xa0, 0x80]],
  ['what lies above U+10FFFF', [0xf4, 0x90, 0x80, 0x80]],
  ['a sequence cut short', [0x68, 0xe2, 0x82]],
];

describe('Frames', () => {
  describe('closing', () => {
    const { holds, talks, fails, server } = echoes();

    for (const code of LEGAL) {
      holds(`a close with ${code} is answered by the same`, () =>
        talks('/text', [close(code)], [says.close(code)]),
      );
      holds(`a close with ${code} and a reason is answered by the same`, () =>
        talks('/text-loop', [close(code, 'done, goodbye')], [says.close(code, 'done, goodbye')]),
      );
    }
    for (const code of ILLEGAL) {
      holds(`a close with ${code}, which nobody may send, is answered by 1002`, () =>
        fails('/text', [close(code)], [says.close(1002)]),
      );
      holds(`a close with ${code} and a reason behind a message is answered by 1002`, () =>
        fails('/text-loop', [text('first'), close(code, 'why')], [says.text('first'), says.close(1002)]),
      );
    }

    for (const path of TEXT_PATHS) {
      holds(`a close without a code is answered by one without a code (${path})`, () =>
        talks(path, [close()], [says.close()]),
      );
      holds(`a close of one byte is answered by 1002 (${path})`, () =>
        fails(path, [frame(CLOSE, '\x03')], [says.close(1002)]),
      );
      holds(`a close byte by byte is answered by the same (${path})`, () =>
        talks(path, [close(1000, 'bye')], [says.close(1000, 'bye')], 1),
      );
      holds(`a close within a fragmented message is answered, and the message is none (${path})`, () =>
        talks(path, [frame(1, 'frag', { fin: false }), close(1001)], [says.close(1001)]),
      );
      holds(`a second close is dropped (${path})`, () =>
        talks(path, [close(1000), close(1001)], [says.close(1000)]),
      );
      holds(`data, pings and nonsense behind a close are dropped (${path})`, () =>
        talks(path, [close(1000), text('late'), ping('late'), Buffer.alloc(1_000, 0xff)], [says.close(1000)]),
      );
      holds(`messages before a close in the same chunk are answered before it (${path})`, () =>
        talks(
          path,
          [text('one'), text('two'), text('three'), close(1000)],
          [says.text('one'), says.text('two'), says.text('three'), says.close(1000)],
        ),
      );
      holds(`a message and a close, byte by byte, are answered in order (${path})`, () =>
        talks(path, [text('one'), close(1000)], [says.text('one'), says.close(1000)], 1),
      );
      holds(`a ping before a close in the same chunk is answered before it (${path})`, () =>
        talks(path, [ping('one'), close(1000)], [says.pong('one'), says.close(1000)]),
      );
    }

    holds('a reason of 123 bytes is given back whole', () =>
      talks('/text', [close(1000, 'x'.repeat(123))], [says.close(1000, 'x'.repeat(123))]),
    );
    holds('a reason beyond ASCII is given back whole', () =>
      talks('/text', [close(1000, 'κόσμε 🎈')], [says.close(1000, 'κόσμε 🎈')]),
    );
    for (const [name, bytes] of NOT_UTF8) {
      holds(`a reason with ${name} is answered by 1007`, () =>
        fails('/text', [close(1000, Buffer.from(bytes))], [says.close(1007)]),
      );
    }

    holds('data that comes after a close of its own accord is dropped', async () => {
      const wire = await Wire.open(server, '/text');
      wire.write(close(1000));
      expect(await wire.say(1)).to.deep.equal([says.close(1000)]);
      wire.write(text('late'), binary('later'), close(1001));
      expect(await wire.rest()).to.deep.equal([]);
    });

    holds('a connection that ends without a close ends on this side, too', async () => {
      const wire = await Wire.open(server, '/text');
      wire.write(text('one'));
      expect(await wire.say(1)).to.deep.equal([says.text('one')]);
      wire.client.socket.end();
      expect(await wire.rest()).to.deep.equal([]);
    });

    holds('a connection that ends within a frame ends on this side, too', async () => {
      const wire = await Wire.open(server, '/text');
      wire.write(text('cut short').subarray(0, 5));
      wire.client.socket.end();
      expect(await wire.rest()).to.deep.equal([]);
    });
  });

  describe('the end as the socket sees it', () => {
    const ends = new Journal();
    let opened: Socket | undefined;

    const note = (ctx: Context, socket: Socket): void => {
      opened = socket;
      ctx.defer(() => ends.note(`${socket.closed?.code} ${socket.closed?.reason}`));
    };

    @Controller()
    class Watched {
      @WebSocket('/watched', { rate: 3 })
      watched(@Body() message: string, @Ctx() ctx: Context, @Socket() socket: Socket) {
        if (opened !== socket) note(ctx, socket);
        return message;
      }
      @WebSocket('/looped') async looped(@Ctx() ctx: Context, @Socket(String) socket: Socket<string>) {
        note(ctx, socket);
        for await (const message of socket) {
          if (message === 'leave') break;
          if (message === 'close') socket.close(4_321, 'as I like');
          if (message === 'raw') socket.raw.close(4_322, 'past the framework');
          if (message === 'fail') throw new Error('not to be seen');
          if (message === 'refuse') throw new HttpError(403, 'not yours');
          if (message === 'hello') socket.send(message);
        }
      }
    }

    const { holds, server } = mistreated({
      controllers: [Watched],
      heartbeat: QUIET,
      timeouts: { close: 50 },
    });

    beforeEach(() => {
      ends.entries.length = 0;
      opened = undefined;
    });

    const table: [name: string, sent: Buffer, code: number, reason: string][] = [
      ['the code and reason that the client sent', close(4_000, 'enough'), 4_000, 'enough'],
      ['1005 where the client sent no code', close(), 1005, ''],
      ['1002 where the protocol was broken', text('x', { rsv: 2 }), 1002, ''],
      ['1002 where the mask was missing', text('x', { mask: 'none' }), 1002, ''],
      ['1002 where the code was one that nobody may send', close(1006), 1002, ''],
      ['1007 where the text was none', text(Buffer.from([0xff])), 1007, ''],
      ['1009 where the message was too big', text('', { claim: 1_000_000 }), 1009, ''],
    ];
    for (const path of ['/watched', '/looped']) {
      for (const [what, sent, code, reason] of table) {
        holds(`is ${what} (${path})`, async () => {
          const wire = await Wire.open(server, path);
          wire.write(text('hello'));
          expect(await wire.say(1)).to.deep.equal([says.text('hello')]);
          wire.write(sent);
          expect(await wire.rest()).to.have.length(1);
          await ends.until(`${code} ${reason}`);
          expect(opened?.closed).to.deep.equal({ code, reason });
        });
      }

      holds(`is 1003 where binary came for text (${path})`, async () => {
        const wire = await Wire.open(server, path);
        wire.write(text('hello'), binary('x'));
        expect((await wire.say(2)).at(1)).to.match(/^close 1003 /);
        wire.write(close(1003));
        await wire.rest();
        await ends.until('1003 this socket takes text');
      });

      for (const [how, leave] of [
        ['reset', (wire: Wire) => wire.client.reset()],
        ['ended', (wire: Wire) => wire.client.socket.end()],
      ] as const) {
        holds(`is 1006 where the connection was ${how} without a close (${path})`, async () => {
          const wire = await Wire.open(server, path);
          wire.write(text('hello'));
          await wire.say(1);
          leave(wire);
          await ends.until('1006 ');
        });
      }
    }

    holds('is 1008 where messages came faster than the rate of the route', async () => {
      const wire = await Wire.open(server, '/watched');
      wire.write(...['1', '2', '3', '4', '5'].map((n) => text(n)));
      expect(await wire.say(4)).to.deep.equal([
        says.text('1'),
        says.text('2'),
        says.text('3'),
        says.close(1008, 'too many messages'),
      ]);
      wire.write(close(1008));
      await wire.rest();
      await ends.until('1008 too many messages');
    });

    const own: [message: string, code: number, reason: string][] = [
      ['leave', 1000, ''],
      ['close', 4_321, 'as I like'],
      ['raw', 4_322, 'past the framework'],
      ['fail', 1011, ''],
      ['refuse', 3003, 'not yours'],
    ];
    for (const [message, code, reason] of own) {
      holds(`is ${code} where the method ended it (${message}), whatever the client answers`, async () => {
        const wire = await Wire.open(server, '/looped');
        wire.write(text(message));
        expect(await wire.say(1)).to.deep.equal([says.close(code, reason)]);
        wire.write(close(4_999, 'another'));
        await wire.rest();
        await ends.until(`${code} ${reason}`);
      });

      holds(`is ${code} where the method ended it (${message}), and the client never answers`, async () => {
        const wire = await Wire.open(server, '/looped');
        wire.write(text(message));
        expect(await wire.rest()).to.deep.equal([says.close(code, reason)]);
        await ends.until(`${code} ${reason}`);
      });
    }
  });
});

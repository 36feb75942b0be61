import { expect } from 'chai';
import { Body, Controller, WebSocket } from 'coequal';
import { mistreated } from '../../support/canary.js';
import { Echoes, QUIET, TEXT_PATHS } from '../../support/echoes.js';
import {
  binary,
  close,
  CONTINUATION,
  fragments,
  frame,
  PING,
  pong,
  says,
  text,
  TEXT,
  Wire,
} from '../../support/ws-wire.js';

describe('Frames', () => {
  describe('messages that take too long', () => {
    const { holds, server, log } = mistreated({
      controllers: [Echoes],
      heartbeat: 32,
      timeouts: { message: 100, close: 50 },
    });
    const patient = mistreated({ controllers: [Echoes], heartbeat: 32 });

    /** Answers each ping, and adds to it what `next` gives, until the server closes. */
    async function between(wire: Wire, beats: number, next: () => Buffer): Promise<string[]> {
      const heard: string[] = [];
      for (let beat = 0; beat < beats;) {
        const { opcode } = await wire.next();
        if (opcode === PING) {
          wire.write(next(), pong());
          beat++;
        } else if (opcode === TEXT) heard.push('echo');
        else return [...heard, 'close'];
      }
      return heard;
    }

    for (const path of TEXT_PATHS) {
      holds(
        `fragments that never end are closed with 1008, though every ping is answered (${path})`,
        async () => {
          const wire = await Wire.open(server, path);
          wire.write(frame(TEXT, 'for', { fin: false }));
          const heard: string[] = [];
          for (;;) {
            const [one = ''] = await wire.say(1);
            if (!one.startsWith('ping')) {
              heard.push(one);
              break;
            }
            wire.write(frame(CONTINUATION, ' ever', { fin: false }), pong());
          }
          expect(heard).to.deep.equal([says.close(1008, 'the message took too long')]);
          wire.write(close(1008));
          await wire.rest();
          expect(log.lines.map(({ message }) => message)).to.deep.equal([
            'closing socket: the message took too long',
          ]);
        },
      );

      holds(
        `messages that each end in time may follow one another for longer than that (${path})`,
        async () => {
          const wire = await Wire.open(server, path);
          wire.write(frame(TEXT, 'a', { fin: false }));
          const heard = await between(wire, 12, () =>
            Buffer.concat([frame(CONTINUATION, 'z'), frame(TEXT, 'a', { fin: false })]),
          );
          expect(heard.length).to.be.greaterThan(8);
          expect(heard).to.deep.equal(heard.map(() => 'echo'));
          wire.client.reset();
          await wire.client.closed();
        },
      );

      patient.holds(
        `a message whose fragments come slowly, but within the time, is taken (${path})`,
        async () => {
          const wire = await Wire.open(patient.server, path);
          wire.write(frame(TEXT, 'slow', { fin: false }));
          expect(await between(wire, 6, () => frame(CONTINUATION, '.', { fin: false }))).to.deep.equal([]);
          wire.write(frame(CONTINUATION, '!'));
          let said = '';
          while (!said.startsWith('text')) [said = ''] = await wire.say(1);
          expect(said).to.equal(says.text('slow......!'));
          wire.client.reset();
          await wire.client.closed();
        },
      );

      holds(`a frame of which the rest never comes ends the connection (${path})`, async () => {
        const wire = await Wire.open(server, path);
        wire.write(text('never whole').subarray(0, 8));
        const heard = await wire.rest();
        expect(heard.filter((one) => !one.startsWith('ping') && !one.startsWith('close'))).to.deep.equal([]);
        expect(log.lines.map(({ message }) => message)).to.deep.equal(['closing socket: the peer is silent']);
      });
    }
  });

  describe('rates and kinds of messages', () => {
    @Controller()
    class Limited {
      @WebSocket('/rated', { rate: 5 }) rated(@Body() message: string) {
        return message;
      }
      @WebSocket('/json') json(@Body() message: { n: number }) {
        return message;
      }
    }

    const { holds, server, log } = mistreated({ controllers: [Limited, Echoes], heartbeat: QUIET });
    const given = (): string[] => log.lines.map(({ message }) => message);

    for (const how of ['in one chunk', 'one after another']) {
      holds(
        `more messages than the rate, ${how}, close the socket with 1008, and the others are answered`,
        async () => {
          const wire = await Wire.open(server, '/rated');
          const numbers = Array.from({ length: 8 }, (_, i) => `${i}`);
          if (how === 'in one chunk') wire.write(...numbers.map((n) => text(n)));
          else await wire.chop(7, ...numbers.map((n) => text(n)));
          expect(await wire.say(6)).to.deep.equal([
            ...numbers.slice(0, 5).map(says.text),
            says.close(1008, 'too many messages'),
          ]);
          wire.write(close(1008));
          expect(await wire.rest()).to.deep.equal([]);
          expect(given()).to.deep.equal(['closing socket: too many messages']);
        },
      );
    }

    holds('what comes after the close for the rate is not handled', async () => {
      const wire = await Wire.open(server, '/rated');
      wire.write(...Array.from({ length: 100 }, (_, i) => text(`${i}`)));
      await wire.say(6);
      wire.write(text('late'), close(1000));
      expect(await wire.rest()).to.deep.equal([]);
    });

    for (const path of ['/text', '/text-loop', '/json']) {
      const good = path === '/json' ? '{"n":1}' : 'good';
      const refusal = says.close(1003, 'this socket takes text');
      for (const [name, frames] of [
        ['a binary message', [binary('{"n":2}')]],
        ['an empty binary message', [binary('')]],
        ['a binary message in fragments', fragments(2, ['{"n"', ':2}'])],
      ] as [string, Buffer[]][]) {
        holds(`${name} for a method that takes text closes the socket with 1003 (${path})`, async () => {
          const wire = await Wire.open(server, path);
          wire.write(text(good), ...frames, text(good));
          expect(await wire.say(2)).to.deep.equal([says.text(good), refusal]);
          wire.write(close(1003));
          expect(await wire.rest()).to.deep.equal([]);
          expect(given()).to.deep.equal(['closing socket: this socket takes text']);
        });
      }
    }
  });
});

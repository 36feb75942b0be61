import { expect } from 'chai';
import { Body, Controller, param, Rpc, Unguarded, UseMiddleware, WebSocket, type Middleware } from 'coequal';
import { mistreated } from '../../support/canary.js';
import { doors, Everywhere } from '../../support/doors.js';

const fail = (): never => {
  throw new Error('broken');
};

/** Thenables of all sorts, as databases' query builders are, and worse. */
const THENABLES: Record<string, () => unknown> = {
  'that gives nothing back': () => ({
    then(yes: (value: unknown) => void) {
      setImmediate(yes, { ok: true });
    },
  }),
  'that settles at once': () => ({
    then(yes: (value: unknown) => void) {
      yes({ ok: true });
    },
  }),
  'that settles twice': () => ({
    then(yes: (value: unknown) => void, no: (reason: unknown) => void) {
      yes({ ok: true });
      yes({ ok: false });
      no(new Error('late'));
    },
  }),
  'that settles and then throws': () => ({
    then(yes: (value: unknown) => void) {
      yes({ ok: true });
      fail();
    },
  }),
  'that gives a thenable': () => ({
    then(yes: (value: unknown) => void) {
      yes(Promise.resolve({ ok: true }));
    },
  }),
};
const FAILING_THENABLES: Record<string, () => unknown> = {
  'whose then() throws': () => ({ then: fail }),
  'that rejects and gives nothing back': () => ({
    then(_: unknown, no: (reason: unknown) => void) {
      setImmediate(no, new Error('broken'));
    },
  }),
  'that rejects twice': () => ({
    then(_: unknown, no: (reason: unknown) => void) {
      no(new Error('broken'));
      no(new Error('again'));
    },
  }),
};

let make: () => unknown = () => undefined;

const waiting: Middleware = (_ctx, next) => next().then(() => make());
const Made = param('Made', () => make());

@Controller()
class Thenables {
  @Everywhere('/value')
  value() {
    return make();
  }

  @WebSocket('/messages')
  message(@Body() _text: string) {
    return make();
  }

  @Unguarded('every socket of this class may call it')
  @Rpc('call')
  call() {
    return make();
  }

  @Everywhere('/guarded')
  @UseMiddleware(waiting)
  guarded(@Made() made: unknown) {
    return made;
  }
}

describe('Process', () => {
  describe('thenables of user code', () => {
    const { server, log, holds } = mistreated({ controllers: [Thenables] });

    for (const [name, value] of Object.entries(THENABLES)) {
      for (const door of doors) {
        holds(`are awaited, in a ${door.kind}: one ${name}`, async () => {
          make = value;
          const visit = await door.open(server, '/value');
          expect(await visit.value()).to.deep.equal({ ok: true });
          visit.leave();
          expect(log.lines).to.deep.equal([]);
        });
        holds(`are awaited in readers and middleware, in a ${door.kind}: one ${name}`, async () => {
          make = value;
          const visit = await door.open(server, '/guarded');
          expect(await visit.value()).to.deep.equal({ ok: true });
          visit.leave();
          expect(log.lines).to.deep.equal([]);
        });
      }
      holds(`are one reply to a message and to a call: one ${name}`, async () => {
        make = value;
        const socket = await server.socket('/messages');
        socket.send('message');
        expect(await socket.json()).to.deep.equal({ ok: true });
        socket.send({ jsonrpc: '2.0', id: 1, method: 'call' });
        expect(await socket.json()).to.deep.equal({ jsonrpc: '2.0', id: 1, result: { ok: true } });
        socket.send('message');
        expect(await socket.json()).to.deep.equal({ ok: true });
        expect(log.lines).to.deep.equal([]);
      });
    }

    for (const [name, value] of Object.entries(FAILING_THENABLES)) {
      for (const door of doors) {
        holds(`fail, in a ${door.kind}: one ${name}`, async () => {
          make = value;
          const visit = await door.open(server, '/value');
          if (visit.status === 101) await visit.ended();
          else expect(visit.problem).to.include({ status: 500, title: 'Internal Server Error' });
          expect(log.at('error')).to.have.length(1);
        });
      }
      holds(`are one error to a message and to a call: one ${name}`, async () => {
        make = value;
        const socket = await server.socket('/messages');
        socket.send('message');
        expect(await socket.json()).to.have.nested.property('error.status', 500);
        socket.send({ jsonrpc: '2.0', id: 1, method: 'call' });
        expect(await socket.json()).to.have.nested.property('error.code', -32603);
        expect(log.at('error')).to.have.length(2);
      });
    }
  });
});

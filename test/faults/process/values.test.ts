import { expect } from 'chai';
import { Body, Controller, Ctx, HttpError, Rpc, Socket, WebSocket, type Codec, type Context } from 'coequal';
import { mistreated } from '../../support/canary.js';
import { doors, Everywhere } from '../../support/doors.js';

const fail = (): never => {
  throw new Error('broken');
};

/** Sources that give nothing. */
const SOURCES: Record<string, () => unknown> = {
  'a getter of Symbol.asyncIterator that throws': () => ({
    get [Symbol.asyncIterator]() {
      return fail();
    },
  }),
  'an iterable that cannot be iterated': () => ({ [Symbol.asyncIterator]: fail }),
  'an iterable whose next() throws': () => ({ [Symbol.asyncIterator]: () => ({ next: fail }) }),
  'a stream that has a reader': () => {
    const stream = new ReadableStream();
    stream.getReader();
    return stream;
  },
  'an iterable whose next() is none': () => ({ [Symbol.asyncIterator]: () => ({}) }),
};

/** Values that cannot be sent. */
const TOUCHY: Record<string, () => unknown> = {
  'a toJSON that throws': () => ({ toJSON: fail }),
  'a toJSON that throws, deep within': () => ({ a: [{ b: { toJSON: fail } }] }),
  'a getter that throws': () => ({
    get name() {
      return fail();
    },
  }),
  'a getter of then that throws': () => ({
    get then() {
      return fail();
    },
  }),
  'a circular object': () => {
    const o: Record<string, unknown> = {};
    o['o'] = o;
    return o;
  },
  'a BigInt': () => 1n,
  'a proxy that was revoked': () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    return proxy;
  },
};

/** What cannot even be asked whether it is awaited. */
const LOOKED_AT = new Set(['a getter of then that throws', 'a proxy that was revoked']);

let make: () => unknown = () => undefined;

@Controller()
class Values {
  @Everywhere('/value')
  value() {
    return make();
  }

  @Everywhere('/send')
  send(@Ctx() ctx: Context) {
    ctx.send(make());
  }

  @Everywhere('/later')
  later() {
    return Promise.resolve(make());
  }

  @WebSocket('/messages')
  message(@Body() _text: string) {
    return make();
  }

  @Rpc('call')
  call() {
    return make();
  }
}

/** A codec of one type of message, which errors are not. */
const codec: Codec = {
  decode: (data) => JSON.parse(String(data)) as unknown,
  encode(value) {
    if (value !== 'pong') throw new TypeError('unknown message');
    return value;
  },
};
/** Maps nothing, and later. */
const onError = () => Promise.resolve();

@Controller()
class Unencodable {
  @WebSocket('/extension')
  extension(@Body() _text: string) {
    throw new HttpError(409, 'Taken', { extensions: { id: 1n } });
  }

  @WebSocket('/message', { codec })
  message(@Body() _value: object) {
    return 'pong';
  }

  @WebSocket('/message/later', { codec, onError })
  later(@Body() _value: object) {
    return 'pong';
  }

  @WebSocket('/loop', { codec })
  async loop(@Socket() socket: Socket) {
    for await (const _value of socket) socket.send('pong');
  }

  @WebSocket('/loop/later', { codec, onError })
  loopLater(@Socket() socket: Socket) {
    return this.loop(socket);
  }
}

describe('Process', () => {
  describe('what user code returns', () => {
    const { server, log, holds } = mistreated({ controllers: [Values] });

    for (const [name, value] of Object.entries(TOUCHY)) {
      for (const path of ['/value', '/send']) {
        for (const door of doors) {
          holds(`fails by itself, in a ${door.kind} by ${path}: ${name}`, async () => {
            make = value;
            const visit = await door.open(server, path);
            // What the method returns is a reply as any other: it fails alone. What it does by itself ends it.
            if (visit.status !== 101)
              expect(visit.problem).to.include({ status: 500, title: 'Internal Server Error' });
            else if (path === '/value' && !LOOKED_AT.has(name))
              expect(await visit.value()).to.have.nested.property('error.status', 500);
            else await visit.ended();
            expect(log.at('error')).to.have.length(1);
          });
        }
      }
      holds(`is an error to a message and to a call: ${name}`, async () => {
        make = value;
        const socket = await server.socket('/messages');
        socket.send('message');
        expect(await socket.json()).to.have.nested.property('error.status', 500);
        socket.send({ jsonrpc: '2.0', id: 1, method: 'call' });
        expect(await socket.json()).to.have.nested.property('error.code', -32603);
        expect(log.at('error')).to.have.length(2);
      });
    }

    for (const [name, source] of Object.entries(SOURCES)) {
      for (const path of ['/value', '/later']) {
        for (const door of doors) {
          holds(`fails by itself, in a ${door.kind} by ${path}: ${name}`, async () => {
            make = source;
            const visit = await door.open(server, path);
            if (visit.status === 101) await visit.ended();
            else expect(visit.problem).to.include({ status: 500, title: 'Internal Server Error' });
            expect(log.at('error')).to.have.length(1);
          });
        }
      }
    }
  });

  describe('an error that cannot be encoded', () => {
    const { server, log, holds } = mistreated({ controllers: [Unencodable] });

    for (const path of ['/extension', '/message', '/message/later', '/loop', '/loop/later']) {
      holds(`closes its socket with 1011 and is logged: ${path}`, async () => {
        const socket = await server.socket(path);
        socket.send('no JSON');
        expect(await socket.closed()).to.deep.equal({ code: 1011, reason: 'an error could not be sent' });
        expect(log.at('error')).to.have.length(1);
      });
    }
  });
});

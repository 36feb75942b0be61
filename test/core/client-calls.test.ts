import { expect } from 'chai';
import { Body, Connection, Controller, Rpc, Socket, UseMiddleware, WebSocket, type Context } from 'coequal';
import { serve, type TestSocket } from 'coequal/testing';
import { recorder } from '../support/recorder.js';

/** What a call of the server's looks like to its client. */
interface Request {
  readonly id: string;
  readonly method: string;
  readonly params: unknown;
}

interface Answer {
  readonly result?: unknown;
  readonly error?: { readonly code: number; readonly data: { readonly status: number } };
}

describe('text on a socket with calls', () => {
  @Controller('/text')
  class Text {
    @WebSocket() say(@Body() text: string) {
      return `heard: ${text}`;
    }
    @Rpc() ping() {
      return 'pong';
    }
  }

  const server = serve({ controllers: [Text] });

  for (const [what, text] of [
    ['a sentence with the word', 'what is "jsonrpc"?'],
    ['the beginning of an object', '{"jsonrpc":"2.0","method"'],
    ['another version', '{"jsonrpc":"1.0","method":"ping","id":1}'],
    ['a nested call', '{"paste":{"jsonrpc":"2.0","method":"ping"}}'],
    ['an object without a method', '{"jsonrpc":"2.0","id":1}'],
    ['an array of words', '["jsonrpc"]'],
  ] as const) {
    it(`is a message: ${what}`, async () => {
      const socket = await server.socket('/text');
      socket.send(text);
      expect(await socket.next()).to.equal(`heard: ${text}`);
    });
  }

  it('is a call whatever way its members are written', async () => {
    const socket = await server.socket('/text');
    for (const text of [
      ' {"id":1,"method":"ping","jsonrpc":"2.0"}',
      '{"\\u006asonrpc":"2.0","id":1,"method":"ping"}',
    ]) {
      socket.send(text);
      expect(await socket.json()).to.deep.equal({ jsonrpc: '2.0', id: 1, result: 'pong' });
    }
  });

  it('is ignored where it is a response, alone or in a batch', async () => {
    const socket = await server.socket('/text');
    socket.send({ jsonrpc: '2.0', id: 1, result: 'late' });
    socket.send([{ jsonrpc: '2.0', id: 1, error: { code: 1, message: 'no' } }]);
    socket.send('last');
    expect(await socket.next()).to.equal('heard: last');
  });
});

describe('a call whose middleware does not call next()', () => {
  const log = recorder();

  @Controller('/refusing')
  class Refusing {
    @WebSocket() open(): void {}
    @Rpc()
    @UseMiddleware((ctx: Context) => {
      ctx.status = 403;
    })
    refused() {
      return 'ran';
    }
    @Rpc()
    @UseMiddleware(() => undefined)
    forgotten() {
      return 'ran';
    }
  }

  const server = serve({ controllers: [Refusing], logger: log });

  const ask = async (method: string): Promise<Answer> => {
    const socket = await server.socket('/refusing');
    socket.send({ jsonrpc: '2.0', id: 1, method });
    return await socket.json<Answer>();
  };

  it('is an error with the status that the middleware set', async () => {
    const { error, result } = await ask('refused');
    expect([error?.code, error?.data.status, result]).to.deep.equal([-32000, 403, undefined]);
  });

  it('is an internal error without one, and the log names the method', async () => {
    const { error, result } = await ask('forgotten');
    expect([error?.code, result]).to.deep.equal([-32603, undefined]);
    expect(JSON.stringify(log.lines.map(({ fields }) => String(fields.err)))).to.include(
      'Refusing.forgotten',
    );
  });
});

describe('the rate of a socket', () => {
  let ran = 0;

  @Controller('/limited')
  class Limited {
    @WebSocket('/', { rate: 10 }) open(): void {}
    @Rpc() count() {
      return ++ran;
    }
  }

  const server = serve({ controllers: [Limited], logger: false });
  const batch = (size: number): object[] =>
    Array.from({ length: size }, (_, id) => ({ jsonrpc: '2.0', id, method: 'count' }));

  it('counts each call of a batch', async () => {
    const socket = await server.socket('/limited');
    socket.send(batch(10));
    expect(await socket.json()).to.have.length(10);
    ran = 0;
    const greedy = await server.socket('/limited');
    greedy.send(batch(100));
    expect((await greedy.closed()).code).to.equal(1008);
    expect(ran).to.equal(0);
  });
});

describe('the responses to calls of the server', () => {
  @Controller('/asking')
  class Asking {
    @WebSocket('/', { rate: 2 }) async ask(@Socket() socket: Socket) {
      for (let n = 1; n <= 6; n++) await socket.call('next', [n]);
      socket.send('done');
    }
  }

  const server = serve({ controllers: [Asking], logger: false });

  it('do not count as messages of the rate', async () => {
    const socket = await server.socket('/asking');
    for (let n = 1; n <= 6; n++) {
      const { id } = await socket.json<Request>();
      socket.send({ jsonrpc: '2.0', id, result: n });
    }
    expect(await socket.next()).to.equal('done');
  });

  it('count where no call waits for them', async () => {
    const socket = await server.socket('/asking');
    await socket.json<Request>();
    for (let n = 1; n <= 6; n++) socket.send({ jsonrpc: '2.0', id: n, result: n });
    expect((await socket.closed()).code).to.equal(1008);
  });
});

describe('socket.call', () => {
  const errors: unknown[] = [];

  @Controller('/client')
  class Client {
    @WebSocket('/message') async message(@Body() text: string, @Socket() socket: Socket) {
      return await socket.call('shout', [text]).catch((error: Error & { code?: number }) => error.message);
    }
    @WebSocket('/once') async once(@Socket() socket: Socket) {
      socket.send(await socket.call('name'));
    }
    @WebSocket('/limits') async limits(@Socket() socket: Socket) {
      const late = await socket.call('slow', {}, { timeout: 1 }).catch((error: Error) => error.message);
      const aborted = await socket
        .call('slow', {}, { signal: AbortSignal.abort(new Error('enough')) })
        .catch((error: Error) => error.message);
      socket.send([late, aborted]);
      await socket.call('last').catch((error: Error) => errors.push(error.message));
      errors.push('over');
    }
  }

  @Controller('/client/calls')
  class Both {
    @WebSocket() open(): void {}
    @Rpc() async greet(@Connection() socket: Connection) {
      return `hello ${await (socket as Socket).call<string>('name')}`;
    }
    @Rpc() ping() {
      return 'pong';
    }
  }

  const server = serve({ controllers: [Client, Both], logger: false });

  const request = async (socket: TestSocket): Promise<Request> => await socket.json<Request>();

  it('resolves with the result, also in a handler that keeps other messages waiting', async () => {
    const socket = await server.socket('/client/message');
    socket.send('hello');
    for (let i = 0; i < 40; i++) socket.send('waits');
    const { id, method, params } = await request(socket);
    expect([method, params]).to.deep.equal(['shout', ['hello']]);
    socket.send({ jsonrpc: '2.0', id, result: 'HELLO' });
    expect(await socket.next()).to.equal('HELLO');
  });

  it('rejects with the error of the client', async () => {
    const socket = await server.socket('/client/message');
    socket.send('hello');
    const { id } = await request(socket);
    socket.send({ jsonrpc: '2.0', id, error: { code: -32601, message: 'Method not found' } });
    expect(await socket.next()).to.equal(
      'the client answered the call shout with an error: Method not found',
    );
  });

  it('resolves with a response in a batch of calls, while a call keeps them waiting', async () => {
    const socket = await server.socket('/client/calls');
    socket.send({ jsonrpc: '2.0', id: 1, method: 'greet' });
    const { id } = await request(socket);
    socket.send([
      { jsonrpc: '2.0', id, result: 'Ada' },
      { jsonrpc: '2.0', id: 2, method: 'ping' },
    ]);
    expect(await socket.json()).to.have.property('result', 'hello Ada');
    expect(await socket.json()).to.have.deep.nested.property('[0].result', 'pong');
  });

  it('ignores a response with an id that was never sent', async () => {
    const socket = await server.socket('/client/once');
    const { id } = await request(socket);
    socket.send({ jsonrpc: '2.0', id: 1, result: 'guessed' });
    socket.send({ jsonrpc: '2.0', id, result: 'Ada' });
    expect(await socket.next()).to.equal('Ada');
  });

  it('rejects after its time, when its signal aborts, and when the socket closes', async () => {
    const socket = await server.socket('/client/limits');
    await request(socket);
    expect(await socket.json()).to.deep.equal([
      'the client did not answer the call slow within 1 ms',
      'enough',
    ]);
    await request(socket);
    socket.close();
    await socket.closed();
    expect(errors).to.deep.equal(['the socket closed before the client answered the call last', 'over']);
  });
});

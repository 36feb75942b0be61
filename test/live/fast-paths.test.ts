import type { Writable } from 'node:stream';
import { expect } from 'chai';
import { Connection, Controller, Ctx, Socket, Sse, WebSocket, type Context } from 'coequal';
import { serve } from 'coequal/testing';
import { fastPaths } from '../../src/live/encoding/fast-paths.js';

/** The bytes that the receiver of ws is given from now on. */
function seenByWs(socket: Socket<string>): { bytes: number } {
  const receiver = Reflect.get(socket.raw, '_receiver') as Writable;
  const seen = { bytes: 0 };
  const write = receiver.write.bind(receiver) as (chunk: Buffer) => boolean;
  receiver.write = (chunk: Buffer): boolean => {
    seen.bytes += chunk.length;
    return write(chunk);
  };
  return seen;
}

describe('fast paths', () => {
  let seen = { bytes: 0 };
  let writesToSocket: boolean | undefined;

  @Controller()
  class Fast {
    @WebSocket('/echo') async echo(@Socket(String) socket: Socket<string>) {
      seen = seenByWs(socket);
      for await (const text of socket) socket.send(text);
    }
    @Sse('/events') events(@Ctx() ctx: Context, @Connection() connection: Connection) {
      setImmediate(() => {
        const outbox = Reflect.get(connection, 'outbox') as { sink: Writable };
        writesToSocket = outbox.sink === ctx.request.socket;
        connection.send('event');
      });
    }
  }

  const server = serve({ controllers: [Fast], limits: { message: 100_000 } });

  it('read an echo without the receiver of ws, unless they are turned off', async () => {
    const socket = await server.socket('/echo');
    for (const text of ['a', 'é', 'b'.repeat(1_000)]) {
      socket.send(text);
      expect(await socket.next()).to.equal(text);
    }
    expect(seen.bytes === 0, `${seen.bytes} bytes`).to.equal(fastPaths);
  });

  it('leave large messages to the receiver of ws', async () => {
    const socket = await server.socket('/echo');
    socket.send('c'.repeat(70_000));
    expect(await socket.next()).to.have.length(70_000);
    expect(seen.bytes).to.be.above(70_000);
  });

  it('write events straight to the connection, unless they are turned off', async () => {
    const stream = await server.sse('/events');
    expect((await stream.next()).data).to.equal('event');
    expect(writesToSocket).to.equal(fastPaths);
  });
});

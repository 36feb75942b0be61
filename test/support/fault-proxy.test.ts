import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { expect } from 'chai';
import { until } from './deferred.js';
import { FaultProxy, type Link, type Pace } from './fault-proxy.js';

describe('the fault proxy', () => {
  let server: Server;
  let proxy: FaultProxy;

  const ends: End[] = [];

  function end(socket: Socket): End {
    ends.push(new End(socket));
    return ends[ends.length - 1] as End;
  }

  afterEach(() => {
    proxy.close();
    server.close();
    for (const { socket } of ends.splice(0)) socket.destroy();
  });

  /** A client and the server's end of its connection, with the proxy between them. */
  async function start(plan: (link: Link, index: number) => void = () => undefined) {
    server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    proxy = new FaultProxy({ url: () => Promise.resolve(`http://localhost:${port}`) }, plan);
    const accepted = once(server, 'connection');
    const client = connect({
      port: Number(new URL(await proxy.url()).port),
      host: '127.0.0.1',
      allowHalfOpen: true,
      noDelay: true,
    });
    const [served] = (await accepted) as [Socket];
    const [link] = proxy.links as [Link];
    return { client: end(client), served: end(served), link };
  }

  for (const pace of ['whole', 'late', 'bytes', 'gathered'] as Pace[]) {
    it(`hands on all bytes both ways, in order, and the end of each (${pace})`, async () => {
      const { client, served } = await start(({ up, down }) => {
        up.pace = down.pace = pace;
      });
      client.socket.write('ask');
      await served.until('ask');
      served.socket.end('answer '.repeat(100));
      await client.until('answer '.repeat(100));
      await until(() => client.ended);
      client.socket.end(' and thanks');
      await served.until('ask and thanks');
      await until(() => served.ended);
    });
  }

  it('splits byte by byte', async () => {
    const { client, served } = await start(({ up }) => {
      up.pace = 'bytes';
    });
    client.socket.write('0123456789');
    await served.until('0123456789');
    expect(served.chunks.length).to.be.greaterThan(5);
  });

  it('holds back what comes until it is released, and then hands it on in one go', async () => {
    const { client, served, link } = await start();
    const release = link.up.hold();
    for (const word of ['one ', 'two ', 'three']) {
      client.socket.write(word);
      await until(() => link.client.bytesRead === client.socket.bytesWritten);
    }
    link.down.hold()();
    served.socket.write('the other way is open');
    await client.until('the other way is open');
    expect(served.text).to.equal('');
    release();
    await served.until('one two three');
    expect(served.chunks).to.have.lengthOf(1);
    client.socket.write('!');
    await served.until('one two three!');
  });

  for (const way of ['up', 'down'] as const) {
    it(`resets both sides after so many bytes ${way}`, async () => {
      const { client, served } = await start((link) => {
        link[way].cut = { after: 5, by: 'reset' };
      });
      const [from, to] = way === 'up' ? [client, served] : [served, client];
      from.socket.write('0123');
      await to.until('0123');
      from.socket.write('456789');
      await until(() => client.over && served.over);
      expect(to.text).to.equal('01234');
      expect(from.error).to.equal('ECONNRESET');
    });

    it(`closes one half after so many bytes ${way}, and leaves the other open`, async () => {
      const { client, served } = await start((link) => {
        link[way].cut = { after: 5, by: 'half-close' };
      });
      const [from, to] = way === 'up' ? [client, served] : [served, client];
      from.socket.write('0123456789');
      await until(() => to.ended);
      expect(to.text).to.equal('01234');
      to.socket.write('still here');
      await from.until('still here');
      expect(from.ended).to.equal(false);
    });
  }

  it('lets a connection vanish: nothing passes any more, not even the end, and nobody is told', async () => {
    const { client, served } = await start(({ down }, index) => {
      if (index === 0) down.cut = { after: 5, by: 'vanish' };
    });
    served.socket.write('0123456789');
    await client.until('01234');
    client.socket.end('farewell');
    served.socket.write('more');
    const other = end(connect({ port: Number(new URL(await proxy.url()).port), host: '127.0.0.1' }));
    const [late] = (await once(server, 'connection')) as [Socket];
    end(late).socket.end('another connection is as it was');
    await other.until('another connection is as it was');
    expect([client.text, served.text, client.over, served.over]).to.deep.equal(['01234', '', false, false]);
  });

  it('is cut by its server as by its network', async () => {
    const { client, served } = await start();
    served.socket.resetAndDestroy();
    await until(() => client.over);
    expect(client.error).to.equal('ECONNRESET');
  });
});

/** One end of a connection, and what it has seen. */
class End {
  readonly chunks: string[] = [];
  ended = false;
  error: string | undefined = undefined;

  constructor(readonly socket: Socket) {
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => this.chunks.push(chunk));
    socket.on('end', () => (this.ended = true));
    socket.on('error', ({ code }: NodeJS.ErrnoException) => (this.error = code));
  }

  get text(): string {
    return this.chunks.join('');
  }

  /** Whether it has heard of the end, orderly or not. */
  get over(): boolean {
    return this.ended || this.error !== undefined;
  }

  until(text: string): Promise<void> {
    return until(() => this.text === text);
  }
}

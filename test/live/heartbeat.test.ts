import { expect } from 'chai';
import { Connections, Controller, Sse, WebSocket } from 'coequal';
import type { TestServer } from 'coequal/testing';
import { doors, knock, servers, type Door } from '../support/doors.js';
import { eventually } from '../support/eventually.js';

@Controller('/quiet')
class Quiet {
  @Sse()
  @WebSocket()
  open() {
    return undefined;
  }
}

describe('the heartbeat', () => {
  const serve = servers();
  const start = () => serve({ controllers: [Quiet], heartbeat: 32 });
  const count = (server: TestServer) => server.app.container.resolve(Connections).count;

  it('pings sockets, and keeps those that answer', async () => {
    const server = start();
    const socket = await server.socket('/quiet');
    let pings = 0;
    socket.raw.on('ping', () => pings++);
    await eventually(() => pings >= 4);
    expect(count(server)).to.equal(1);
  });

  it('cuts a socket that was silent for a whole round', async () => {
    const server = start();
    const client = await knock(server, doors.find(({ kind }) => kind === 'websocket') as Door, '/quiet');
    client.resume();
    await eventually(() => client.closed && count(server) === 0);
  });

  it('keeps a socket whose one large message is still being taken, or still arrives', async () => {
    const server = serve({ controllers: [Quiet], heartbeat: 400, limits: { message: 1_000_000 } });
    const websocket = doors.find(({ kind }) => kind === 'websocket') as Door;
    const [taking, sending] = [
      await knock(server, websocket, '/quiet'),
      await knock(server, websocket, '/quiet'),
    ];
    const [connection] = [...server.app.container.resolve(Connections)];
    connection?.send(Buffer.alloc(12_000_000));
    let taken = 0;
    for (const client of [taking, sending]) client.on('error', () => client.destroy());
    taking.on('data', (part: Buffer) => {
      taken += part.length;
      taking.pause();
      setTimeout(() => taking.resume(), 4);
    });
    taking.resume();
    // A frame of 100,000 bytes, of which 60 come at a time.
    sending.write(Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0, 1, 0x86, 0xa0, 0, 0, 0, 0]));
    const drip = setInterval(() => sending.write(Buffer.alloc(60)), 8);
    await eventually(() => taken >= 12_000_000);
    expect(count(server)).to.equal(2);
    clearInterval(drip);
    await eventually(() => count(server) < 2);
    for (const client of [taking, sending]) client.destroy();
  });

  it('keeps a socket whose peer takes what the system has accepted at the pace of a slow line', async () => {
    const server = serve({ controllers: [Quiet], heartbeat: 100 });
    const websocket = doors.find(({ kind }) => kind === 'websocket') as Door;
    const [slow, idle] = [await knock(server, websocket, '/quiet'), await knock(server, websocket, '/quiet')];
    await eventually(() => count(server) === 2);
    const [connection] = [...server.app.container.resolve(Connections)];
    connection?.send('x'.repeat(8_000));
    idle.resume();
    await eventually(() => idle.closed);
    expect(connection?.closed).to.equal(undefined);
    await eventually(() => count(server) === 0);
    slow.destroy();
  });

  it('cuts a stream that takes none of what waits for it in two rounds', async () => {
    const server = start();
    const client = await knock(server, doors.find(({ kind }) => kind === 'sse') as Door, '/quiet');
    client.pause();
    for (const connection of server.app.container.resolve(Connections)) {
      while (!connection.needsDrain) {
        connection.send('x'.repeat(60_000));
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    await eventually(() => count(server) === 0);
    client.destroy();
  });

  it('sends comments to streams', async () => {
    const server = start();
    const stream = await server.sse('/quiet');
    for (let i = 0; i < 3; i++) await stream.comment();
    expect(count(server)).to.equal(1);
  });

  it('beats once a round for each of many, spread over the round', async () => {
    const server = start();
    const beats: number[] = [];
    for (let i = 0; i < 32; i++) {
      const socket = await server.socket('/quiet');
      socket.raw.once('ping', () => beats.push(performance.now()));
    }
    await eventually(() => beats.length === 32);
    expect(count(server)).to.equal(32);
    expect(Math.max(...beats) - Math.min(...beats)).to.be.greaterThan(8);
  });
});

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

import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { expect } from 'chai';
import 'reflect-metadata';
import { container } from 'tsyringe';
import { WebSocket, WebSocketServer } from 'ws';
import { inFlightOn } from '../../src/core/node/pipeline.js';
import { bytesAccepted, bytesReceived, isBlocked, KernelQueues } from '../../src/core/node/tcp-progress.js';
import { turns, until } from '../support/deferred.js';

/** More than the system takes for a client that reads nothing. */
const LARGE = 40_000_000;

describe('what Node tells of the bytes on a connection', () => {
  it('is what core/node/tcp-progress reads: adapt that file to this version of Node', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const connected = once(server, 'connection') as Promise<[Socket]>;
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1').pause();
    const [socket] = await connected;
    const node = process.version;
    client.write('12345');
    await once(socket.resume(), 'data');
    expect(bytesReceived(socket), `_handle.bytesRead in ${node}`).to.equal(5);

    expect(isBlocked(socket), `nothing waits in ${node}`).to.equal(false);
    socket.write(Buffer.alloc(LARGE));
    await until(() => bytesAccepted(socket) > 0);
    const accepted = bytesAccepted(socket);
    expect(isBlocked(socket), `_handle.writeQueueSize in ${node}`).to.equal(true);
    expect(accepted, `_handle.bytesWritten in ${node}`).to.be.within(1, LARGE - 1);
    if (process.platform === 'linux')
      expect((await KernelQueues.read()).of(socket), 'tx_queue in /proc/self/net/tcp').to.be.above(0);

    client.resume();
    await until(() => bytesAccepted(socket) === LARGE);
    await until(() => !isBlocked(socket));
    client.destroy();
    socket.destroy();
    server.close();
  });
});

describe('what Node tells of the responses on a connection', () => {
  it('is what core/node/pipeline reads: adapt that file to this version of Node', async () => {
    const seen: unknown[] = [];
    const server = createHttpServer((request, response) => {
      seen.push(Reflect.get(request.socket, '_paused'), inFlightOn(request.socket) === response);
      response.write(Buffer.alloc(LARGE));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1').pause();
    client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => seen.length === 2);
    await turns();
    client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => seen.length === 4);
    client.destroy();
    server.closeAllConnections();
    server.close();

    const names = `socket._paused and socket._httpMessage in ${process.version}`;
    expect(seen, names).to.deep.equal([false, true, true, false]);
  });
});

describe('what ws tells of the messages on a socket', () => {
  it('is what live/messages reads: adapt ws-socket and frame-reader to this version of ws', async () => {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await once(server, 'listening');
    const opened = once(server, 'connection') as Promise<[WebSocket, { socket: Socket }]>;
    const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
    const [socket, { socket: stream }] = await opened;
    const receiver = Reflect.get(socket, '_receiver') as { _fragmented: number; _state: number };
    expect(receiver, 'WebSocket._receiver').to.include({ _fragmented: 0, _state: 0 });
    expect(stream.listeners('data'), 'listeners of data: ws alone').to.have.lengthOf(1);
    expect(stream.listeners('end').at(-1), 'the last listener of end is the one of ws').to.have.property(
      'name',
      'socketOnEnd',
    );

    await once(client, 'open');
    client.send('a', { fin: false });
    await until(() => receiver._fragmented === 1);
    client.terminate();
    socket.terminate();
    server.close();
  });
});

describe('what tsyringe tells of a container', () => {
  it('is what core/injection/tsyringe reads: adapt that file to this version of tsyringe', () => {
    const child = container.createChildContainer() as unknown as Record<string, unknown>;
    for (const method of [
      'getRegistration',
      'getAllRegistrations',
      'construct',
      'resolveRegistration',
    ] as const)
      expect(child[method], method).to.be.a('function');
    expect(child['_registry']).to.respondTo('has').and.to.respondTo('getAll').and.to.respondTo('setAll');
    expect(child['disposables']).to.be.instanceOf(Set);
    expect(child['parent']).to.equal(container);
  });
});

import { expect } from 'chai';
import { Body, Controller, Get, Post } from 'coequal';
import { mistreated } from '../../support/canary.js';
import { deferred, turns, until, type Deferred } from '../../support/deferred.js';
import { RawClient } from '../../support/raw-client.js';
import { LONG } from '../../support/long.js';

const REQUESTS = LONG ? 50_000 : 10_000;
/** One read by Node takes so many bytes at most. */
const READ = 65_536;

let go: Deferred<void>;
let began = 0;
let running = 0;
let most = 0;

async function work(): Promise<void> {
  began++;
  most = Math.max(most, ++running);
  await go.promise;
  running--;
}

@Controller('/account')
class Account {
  @Get() async show() {
    await work();
    return 'shown';
  }
  @Post() async add(@Body() text: string) {
    await work();
    return text;
  }
}

const get = (...fields: string[]): string =>
  ['GET /account HTTP/1.1', 'Host: a', ...fields, '', ''].join('\r\n');
const post = (...fields: string[]): string =>
  [
    'POST /account HTTP/1.1',
    'Host: a',
    'Content-Type: text/plain',
    ...fields,
    'Content-Length: 1',
    '',
    '1',
  ].join('\r\n');

describe('HTTP', () => {
  describe(`${REQUESTS} pipelined requests`, () => {
    const { server, log, holds } = mistreated({ controllers: [Account] });
    beforeEach(() => {
      go = deferred();
      began = running = most = 0;
    });

    for (const [name, request] of [
      ['GET', get],
      ['POST', post],
    ] as const) {
      holds(`run one after another, and are not read while they wait (${name})`, async function () {
        this.timeout(60_000);
        let read = (): number => 0;
        server.app.server.once('connection', (socket) => (read = () => socket.bytesRead));
        const client = await RawClient.connect(await server.url());
        client.write(request().repeat(REQUESTS - 1) + request('Connection: close'));
        await until(() => began > 0);
        await turns(100);
        expect([began, read() <= 3 * READ]).to.deep.equal([1, true]);
        go.resolve();
        await client.closed();

        expect(client.received.toString('latin1').match(/HTTP\/1\.1 200 /g)).to.have.lengthOf(REQUESTS);
        expect([began, most]).to.deep.equal([REQUESTS, 1]);
      });

      holds(`end with a client that leaves, and only the first has run (${name})`, async () => {
        let socketClosed = false;
        server.app.server.once('connection', (socket) => socket.once('close', () => (socketClosed = true)));
        const client = await RawClient.connect(await server.url());
        client.write(request().repeat(20));
        await until(() => began > 0);
        client.reset();
        await until(() => socketClosed);
        go.resolve();
        await until(() => server.app.stats().inFlight.exchanges === 0);
        await turns();

        expect([began, log.lines]).to.deep.equal([1, []]);
      });
    }
  });
});

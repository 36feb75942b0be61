import { once } from 'node:events';
import { expect } from 'chai';
import { Controller, createApp, Get } from 'coequal';
import { createParser } from 'eventsource-parser';
import { WebSocket } from 'ws';
import { Child, children } from '../../support/child.js';
import { sample } from '../../support/long.js';

interface Line {
  level: string;
  message: string;
  cause: string;
  route?: string;
}

const REJECTED = 'unhandledRejection: no code awaits this promise';
const UNCAUGHT = 'uncaughtException: shutting down';

/** Ways to throw where nobody can catch. */
const THROWING = ['timeout', 'immediate', 'tick', 'emitter', 'stream'];

type Ask = (url: string, fault: string) => Promise<unknown>;

/** Where user code runs, what a logger that knows the route says there, and how a client makes it run. */
const PLACES: [name: string, route: { route?: string }, ask: Ask][] = [
  ['a handler', { route: 'http /handler' }, asking('/handler', text)],
  ['a guard', { route: 'http /guard' }, asking('/guard', text)],
  ["a parameter's reader", { route: 'http /reader' }, asking('/reader', text)],
  // It runs when the exchange is over, and outside of what its middleware has wrapped.
  ['deferred work', {}, asking('/deferred', text)],
  ['the source of a body', { route: 'http /source' }, asking('/source', text)],
  ['the source of a stream', { route: 'sse /stream' }, asking('/stream', event)],
  ['a message handler', { route: 'websocket /messages' }, asking('/messages', (url) => message(url, 'text'))],
  ['a call', { route: 'websocket /calls' }, asking('/calls', call)],
];

function asking(path: string, ask: (url: string) => Promise<unknown>): Ask {
  return (url, fault) => ask(`${url}${path}?fault=${encodeURIComponent(fault)}`);
}

async function text(url: string): Promise<unknown> {
  return (await fetch(url, { headers: { connection: 'close' } })).text();
}

async function event(url: string): Promise<unknown> {
  const response = await fetch(url, { headers: { accept: 'text/event-stream' } });
  let data: string | undefined;
  const parser = createParser({ onEvent: (one) => (data ??= one.data) });
  parser.feed(await response.text());
  return data;
}

async function message(url: string, content: string): Promise<unknown> {
  const socket = new WebSocket(url.replace('http', 'ws'));
  await once(socket, 'open');
  socket.send(content);
  const [data] = (await once(socket, 'message')) as [Buffer];
  socket.close();
  return data.toString();
}

async function call(url: string): Promise<unknown> {
  const answer = await message(url, JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'call' }));
  return (JSON.parse(answer as string) as { result: unknown }).result;
}

describe('Process', function () {
  // Each process takes its time to start.
  this.timeout(20_000);
  const start = children();

  const lines = (child: Child): Line[] => child.told.filter((one) => typeof one === 'object') as Line[];
  const isLine = (one: unknown): boolean => typeof one === 'object';

  describe('promises of user code that nobody awaits', () => {
    let child: Child;
    let canary: WebSocket;
    before(async () => {
      child = await Child.start('faulty', ['signals']);
      canary = new WebSocket(`${child.url.replace('http', 'ws')}/canary`);
      await once(canary, 'open');
    });
    after(() => child.kill('SIGKILL'));

    for (const [name, route, ask] of PLACES) {
      it(`are told with their route, and the exchange is answered: of ${name}`, async () => {
        for (const fault of ['rejection', 'async function', 'undefined']) {
          child.told.length = 0;
          expect(await ask(child.url, fault)).to.equal('answered');
          const cause = fault === 'undefined' ? fault : `Error: ${fault}`;
          expect(await child.until(isLine)).to.deep.equal({
            level: 'error',
            message: REJECTED,
            cause,
            ...route,
          });
          expect(await text(`${child.url}/canary`)).to.equal('alive');
          canary.send('alive');
          expect(String((await once(canary, 'message'))[0])).to.equal('alive');
          expect(lines(child)).to.have.length(1);
        }
      });
    }

    it('are no reason to end: the process ends when it is told, with 0', async () => {
      const closed = once(canary, 'close');
      child.kill('SIGTERM');
      expect((await closed)[0]).to.equal(1012);
      expect(await child.exit).to.deep.equal([0, null]);
      expect(child.stderr).to.equal('');
    });
  });

  describe('exceptions of user code that nobody catches', () => {
    const cases = PLACES.map((place, index) => [...place, THROWING[index % THROWING.length] ?? ''] as const);
    for (const [name, route, ask, fault] of sample(cases, 2)) {
      it(`are told with their route, and the process drains and ends with 1: ${fault}, of ${name}`, async () => {
        const child = await start('faulty', ['signals']);
        const slow = fetch(`${child.url}/slow`).then(async (response) => (await response.text()).length);
        const canary = new WebSocket(`${child.url.replace('http', 'ws')}/canary`);
        const closed = once(canary, 'close');
        await once(canary, 'open');
        await child.until((one) => one === 'waiting');

        expect(await ask(child.url, fault)).to.equal('answered');
        const line = await child.until(isLine);
        expect(line).to.deep.equal({ level: 'error', message: UNCAUGHT, cause: `Error: ${fault}`, ...route });
        expect((await closed)[0], 'sockets are told').to.equal(1012);
        child.process.send('go');
        expect(await slow, 'what is in flight is answered').to.equal(1_000_000);
        expect(await child.exit).to.deep.equal([1, null]);
        expect(lines(child)).to.have.length(1);
        expect(child.stderr).to.equal('');
      });
    }

    it('are each told while the process drains, and it ends with 1', async () => {
      const child = await start('faulty', ['signals']);
      const slow = fetch(`${child.url}/slow`).then((response) => response.text());
      await child.until((one) => one === 'waiting');
      expect(await text(`${child.url}/repeated`)).to.equal('answered');
      await child.until((one) => (one as Line).cause === 'Error: time 3');
      child.process.send('go');
      expect((await slow).length).to.equal(1_000_000);
      expect(await child.exit).to.deep.equal([1, null]);
      expect(lines(child).map(({ cause }) => cause)).to.deep.equal([
        'Error: time 1',
        'Error: time 2',
        'Error: time 3',
      ]);
    });

    it('leave a signal to end the process at once, while it drains', async () => {
      const child = await start('faulty', ['signals']);
      const slow = fetch(`${child.url}/slow`).then(
        () => 'answered',
        () => 'cut',
      );
      await child.until((one) => one === 'waiting');
      await text(`${child.url}/handler?fault=immediate`);
      await child.until(isLine);
      child.kill('SIGTERM');
      expect(await child.exit).to.deep.equal([143, null]);
      expect(await slow).to.equal('cut');
    });
  });

  describe('an application that does not own the process', () => {
    for (const fault of ['rejection', 'immediate']) {
      it(`leaves it to Node what nobody catches: ${fault}`, async () => {
        const child = await start('faulty');
        await text(`${child.url}/handler?fault=${fault}`).catch(() => 'cut');
        expect(await child.exit).to.deep.equal([1, null]);
        expect(child.stderr).to.include(`Error: ${fault}`);
        expect(lines(child)).to.deep.equal([]);
      });
    }

    @Controller()
    class Plain {
      @Get() get() {
        return 'here';
      }
    }
    const EVENTS = ['SIGTERM', 'SIGINT', 'uncaughtException', 'unhandledRejection'] as const;
    const counts = (): number[] => EVENTS.map((event) => process.listenerCount(event));

    it('listens to nothing of the process, and one that does stops with its end', async () => {
      const before = counts();
      const guest = createApp({ controllers: [Plain] });
      await guest.listen();
      expect(counts()).to.deep.equal(before);
      const owner = createApp({ controllers: [Plain] });
      await owner.listen({ signals: true });
      expect(counts()).to.deep.equal(before.map((count) => count + 1));
      await owner.close();
      expect(counts()).to.deep.equal(before);
      await guest.close();
    });
  });
});

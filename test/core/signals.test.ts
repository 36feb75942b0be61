import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { WebSocket } from 'ws';
import { RawClient } from '../support/raw-client.js';

const FIXTURE = fileURLToPath(new URL('../fixtures/closing.js', import.meta.url));

describe('a process that listens with signals', () => {
  const children: ChildProcess[] = [];
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
  });

  async function start(): Promise<{ child: ChildProcess; url: string; exit: Promise<unknown[]> }> {
    const child = fork(FIXTURE, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    children.push(child);
    const exit = once(child, 'exit');
    const [url] = (await once(child, 'message')) as [string];
    return { child, url, exit };
  }

  /** Resolves when the process has said `waiting` so often. */
  function waiting(child: ChildProcess, times: number): Promise<void> {
    return new Promise((resolve) => {
      let count = 0;
      child.on('message', (message) => {
        if (message === 'waiting' && ++count === times) resolve();
      });
    });
  }

  async function open(url: string): Promise<{ code: Promise<number> }> {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/open`);
    const code = once(socket, 'close').then(([closed]) => closed as number);
    await once(socket, 'open');
    return { code };
  }

  async function stream(url: string): Promise<RawClient> {
    const client = await RawClient.connect(url);
    client.head('GET /open HTTP/1.1', 'Host: localhost', 'Accept: text/event-stream');
    await client.opening();
    return client;
  }

  /** Makes many, some at a time, so that no backlog overflows. */
  async function many<T>(count: number, make: () => Promise<T>): Promise<T[]> {
    const all: T[] = [];
    while (all.length < count) all.push(...(await Promise.all(Array.from({ length: 100 }, make))));
    return all;
  }

  it('answers 10 requests whole, tells 1,000 sockets and 1,000 streams, and exits with 0', async function () {
    this.timeout(20_000);
    const { child, url, exit } = await start();
    const sockets = await many(1_000, () => open(url));
    const streams = await many(1_000, () => stream(url));
    const underWay = waiting(child, 10);
    const requests = Array.from({ length: 10 }, async () => {
      const response = await fetch(`${url}/slow`);
      return [response.status, (await response.text()).length];
    });
    await underWay;
    child.kill('SIGTERM');
    for (const answer of await Promise.all(requests)) expect(answer).to.deep.equal([200, 1_000_000]);
    const codes = await Promise.all(sockets.map(({ code }) => code));
    expect(new Set(codes)).to.deep.equal(new Set([1012]));
    const retries = await Promise.all(
      streams.map(async (client) => {
        const { body } = await client.answer();
        return /retry: (\d+)\n\n$/.exec(body)?.[1];
      }),
    );
    expect(retries).to.not.include(undefined);
    expect(new Set(retries).size, 'no herd returns at once').to.be.greaterThan(500);
    expect(await exit).to.deep.equal([0, null]);
  });

  it('ends in order on SIGINT as well', async () => {
    const { child, url, exit } = await start();
    const socket = await open(url);
    child.kill('SIGINT');
    expect(await socket.code).to.equal(1012);
    expect(await exit).to.deep.equal([0, null]);
  });

  for (const [signal, code] of [
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const) {
    it(`ends at once on a second signal, ${signal}`, async () => {
      const { child, url, exit } = await start();
      const socket = await open(url);
      const underWay = waiting(child, 1);
      const request = fetch(`${url}/stuck`).then(
        () => 'answered',
        () => 'cut',
      );
      await underWay;
      child.kill('SIGTERM');
      expect(await socket.code, 'the first was taken').to.equal(1012);
      child.kill(signal);
      expect(await exit).to.deep.equal([code, null]);
      expect(await request).to.equal('cut');
    });
  }

  it('is kept alive by nothing once it is closed', async () => {
    const { url, exit } = await start();
    const [socket, events] = await Promise.all([open(url), stream(url)]);
    expect(await (await fetch(`${url}/end`)).text()).to.equal('ending');
    await socket.code;
    await events.closed();
    expect(await exit).to.deep.equal([0, null]);
  });
});

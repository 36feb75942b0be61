import type { ServerResponse } from 'node:http';
import { expect } from 'chai';
import { connect, Controller, createApp, Ctx, Get, Sse, WebSocket, type App, type Context } from 'coequal';
import { RawClient } from '../support/raw-client.js';

type Write = (response: ServerResponse) => void;

/** Responses written by hand that say two things of their framing, or something that cannot be. */
const CONTRADICTIONS: Record<string, Write> = {
  'a length and chunks': (response) => {
    response.writeHead(200, { 'Content-Length': 5, 'Transfer-Encoding': 'chunked' }).end('hello');
  },
  'a length and chunks, as a list': (response) => {
    response.writeHead(200, ['Content-Length', '5', 'Transfer-Encoding', 'chunked']).end('hello');
  },
  'a length that was set, and chunks with the head': (response) => {
    response.setHeader('content-length', 5);
    response.writeHead(200, { 'transfer-encoding': 'chunked' });
    response.write('he');
    response.end('llo');
  },
  'two lengths': (response) => {
    response.setHeader('content-length', ['5', '6']);
    response.end('hello');
  },
  'two lengths, as pairs': (response) => {
    response.writeHead(200, [
      ['content-length', '5'],
      ['content-length', '6'],
    ] as never);
    response.end('hello');
  },
  'a length that is no number': (response) => {
    response.setHeader('content-length', '5x');
    response.end('hello');
  },
  'a coding that is none': (response) => {
    response.setHeader('transfer-encoding', 'identity');
    response.write('he');
    response.end('llo');
  },
  'a coding without chunks': (response) => {
    response.setHeader('transfer-encoding', 'gzip');
    response.write('he');
    response.end('llo');
  },
};

describe('a response that is written by hand', () => {
  let write: Write;
  let app: App;
  let url: string;
  const logged: string[] = [];

  beforeEach(async () => {
    const byHand = connect((_request, response: ServerResponse) => write(response));

    @Controller()
    class Written {
      @Get('/written') written() {
        return 'never';
      }
      @WebSocket('/written') socket() {
        return 'never';
      }
      @Sse('/counted') async *counted() {
        yield 'one';
        await Promise.resolve();
      }
      @Get('/reset') reset(@Ctx() ctx: Context) {
        ctx.status = 205;
        return 'a body';
      }
      @Get('/next') next() {
        return 'next';
      }
    }
    const guard = (ctx: Context, next: () => Promise<void>) => {
      if (ctx.path === '/counted') ctx.setHeader('content-length', 3);
      return ctx.path === '/written' ? byHand(ctx, next) : next();
    };
    logged.length = 0;
    const log = (_fields: object, message: string): void => void logged.push(message);
    const logger = { info: log, warn: log, error: log };
    app = createApp({ controllers: [Written], middleware: [guard], logger });
    ({ url } = await app.listen());
  });

  afterEach(() => app.close());

  /** All that a connection brings for one request and another behind it. */
  async function ask(head: string, by: Write = () => undefined): Promise<string> {
    write = by;
    const client = await RawClient.connect(url);
    client.write(`${head}\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
    await client.closed();
    return client.received.toString('latin1');
  }

  async function upgrade(by: Write): Promise<string> {
    write = by;
    const client = await RawClient.connect(url);
    client.head(
      'GET /written HTTP/1.1',
      'Host: a',
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    );
    await client.closed();
    return client.received.toString('latin1');
  }

  /** The body of the first response by its head, which says it once, and what follows it. */
  function read(text: string): { body: string; rest: string } {
    const end = text.indexOf('\r\n\r\n');
    const head = text.slice(0, end).toLowerCase();
    const after = text.slice(end + 4);
    const lengths = [...head.matchAll(/content-length: (.*)/g)].map(([, length]) => length);
    const codings = [...head.matchAll(/transfer-encoding: (.*)/g)].map(([, coding]) => coding);
    expect([...lengths, ...codings]).to.have.length(1);
    if (lengths.length > 0) {
      return { body: after.slice(0, Number(lengths[0])), rest: after.slice(Number(lengths[0])) };
    }
    expect(codings).to.deep.equal(['chunked']);
    const last = after.indexOf('0\r\n\r\n');
    const body = after.slice(0, last).replace(/[\da-f]+\r\n([^\r]*)\r\n/g, '$1');
    return { body, rest: after.slice(last + 5) };
  }

  for (const [title, by] of Object.entries(CONTRADICTIONS)) {
    it(`is framed once where it has ${title}`, async () => {
      const { body, rest } = read(await ask('GET /written HTTP/1.1', by));

      expect(body).to.equal('hello');
      expect(rest)
        .to.match(/^HTTP\/1\.1 200 /)
        .and.match(/next$/);
    });

    it(`is framed once where it refuses an upgrade and has ${title}`, async () => {
      expect(read(await upgrade(by))).to.deep.equal({ body: 'hello', rest: '' });
    });
  }

  it('has no transfer coding for HTTP/1.0', async () => {
    const answer = await ask('GET /written HTTP/1.0', (response) => {
      response.setHeader('transfer-encoding', 'chunked');
      response.write('he');
      response.end('llo');
    });

    expect(answer).not.to.match(/transfer-encoding/i);
    expect(answer).to.match(/\r\n\r\nhello$/);
  });

  it('has no trailers for HEAD, which has no chunks', async () => {
    const answer = await ask('HEAD /written HTTP/1.1', (response) => {
      response.writeHead(200, { trailer: 'x-sum' });
      response.addTrailers({ 'x-sum': '1' });
      response.end();
    });

    expect(answer)
      .to.match(/^HTTP\/1\.1 200 OK\r\n/)
      .and.not.match(/x-sum/);
    expect(answer.endsWith('next')).to.equal(true);
  });

  for (const status of [100, 101, 199]) {
    it(`is a 500 where its status would be interim: ${status}`, async () => {
      const answer = await ask('GET /written HTTP/1.1', (response) => {
        response.statusCode = status;
        response.end('hello');
      });

      expect(answer).to.match(/^HTTP\/1\.1 500 /);
      expect(answer.endsWith('next')).to.equal(true);
    });
  }

  it('is a 500 where its head is found invalid at its end', async () => {
    for (const by of [
      (response: ServerResponse) => {
        response.statusMessage = 'OK\r\nX-Forged: 1';
        response.end('hello');
      },
      (response: ServerResponse) => {
        response.statusCode = 1_000;
        response.end('hello');
      },
    ]) {
      const answer = await ask('GET /written HTTP/1.1', by);

      expect(answer)
        .to.match(/^HTTP\/1\.1 500 /)
        .and.not.include('Forged');
      expect(answer.endsWith('next')).to.equal(true);
    }
  });

  it('that refuses an upgrade is cut where it is longer than its length', async () => {
    const answer = await upgrade((response) => {
      response.writeHead(403, { 'content-length': 5 });
      response.write('hello');
      response.end(' SURPLUS');
    });

    expect(answer).not.to.include('SURPLUS');
    expect(logged).to.deep.equal(['a response differs from its Content-Length: cut']);
  });

  it('is whole where more is written after its end, which is dropped and logged once', async () => {
    const told: Error[] = [];
    const twice: Write = (response) => {
      response.end('hello');
      response.end('SURPLUS');
      response.write('SURPLUS', (error) => error && told.push(error));
    };

    expect(read(await ask('GET /written HTTP/1.1', twice)).body).to.equal('hello');
    expect(read(await upgrade(twice)).body).to.equal('hello');
    expect(logged).to.have.length(2);
    expect(logged[0]).to.equal('a response was written to after its end: dropped');
    expect(told).to.have.length(2);
  });

  it('keeps its length where its head is sent a second time', async () => {
    const answer = await ask('GET /written HTTP/1.1', (response) => {
      response.writeHead(200, { 'content-length': 5 });
      expect(() => response.writeHead(200, { 'content-length': 9 })).to.throw(/headers after they are sent/i);
      response.end('hello');
    });

    expect(read(answer).body).to.equal('hello');
  });

  it('of an event stream has no length, whoever has set one', async () => {
    const answer = await ask('GET /counted HTTP/1.1\r\nAccept: text/event-stream');

    expect(answer.split('\r\n\r\n')[0]).not.to.match(/content-length/i);
    expect(answer).to.include('data: one\n\n');
    expect(answer.endsWith('next')).to.equal(true);
  });

  it('has no body with 205', async () => {
    const answer = await ask('GET /reset HTTP/1.1');

    expect(answer).to.match(
      /^HTTP\/1\.1 205 [^]*?content-length: 0\r\n(?:(?!\r\n\r\n)[^])*\r\n\r\nHTTP\/1\.1 200/i,
    );
  });
});

import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { expect } from 'chai';
import { connect, Controller, Ctx, Get, HttpCode, type Context, type Middleware } from 'coequal';
import { serve } from 'coequal/testing';
import { Journal } from '../support/journal.js';
import { RawClient } from '../support/raw-client.js';

/** What an answer says when it has been sent: read from Node's response by the middleware below. */
const journal = new Journal();

const observed: Middleware = async ({ response }, next) => {
  for (const event of ['finish', 'close']) response.on(event, () => journal.note(event));
  await next();
  journal.note(`decided, sent: ${String(response.headersSent)}`);
};

/** Express middleware that puts itself between, as compression does. */
const shouting = connect((_request, response: ServerResponse, next) => {
  const end = response.end.bind(response) as (body: string) => ServerResponse;
  response.end = ((body: string) => end(body.toUpperCase())) as typeof response.end;
  next();
});

@Controller('/answers')
class Answers {
  @Get('/short') short() {
    return 'short';
  }
  @Get('/umlaut') umlaut() {
    return 'grün';
  }
  @Get('/fields') fields(@Ctx() ctx: Context) {
    ctx
      .setHeader('X-One', 1)
      .appendHeader('Set-Cookie', ['a=1', 'b=2'])
      .setHeader('Content-Type', 'text/css');
    ctx.status = 201;
    return 'a{}';
  }
  @Get('/framed') framed(@Ctx() ctx: Context) {
    ctx.setHeader('Connection', 'close');
    return 'framed';
  }
  @Get('/named') named(@Ctx() ctx: Context) {
    ctx.response.statusMessage = 'Splendid';
    return 'named';
  }
  @Get('/split') split(@Ctx() ctx: Context) {
    ctx.response.statusMessage = 'OK\r\nX-Forged: 1';
    return 'split';
  }
  @Get('/none') @HttpCode(204) none() {
    return 'no body';
  }
  @Get('/unchanged') @HttpCode(304) unchanged() {
    return 'no body';
  }
  @Get('/after') async after(@Ctx() ctx: Context) {
    setImmediate(() => {
      for (const late of [
        () => ctx.setHeader('x-late', '1'),
        () => ctx.appendHeader('x-late', '1'),
        () => ctx.response.removeHeader('x-late'),
        () => ctx.response.writeHead(500),
        () => ctx.response.flushHeaders(),
        () => void ctx.response.write('late'),
        () => void ctx.response.end('late'),
      ]) {
        try {
          late();
          journal.note('nothing');
        } catch (error) {
          journal.note((error as NodeJS.ErrnoException).code ?? '');
        }
      }
      ctx.response.on('error', () => undefined);
    });
    return 'sent';
  }
}

describe('an answer that is known whole', () => {
  const server = serve({ controllers: [Answers], middleware: [observed], logger: false });
  const shouted = serve({ controllers: [Answers], middleware: [shouting], logger: false });
  beforeEach(() => journal.entries.splice(0));

  async function raw(...requests: string[]): Promise<string> {
    const client = await RawClient.connect(await server.url());
    client.write(requests.map((request) => `${request}\r\nHost: localhost\r\n\r\n`).join(''));
    await client.closed();
    return client.received.toString('latin1');
  }

  it('has a status line, its type and length, a date, and says that the connection is kept', async () => {
    const client = await RawClient.connect(await server.url());
    client.head('GET /answers/short HTTP/1.1', 'Host: localhost');
    const text = (await client.until((bytes) => bytes.includes('short'))).toString();
    client.reset();

    expect(text).to.match(
      /^HTTP\/1\.1 200 OK\r\ncontent-type: text\/plain; charset=utf-8\r\ncontent-length: 5\r\nDate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\nConnection: keep-alive\r\nKeep-Alive: timeout=10\r\n\r\nshort$/,
    );
  });

  it('has the status and the fields that were set, and each cookie on a line of its own', async () => {
    const answer = await server.fetch('/answers/fields');

    expect(answer.status).to.equal(201);
    expect(answer.headers.get('x-one')).to.equal('1');
    expect(answer.headers.get('content-type')).to.equal('text/css');
    expect(answer.headers.getSetCookie()).to.deep.equal(['a=1', 'b=2']);
    expect(await answer.text()).to.equal('a{}');
  });

  it('has the reason phrase that was set', async () => {
    expect((await server.fetch('/answers/named')).statusText).to.equal('Splendid');
  });

  it('is a 500, and forges no field, where the reason phrase holds a line break', async () => {
    const text = await raw('GET /answers/split HTTP/1.1', 'GET /answers/split HTTP/1.1\r\nConnection: close');

    expect(text.match(/^HTTP\/1\.1 \d+ .*/gm)?.[0]).to.equal('HTTP/1.1 500 Internal Server Error');
    expect(text.match(/HTTP\/1\.1 500 Internal Server Error\r/g)).to.have.length(2);
    expect(text).not.to.contain('X-Forged');
  });

  for (const [path, status] of [
    ['none', 204],
    ['unchanged', 304],
  ] as const) {
    it(`has no body where its status, ${status}, allows none: the next answer follows its head`, async () => {
      const text = await raw(
        `GET /answers/${path} HTTP/1.1`,
        'GET /answers/short HTTP/1.1\r\nConnection: close',
      );

      expect(text).to.match(new RegExp(`^HTTP/1\\.1 ${status} [^]*\r\n\r\nHTTP/1\\.1 200 [^]*short$`));
      expect(text).not.to.contain('no body');
    });
  }

  it('of 204 has no length either', async () => {
    expect((await server.fetch('/answers/none')).headers.get('content-length')).to.equal(null);
  });

  it('tells of its end as any other: finish, then close', async () => {
    await (await server.fetch('/answers/short')).text();
    await journal.until('close');

    expect(journal.entries).to.deep.equal(['decided, sent: false', 'finish', 'close']);
  });

  it('counts letters beyond ASCII by their bytes', async () => {
    const answer = await server.fetch('/answers/umlaut');

    expect(answer.headers.get('content-length')).to.equal('5');
    expect(await answer.text()).to.equal('grün');
  });

  it('has no body for HEAD, and the length that it would have', async () => {
    const answer = await server.fetch('/answers/short', { method: 'HEAD' });

    expect(answer.headers.get('content-length')).to.equal('5');
    expect(await answer.text()).to.equal('');
  });

  it('comes in its turn where requests are pipelined', async () => {
    const get = (path: string, ...fields: string[]) => [`GET ${path} HTTP/1.1`, ...fields].join('\r\n');
    const text = await raw(
      get('/answers/short'),
      get('/answers/umlaut'),
      get('/answers/short'),
      get('/answers/named', 'Connection: close'),
    );

    expect(text.match(/short|gr..n|named$/g)).to.deep.equal(['short', 'grÃ¼n', 'short', 'named']);
    expect(text.match(/HTTP\/1\.1 200 /g)).to.have.length(4);
  });

  it('ends the connection where the client, HTTP/1.0 or a field says so', async () => {
    expect(await raw('GET /answers/short HTTP/1.1\r\nConnection: close')).to.match(/Connection: close/);
    expect(await raw('GET /answers/short HTTP/1.0')).to.match(/Connection: close/);
    expect(await raw('GET /answers/framed HTTP/1.1')).to.match(/Connection: close[^]*framed$/);
  });

  it('is one of as many as the server may give on one connection', async () => {
    const limited = serve({ controllers: [Answers], logger: false });
    limited.app.server.maxRequestsPerSocket = 1;
    const client = await RawClient.connect(await limited.url());
    client.head('GET /answers/short HTTP/1.1', 'Host: localhost');

    expect((await client.opening()).headers).to.include({ connection: 'close' });
    client.reset();
    await limited.close();
  });

  it('goes through middleware that has put itself between', async () => {
    expect(await (await shouted.fetch('/answers/short')).text()).to.equal('SHORT');
  });

  it('is whole: what comes later is refused as Node refuses it, and nothing of it is sent', async () => {
    const client = await RawClient.connect(await server.url());
    client.head('GET /answers/after HTTP/1.1', 'Host: localhost');
    await journal.until('nothing', 3);
    client.head('GET /answers/short HTTP/1.1', 'Host: localhost', 'Connection: close');
    await client.closed();

    expect(journal.count('ERR_HTTP_HEADERS_SENT')).to.equal(4);
    expect(client.received.toString()).to.match(/^HTTP[^]*\r\n\r\nsentHTTP[^]*\r\n\r\nshort$/);
  });

  it('that the client does not wait for ends the exchange', async () => {
    const client = await RawClient.connect(await server.url());
    client.head('GET /answers/short HTTP/1.1', 'Host: localhost');
    await journal.until('decided, sent: false');
    const gone = once(client.socket, 'close');
    client.reset();
    await gone;

    expect(await (await server.fetch('/answers/short')).text()).to.equal('short');
  });
});

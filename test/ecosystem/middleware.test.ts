import { once } from 'node:events';
import { request as ask, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { connect, Controller, createApp, Ctx, Get, Sse, WebSocket, type App, type Context } from 'coequal';
import express from 'express';
import { WebSocket as Client } from 'ws';
import { closeUpstream, made, middleware, type Entry } from './middleware.js';

/** What came of asking a server: the same form for Express and for each kind of ours. */
interface Outcome {
  /** 200 for whatever let the method run. */
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

type Headers = Record<string, string>;

const kinds = {
  request: { headers: {}, open: get },
  stream: { headers: { accept: 'text/event-stream' }, open: firstEvent },
  upgrade: { headers: {}, open: firstMessage },
} satisfies Record<string, { headers: Headers; open(url: string, headers: Headers): Promise<Outcome> }>;

describe('Express middleware on every kind', () => {
  for (const entry of middleware) {
    describe(entry.name, () => {
      let theirs: Server;
      let ours: App;
      let urls: { theirs: string; ours: string };

      before(async () => {
        theirs = await inExpress(entry);
        const { app, url } = await inCoequal(entry);
        ours = app;
        urls = { theirs: `http://localhost:${(theirs.address() as AddressInfo).port}`, ours: url };
      });

      after(async () => {
        await ours.close({ grace: 500 });
        theirs.close();
        theirs.closeAllConnections();
      });

      for (const kind of entry.kinds ?? (['request', 'stream', 'upgrade'] as const)) {
        it(`does for the ${kind} what it does in Express`, async () => {
          const headers = { ...kinds[kind].headers, ...entry.headers };
          const target = `${entry.path ?? '/it'}${entry.search ?? ''}`;
          // What the method of a stream or a socket is, a request is in Express: middleware sees the same of it.
          const expected = await get(urls.theirs + target, headers);
          const outcome = await kinds[kind].open(urls.ours + target, headers);
          expect(outcome.status, outcome.body).to.equal(expected.status);
          // Errors have a problem document in place of Express's page.
          if (outcome.headers['content-type'] === 'application/problem+json') return;
          expect(outcome.body).to.equal(expected.body);
          const fields = made(withoutOurs(outcome, kind), entry.changing);
          const others = made(expected.headers, entry.changing);
          if (kind !== 'request') for (const name of entry.ofBody ?? []) delete others[name];
          expect(fields).to.deep.equal(others);
        });
      }
    });
  }

  after(closeUpstream);
});

async function inExpress(entry: Entry): Promise<Server> {
  const app = express();
  for (const one of await entry.use()) app.use(one as express.RequestHandler);
  app.get('/it', (request, response) => void response.send(text(entry, request, response)));
  const server = app.listen(0);
  await once(server, 'listening');
  return server;
}

async function inCoequal(entry: Entry): Promise<{ app: App; url: string }> {
  @Controller('/it')
  class It {
    @Get()
    @Sse()
    @WebSocket()
    method(@Ctx() ctx: Context) {
      return text(entry, ctx.request, ctx.response);
    }
  }
  const used = (await entry.use()) as Parameters<typeof connect>[0][];
  const app = createApp({ controllers: [It], middleware: used.map((one) => connect(one)), logger: false });
  const { url } = await app.listen();
  return { app, url };
}

function text({ sees }: Entry, request: unknown, response: unknown): string {
  return JSON.stringify(sees?.(request, response) ?? 'the method');
}

/** A path with a stream and a body is chosen by `Accept`, and no cache keeps a stream: both are said by us. */
function withoutOurs({ headers }: Outcome, kind: keyof typeof kinds): IncomingHttpHeaders {
  const vary = headers.vary?.split(', ').filter((name) => name !== 'Accept');
  const { 'cache-control': cache, ...others } = { ...headers, vary: vary?.join(', ') || undefined };
  const isOurs = kind === 'stream' && isEvents(headers) && cache === 'no-cache, no-transform';
  const fields = isOurs ? others : { ...others, 'cache-control': cache };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

/** By Node's own client, which decodes nothing. */
async function get(url: string, headers: Headers): Promise<Outcome> {
  const response = await answer(url, headers);
  let body = '';
  for await (const chunk of response.setEncoding('utf8')) body += chunk;
  return { status: response.statusCode ?? 0, headers: response.headers, body };
}

async function firstEvent(url: string, headers: Headers): Promise<Outcome> {
  const response = await answer(url, headers);
  let body = '';
  for await (const chunk of response.setEncoding('utf8')) {
    body += chunk;
    if (isEvents(response.headers) && body.includes('\n\n')) break;
  }
  const event = isEvents(response.headers) ? (/^data: (.*)$/m.exec(body)?.[1] ?? '') : body;
  return { status: response.statusCode ?? 0, headers: response.headers, body: event };
}

function isEvents(headers: IncomingHttpHeaders): boolean {
  return headers['content-type']?.startsWith('text/event-stream') === true;
}

function answer(url: string, headers: Headers): Promise<import('node:http').IncomingMessage> {
  return new Promise((resolve, reject) => {
    ask(url, { headers, agent: false }, resolve).on('error', reject).end();
  });
}

function firstMessage(url: string, headers: Headers): Promise<Outcome> {
  const { host: _host, ...others } = headers;
  const client = new Client(url.replace('http', 'ws'), { headers: others, perMessageDeflate: false });
  return new Promise((resolve, reject) => {
    let head: IncomingHttpHeaders = {};
    client.on('upgrade', ({ headers: fields }) => (head = fields));
    client.on('message', (data) => {
      client.close();
      resolve({ status: 200, headers: head, body: String(data) });
    });
    client.on('unexpected-response', async (_request, response) => {
      let body = '';
      for await (const chunk of response.setEncoding('utf8')) body += chunk;
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
    });
    client.on('error', reject);
    client.on('close', (code) => reject(new Error(`closed with ${code} before any message`)));
  });
}

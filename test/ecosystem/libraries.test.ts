import { EventEmitter, once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Client as McpClient } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import {
  createTRPCClient,
  createWSClient,
  httpLink,
  httpSubscriptionLink,
  splitLink,
  wsLink,
} from '@trpc/client';
import { initTRPC } from '@trpc/server';
import { fetchRequestHandler } from '@trpc/server/adapters/fetch';
import { getWSConnectionHandler } from '@trpc/server/adapters/ws';
import { readUIMessageStream, streamText, uiMessageChunkSchema, parseJsonEventStream } from 'ai';
import { MockLanguageModelV3, simulateReadableStream } from 'ai/test';
import { expect } from 'chai';
import {
  All,
  Body,
  Controller,
  createApp,
  Ctx,
  Get,
  Post,
  Query,
  Rpc,
  Socket,
  WebSocket,
  type App,
  type Context,
} from 'coequal';
import { EventSource } from 'eventsource';
import { buildSchema } from 'graphql';
import { createClient, makeServer } from 'graphql-ws';
import { createSchema, createYoga } from 'graphql-yoga';
import { JSONRPCClient } from 'json-rpc-2.0';
import * as decoding from 'lib0/decoding';
import * as encoding from 'lib0/encoding';
import { fetch as undiciFetch } from 'undici';
import { WebSocket as Client } from 'ws';
import * as syncProtocol from 'y-protocols/sync';
import { WebsocketProvider } from 'y-websocket';
import * as Y from 'yjs';
import { z } from 'zod';

/** The request as fetch handlers take it. */
function toRequest(ctx: Context, body?: unknown): Request {
  const headers = Object.entries(ctx.headers).map(
    ([name, value]) => [name, String(value)] as [string, string],
  );
  return new Request(new URL(ctx.url, 'http://localhost'), {
    method: ctx.method,
    headers,
    body: body === undefined ? null : JSON.stringify(body),
    signal: ctx.signal,
  });
}

describe('libraries on sockets and routes, with their own clients', () => {
  let app: App | undefined;

  async function listen(controller: new () => object): Promise<string> {
    app = createApp({ controllers: [controller], logger: false });
    return (await app.listen()).url;
  }

  afterEach(async () => {
    await app?.close({ grace: 1_000 });
    app = undefined;
  });

  it('graphql-ws answers queries and subscriptions on socket.raw', async () => {
    const server = makeServer({
      schema: buildSchema('type Query { hello: String } type Subscription { count: Int }'),
      roots: {
        query: { hello: () => 'world' },
        subscription: {
          async *count() {
            for (let count = 1; count <= 3; count++) yield { count };
          },
        },
      },
    });

    @Controller('/graphql')
    class GraphController {
      @WebSocket('', { protocols: ['graphql-transport-ws'] })
      open(@Socket() socket: Socket) {
        const { raw } = socket;
        const closed = server.opened(
          {
            protocol: raw.protocol,
            send: (data) =>
              new Promise((resolve, reject) =>
                raw.send(data, (error) => (error ? reject(error) : resolve())),
              ),
            close: (code, reason) => raw.close(code, reason),
            onMessage: (receive) => raw.on('message', (data) => void receive(String(data))),
          },
          { socket },
        );
        raw.once('close', (code, reason) => void closed(code, String(reason)));
      }
    }
    const url = await listen(GraphController);
    const client = createClient({ url: `${url.replace('http', 'ws')}/graphql`, webSocketImpl: Client });
    const results: unknown[] = [];
    for await (const { data } of client.iterate({ query: '{ hello }' })) results.push(data);
    for await (const { data } of client.iterate({ query: 'subscription { count }' })) results.push(data);
    await client.dispose();

    expect(results).to.deep.equal([{ hello: 'world' }, { count: 1 }, { count: 2 }, { count: 3 }]);
  });

  it('graphql-yoga answers with its Response, a stream of events too', async () => {
    const yoga = createYoga({
      graphqlEndpoint: '/graphql',
      logging: false,
      schema: createSchema({
        typeDefs: 'type Query { hello: String } type Subscription { count: Int }',
        resolvers: {
          Query: { hello: () => 'world' },
          Subscription: {
            count: {
              async *subscribe() {
                for (let count = 1; count <= 2; count++) yield { count };
              },
            },
          },
        },
      }),
    });

    @Controller('/graphql')
    class YogaController {
      @All()
      handle(@Ctx() ctx: Context, @Body() body: unknown) {
        return yoga.fetch(toRequest(ctx, body));
      }
    }
    const url = await listen(YogaController);
    const ask = (query: string, accept: string) =>
      fetch(`${url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept },
        body: JSON.stringify({ query }),
      });
    expect(await (await ask('{ hello }', 'application/json')).json()).to.deep.equal({
      data: { hello: 'world' },
    });
    const events = await ask('subscription { count }', 'text/event-stream');
    expect(events.headers.get('content-type')).to.match(/^text\/event-stream/);
    const text = await events.text();
    expect([...text.matchAll(/"count":(\d)/g)].map(([, count]) => count)).to.deep.equal(['1', '2']);
  });

  it('tRPC answers by fetch, by events and by socket', async () => {
    const t = initTRPC.create();
    const router = t.router({
      greet: t.procedure.input(z.string()).query(({ input }) => `hello ${input}`),
      count: t.procedure.subscription(async function* () {
        for (let count = 1; count <= 2; count++) yield count;
      }),
    });
    const opened = getWSConnectionHandler({ wss: new EventEmitter() as never, router });

    @Controller('/trpc')
    class TrpcController {
      @Get('/*')
      handle(@Ctx() ctx: Context) {
        return fetchRequestHandler({ endpoint: '/trpc', req: toRequest(ctx), router });
      }

      @WebSocket()
      open(@Socket() socket: Socket, @Ctx() ctx: Context) {
        opened(socket.raw, ctx.request);
      }
    }
    const url = await listen(TrpcController);
    const ws = createWSClient({ url: `${url.replace('http', 'ws')}/trpc`, WebSocket: Client as never });
    const http = createTRPCClient<typeof router>({
      links: [
        splitLink({
          condition: ({ type }) => type === 'subscription',
          true: httpSubscriptionLink({ url: `${url}/trpc`, EventSource: EventSource as never }),
          false: httpLink({ url: `${url}/trpc` }),
        }),
      ],
    });
    const socket = createTRPCClient<typeof router>({ links: [wsLink({ client: ws })] });
    for (const client of [http, socket]) {
      expect(await client.greet.query('ada')).to.equal('hello ada');
      const counts: number[] = [];
      await new Promise<void>((resolve, reject) => {
        const subscription = client.count.subscribe(undefined, {
          onData(count) {
            counts.push(count);
            if (count !== 2) return;
            subscription.unsubscribe();
            resolve();
          },
          onError: reject,
        });
      });
      expect(counts).to.deep.equal([1, 2]);
    }
    await ws.close();
  });

  it('the MCP SDK answers by its streamable HTTP transport', async () => {
    @Controller('/mcp')
    class McpController {
      @All()
      async handle(@Ctx() ctx: Context, @Body() body: unknown) {
        // Without sessions each request has a server of its own.
        const server = tools();
        const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
        ctx.defer(() => server.close());
        await server.connect(transport);
        await transport.handleRequest(ctx.request, ctx.response, body);
      }
    }
    const url = await listen(McpController);
    const client = new McpClient({ name: 'test', version: '1' });
    await client.connect(new StreamableHTTPClientTransport(new URL(`${url}/mcp`)));
    const { content } = await client.callTool({ name: 'add', arguments: { a: 1, b: 2 } });
    await client.close();

    expect(content).to.deep.equal([{ type: 'text', text: '3' }]);
  });

  it('the MCP SDK answers by its transport of events and posts', async () => {
    const server = tools();
    let transport: SSEServerTransport | undefined;

    @Controller('/sse')
    class McpController {
      @Get()
      async open(@Ctx() ctx: Context) {
        transport = new SSEServerTransport('/sse/messages', ctx.response);
        await server.connect(transport);
        // The response is the transport's until its client leaves.
        if (!ctx.response.closed) await once(ctx.response, 'close');
      }

      @Post('/messages')
      async message(
        @Ctx() ctx: Context,
        @Body() body: unknown,
        @Query('sessionId', String) sessionId: string,
      ) {
        expect(sessionId).to.equal(transport?.sessionId);
        await transport?.handlePostMessage(ctx.request as never, ctx.response, body);
      }
    }
    const url = await listen(McpController);
    const client = new McpClient({ name: 'test', version: '1' });
    await client.connect(new SSEClientTransport(new URL(`${url}/sse`)));
    const { content } = await client.callTool({ name: 'add', arguments: { a: 1, b: 2 } });
    await client.close();

    expect(content).to.deep.equal([{ type: 'text', text: '3' }]);
  });

  it('yjs syncs two documents over socket.raw', async () => {
    const shared = new Y.Doc();
    const sockets = new Set<Socket>();
    shared.on('update', (update: Uint8Array, origin: unknown) => {
      const encoder = encoding.createEncoder();
      encoding.writeVarUint(encoder, 0);
      syncProtocol.writeUpdate(encoder, update);
      for (const socket of sockets) if (socket !== origin) socket.raw.send(encoding.toUint8Array(encoder));
    });

    @Controller('/docs/:name')
    class DocumentController {
      @WebSocket()
      open(@Socket() socket: Socket) {
        sockets.add(socket);
        socket.raw.once('close', () => sockets.delete(socket));
        socket.raw.on('message', (data) => {
          const decoder = decoding.createDecoder(new Uint8Array(data as Buffer));
          if (decoding.readVarUint(decoder) !== 0) return;
          const encoder = encoding.createEncoder();
          encoding.writeVarUint(encoder, 0);
          syncProtocol.readSyncMessage(decoder, encoder, shared, socket);
          if (encoding.length(encoder) > 1) socket.raw.send(encoding.toUint8Array(encoder));
        });
        const encoder = encoding.createEncoder();
        encoding.writeVarUint(encoder, 0);
        syncProtocol.writeSyncStep1(encoder, shared);
        socket.raw.send(encoding.toUint8Array(encoder));
      }
    }
    const url = `${(await listen(DocumentController)).replace('http', 'ws')}/docs`;
    const [ada, bob] = [new Y.Doc(), new Y.Doc()];
    const providers = [ada, bob].map(
      (doc) =>
        new WebsocketProvider(url, 'notes', doc, { WebSocketPolyfill: Client as never, disableBc: true }),
    );
    const arrived = new Promise<string>((resolve) => {
      const text = bob.getText();
      text.observe(() => text.toString() === 'hello from ada' && resolve(text.toString()));
    });
    ada.getText().insert(0, 'hello from ada');
    expect(await arrived).to.equal('hello from ada');
    for (const provider of providers) provider.destroy();
    // Its awareness ends with the document.
    for (const doc of [ada, bob, shared]) doc.destroy();
  });

  it('the AI SDK streams its Response', async () => {
    const chunks = [
      { type: 'stream-start', warnings: [] },
      { type: 'text-start', id: '1' },
      { type: 'text-delta', id: '1', delta: 'good ' },
      { type: 'text-delta', id: '1', delta: 'morning' },
      { type: 'text-end', id: '1' },
      {
        type: 'finish',
        finishReason: { unified: 'stop', raw: 'stop' },
        usage: { inputTokens: {}, outputTokens: {} },
      },
    ];
    const model = new MockLanguageModelV3({
      doStream: async () => ({ stream: simulateReadableStream({ chunks: chunks as never[] }) }),
    });

    @Controller('/chat')
    class ChatController {
      @Post()
      chat(@Ctx() ctx: Context) {
        return streamText({ model, prompt: 'hello', abortSignal: ctx.signal }).toUIMessageStreamResponse();
      }
    }
    const url = await listen(ChatController);
    const response = await fetch(`${url}/chat`, { method: 'POST' });
    expect(response.headers.get('content-type')).to.equal('text/event-stream');
    const stream = parseJsonEventStream({
      stream: response.body as never,
      schema: uiMessageChunkSchema,
    }).pipeThrough(
      new TransformStream({
        transform: (chunk: { success: boolean; value?: unknown }, controller) =>
          controller.enqueue(chunk.value),
      }) as never,
    );
    let last: unknown;
    for await (const message of readUIMessageStream({ stream: stream as never })) last = message;
    expect((last as { parts: { text?: string }[] }).parts.map(({ text }) => text).join('')).to.equal(
      'good morning',
    );
  });

  it("undici's own Response is forwarded", async () => {
    const upstream: Server = createServer((_request, response) => {
      response.writeHead(203, { 'x-upstream': '1', 'content-type': 'text/plain' }).end('from upstream');
    }).listen(0);
    await once(upstream, 'listening');
    const from = `http://localhost:${(upstream.address() as AddressInfo).port}`;

    @Controller('/')
    class ProxyController {
      @Get()
      pass() {
        return undiciFetch(from);
      }
    }
    const response = await fetch(await listen(ProxyController));
    expect([response.status, response.headers.get('x-upstream'), await response.text()]).to.deep.equal([
      203,
      '1',
      'from upstream',
    ]);
    upstream.close();
    upstream.closeAllConnections();
  });

  it('json-rpc-2.0 calls @Rpc methods', async () => {
    @Controller('/calls')
    class CallController {
      @Rpc('add')
      add(@Body(z.object({ a: z.number(), b: z.number() })) { a, b }: { a: number; b: number }) {
        return a + b;
      }

      @WebSocket()
      open() {}
    }
    const url = await listen(CallController);
    const socket = new Client(`${url.replace('http', 'ws')}/calls`);
    await once(socket, 'open');
    const client = new JSONRPCClient((request) => socket.send(JSON.stringify(request)));
    socket.on('message', (data) => client.receive(JSON.parse(String(data))));
    expect(await client.request('add', { a: 1, b: 2 })).to.equal(3);
    socket.close();
  });
});

function tools(): McpServer {
  const server = new McpServer({ name: 'tools', version: '1' });
  server.registerTool('add', { inputSchema: { a: z.number(), b: z.number() } }, ({ a, b }) => ({
    content: [{ type: 'text', text: String(a + b) }],
  }));
  return server;
}

import { once } from 'node:events';
import { connect, type Socket as NetSocket } from 'node:net';
import { expect } from 'chai';
import { Get, Sse, WebSocket, type Kind, type Problem } from 'coequal';
import { Refused, serve, type ServeOptions, type TestServer } from 'coequal/testing';

/** What flows after the head of an answer. */
interface Flow {
  value(): Promise<unknown>;
  ended(): Promise<unknown>;
  leave(): void;
}

/** What came of opening a path: the head of the answer, and what flows after it. */
export class Visit {
  constructor(
    readonly status: number,
    readonly headers: Headers,
    private readonly flow: Flow,
    private readonly refusal?: string,
  ) {}

  /** The problem document of a refusal. @throws AssertionError if there is none. */
  get problem(): Problem {
    expect(this.headers.get('content-type')).to.equal('application/problem+json');
    return JSON.parse(this.refusal ?? '') as Problem;
  }

  /** The next value, parsed: a line of the body, an event, or a message. Of a refusal its body, as text. */
  value(): Promise<unknown> {
    return this.flow.value();
  }

  /** Resolves when the server has ended what it sent. */
  ended(): Promise<unknown> {
    return this.flow.ended();
  }

  /** Leaves, as a client that goes away. */
  leave(): void {
    this.flow.leave();
  }
}

/** One of the three kinds, as a client meets it. */
export interface Door {
  kind: Kind;
  /** The status of the head where nothing refuses. */
  opened: number;
  open(server: TestServer, path: string, headers?: Record<string, string>): Promise<Visit>;
}

export const doors: readonly Door[] = [
  { kind: 'http', opened: 200, open: request },
  { kind: 'sse', opened: 200, open: stream },
  { kind: 'websocket', opened: 101, open: socket },
];

/** Answers a path in all three kinds by one method. */
export function Everywhere(path = ''): MethodDecorator {
  return (prototype, method, descriptor) => {
    for (const route of [Get(path), Sse(path), WebSocket(path)]) route(prototype, method, descriptor);
  };
}

/** Serves applications for one test each: they are closed when it is over. Called in a `describe`. */
export function servers(): (options: ServeOptions) => TestServer {
  const open: TestServer[] = [];
  afterEach(() => Promise.all(open.splice(0).map((server) => server.close())));
  return (options) => {
    const server = serve({ logger: false, ...options });
    open.push(server);
    return server;
  };
}

/** Sends the head of a request by hand, and waits for nothing: the client may leave at any moment. */
export async function knock(server: TestServer, { kind }: Door, path: string): Promise<NetSocket> {
  const { hostname, port, host } = new URL(await server.url());
  const client = connect(Number(port), hostname);
  await once(client, 'connect');
  client.write([`GET ${path} HTTP/1.1`, `Host: ${host}`, ...asks[kind], '', ''].join('\r\n'));
  return client;
}

/** The header fields by which a client asks for each kind. */
export const asks: Record<Kind, readonly string[]> = {
  http: [],
  sse: ['Accept: text/event-stream'],
  websocket: [
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  ],
};

async function request(server: TestServer, path: string, headers = {}): Promise<Visit> {
  const abort = new AbortController();
  const response = await server.fetch(path, { headers, signal: abort.signal });
  if (response.status >= 400) return refused(response.status, response.headers, await response.text());
  const lines = linesOf(response);
  return new Visit(response.status, response.headers, {
    value: async () => JSON.parse((await lines.next()).value ?? ''),
    ended: async () => {
      while ((await lines.next()).done !== true);
    },
    leave: () => abort.abort(),
  });
}

async function stream(server: TestServer, path: string, headers = {}): Promise<Visit> {
  return server.sse(path, { headers }).then(
    (events) =>
      new Visit(events.response.status, events.response.headers, {
        value: () => events.json(),
        ended: () => events.closed(),
        leave: () => events.close(),
      }),
    answered,
  );
}

async function socket(server: TestServer, path: string, headers = {}): Promise<Visit> {
  // As a page of the same site would: a cookie without an origin is refused.
  const origin = await server.url();
  return server.socket(path, { headers: { origin, ...headers } }).then(
    (messages) =>
      new Visit(101, messages.headers, {
        value: () => messages.json(),
        ended: () => messages.closed(),
        leave: () => messages.raw.terminate(),
      }),
    answered,
  );
}

function answered(error: unknown): Visit {
  if (error instanceof Refused) return refused(error.status, error.headers, error.body);
  throw error;
}

function refused(status: number, headers: Headers, body: string): Visit {
  const flow = { value: () => Promise.resolve(body), ended: () => Promise.resolve(), leave: () => undefined };
  return new Visit(status, headers, flow, body);
}

/** Lines of a body as they arrive; a body that is cut ends, too. */
async function* linesOf({ body }: Response): AsyncGenerator<string, undefined> {
  const decoder = new TextDecoder();
  let text = '';
  try {
    for await (const chunk of body ?? []) {
      text += decoder.decode(chunk, { stream: true });
      const lines = text.split('\n');
      text = lines.pop() ?? '';
      yield* lines;
    }
  } catch (error) {
    if (!(error instanceof TypeError) && (error as Error).name !== 'AbortError') throw error;
  }
  if (text !== '') yield text;
  return undefined;
}

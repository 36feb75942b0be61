import { EventEmitter, once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { createParser } from 'eventsource-parser';
import type { TestServer } from 'coequal/testing';
import { WebSocket, type ClientOptions } from 'ws';

/** What a reader was sent; `data` is parsed where it is JSON. */
export interface Received {
  event: string | undefined;
  id: string | undefined;
  data: unknown;
}

/** A real client of either kind that can stop reading: what it is sent then waits in its TCP, and in the server. */
export class Reader {
  readonly received: Received[] = [];
  /** The last id that was told, with an event or without. */
  cursor: string | undefined = undefined;
  /** The close code of a socket, 0 for a stream; undefined while it is open. */
  closed: number | undefined = undefined;
  readonly #changed = new EventEmitter();

  constructor(
    private readonly pipe: { pause(): void; resume(): void },
    readonly leave: () => void,
  ) {
    this.#changed.setMaxListeners(0);
  }

  get data(): unknown[] {
    return this.received.map(({ data }) => data);
  }

  /** The data that came last. */
  get last(): unknown {
    return this.received.at(-1)?.data;
  }

  pause(): void {
    this.pipe.pause();
  }

  resume(): void {
    this.pipe.resume();
  }

  /** Resolves when what has come meets the condition; a test that waits in vain is ended by its runner. */
  async until(met: (reader: Reader) => boolean): Promise<this> {
    while (!met(this)) await once(this.#changed, 'changed');
    return this;
  }

  /** @internal */
  push(received: Received): void {
    this.cursor = received.id ?? this.cursor;
    // As for an event stream: what has an id alone is no event.
    if (received.data !== undefined || received.event !== undefined) this.received.push(received);
    this.#changed.emit('changed');
  }

  /** @internal */
  end(code: number): void {
    this.closed ??= code;
    this.#changed.emit('changed');
  }
}

export type ReaderKind = 'sse' | 'websocket';

export const readerKinds: readonly ReaderKind[] = ['sse', 'websocket'];

/** Opens a reader. @throws Error if it is refused. */
export async function openReader(
  server: Pick<TestServer, 'url'>,
  kind: ReaderKind,
  path: string,
  { headers = {}, protocols = [], perMessageDeflate = true }: ReaderInit = {},
): Promise<Reader> {
  const url = (await server.url()) + path;
  return kind === 'sse'
    ? openStream(url, headers)
    : openSocket(url, protocols, { headers, perMessageDeflate });
}

interface ReaderInit extends Pick<ClientOptions, 'perMessageDeflate'> {
  headers?: Record<string, string>;
  protocols?: string[];
}

async function openStream(url: string, headers: Record<string, string>): Promise<Reader> {
  const request = get(url, { agent: false, headers: { accept: 'text/event-stream', ...headers } });
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  if (response.statusCode !== 200) {
    // Nobody reads the rest, nor hears of a reset while it comes.
    response.on('error', () => undefined);
    request.on('error', () => undefined).destroy();
    throw new Error(`the stream was refused with ${response.statusCode}`);
  }
  const reader = new Reader(response, () => request.destroy());
  const parser = createParser({
    onEvent: ({ event, id, data }) => reader.push({ event, id, data: parsed(data) }),
  });
  let block = '';
  response.setEncoding('utf8');
  response.on('data', (text: string) => {
    parser.feed(text);
    // An id without data is no event, and the parser does not show it; a browser comes back with it all the same.
    block += text;
    if (!text.includes('\n')) return;
    const end = block.lastIndexOf('\n\n') + 2;
    if (end === 1) return;
    for (const [, id] of block.slice(0, end).matchAll(/^id: (.*)$/gm)) {
      reader.push({ event: undefined, id, data: undefined });
    }
    block = block.slice(end);
  });
  // Cut or ended: its end is all the same to a reader.
  response.on('error', () => reader.end(0));
  response.on('close', () => reader.end(0));
  request.on('error', () => reader.end(0));
  return reader;
}

async function openSocket(url: string, protocols: string[], options: ClientOptions): Promise<Reader> {
  const socket = new WebSocket(url.replace(/^http/, 'ws'), protocols, options);
  const reader = new Reader(socket, () => socket.terminate());
  socket.on('message', (data: Buffer) => {
    const value = parsed(data.toString());
    const fields = socket.protocol === 'coequal.events' ? (value as Partial<Received>) : { data: value };
    reader.push({ event: fields.event, id: fields.id, data: fields.data });
  });
  socket.on('close', (code) => reader.end(code));
  await once(socket, 'open');
  socket.on('error', () => reader.end(1006));
  return reader;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return text;
    throw error;
  }
}

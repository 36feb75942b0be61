import { once } from 'node:events';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { WebSocket } from 'ws';
import type { RunningProxy } from './proxy-process.js';
import { HOST } from './proxies.js';

export interface Asked {
  method?: string;
  headers?: Record<string, string | string[]>;
  body?: string | Buffer;
}

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

/** Sends a request through a proxy, and gives the whole answer. */
export async function ask(proxy: RunningProxy, path: string, asked: Asked = {}): Promise<Answer> {
  const response = await open(proxy, path, asked);
  let body = '';
  for await (const chunk of response.setEncoding('utf8')) body += chunk as string;
  return { status: response.statusCode ?? 0, headers: response.headers, body };
}

/** Sends a request through a proxy, and gives the answer as soon as its head is there. */
export async function open(
  proxy: RunningProxy,
  path: string,
  { method = 'GET', headers = {}, body }: Asked = {},
): Promise<IncomingMessage> {
  const sent = request({
    ...proxy.tls,
    path,
    method,
    agent: false,
    headers: { host: HOST, ...headers },
  });
  sent.end(body);
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  return response;
}

/** Opens a socket through a proxy. @throws Error that names the status of a refusal. */
export async function openSocket(
  proxy: RunningProxy,
  path: string,
  headers: Record<string, string> = {},
): Promise<{ socket: WebSocket; next(): Promise<string | Buffer> }> {
  const { host, port, ...options } = proxy.tls;
  const socket = new WebSocket(`wss://${host}:${port}${path}`, {
    ...options,
    headers: { host: HOST, ...headers },
  });
  const arrived: (string | Buffer)[] = [];
  socket.on('message', (data: Buffer, binary) => arrived.push(binary ? data : data.toString()));
  await once(socket, 'open');
  return {
    socket,
    async next() {
      while (arrived.length === 0) await once(socket, 'message');
      return arrived.shift() ?? '';
    },
  };
}

/** The status that a handshake through a proxy is answered by. */
export async function handshake(
  proxy: RunningProxy,
  path: string,
  headers: Record<string, string> = {},
): Promise<number> {
  try {
    const { socket } = await openSocket(proxy, path, headers);
    socket.terminate();
    return 101;
  } catch (error) {
    return Number(/Unexpected server response: (\d+)/.exec((error as Error).message)?.[1] ?? NaN);
  }
}

import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { EventEmitter, once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import { connect as connectByTls, type ConnectionOptions } from 'node:tls';
import { HOST, type Filling, type Proxy, type Told } from './proxies.js';
import { RawClient } from './raw-client.js';
import { executable, unless, type Skippable } from './skip.js';

/** The client's address: another than that of the proxy, whose word alone is believed. */
export const CLIENT = '127.0.0.2';
/** The proxy's address, as the application sees it. */
export const PROXY = '127.0.0.1';

/** A proxy that runs for a suite, and what it logs. */
export interface RunningProxy {
  readonly port: number;
  /** What clients connect with, from `CLIENT` and with the proxy's certificate. */
  readonly tls: ConnectionOptions & { host: string; port: number; localAddress: string };
  /** All that it has logged, line by line. */
  readonly lines: readonly string[];
  /** What it has told of requests, in order. */
  readonly told: readonly Told[];
  /** Resolves when it has told of a request, by method and path. */
  hasTold(request: string): Promise<void>;
  /** A connection to write on what clients would not. */
  raw(): Promise<RawClient>;
}

/**
 * Starts a proxy in front of an application for the suite, and ends it afterwards. Called in a `describe`.
 * Where its program is missing, the suite is skipped.
 */
export function proxied(
  proxy: Proxy,
  application: () => Promise<string>,
  seconds: Filling['seconds'] = {},
): RunningProxy {
  const lines: string[] = [];
  const told: Told[] = [];
  const heard = new EventEmitter();
  const folder = mkdtempSync(join(tmpdir(), `coequal-${proxy.name}-`));
  const log = createSocket('udp4');
  let child: ChildProcess | undefined;
  let port = 0;
  let ca = '';

  const hear = (line: string): void => {
    if (line === '') return;
    lines.push(line);
    const one = proxy.told(line);
    if (one !== undefined) told.push(one);
    heard.emit('line');
  };
  log.on('message', (message) => hear(message.toString().trimEnd()));

  before(async function () {
    needs(proxy.name, this);
    needs('openssl', this);
    await certify(folder);
    ca = readFileSync(join(folder, 'example.com.crt'), 'utf8');
    log.bind(0, '127.0.0.1');
    await once(log, 'listening');
    port = await freePort();
    const { port: to } = new URL(await application());
    const filling = { folder, port, seconds, application: `127.0.0.1:${to}`, log: address(log.address()) };
    child = spawn(executable(proxy.name) ?? '', proxy.fill(filling), {
      stdio: ['ignore', 'pipe', 'pipe'],
      // Where Caddy keeps what it wants to keep.
      env: { ...process.env, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder },
    });
    for (const stream of [child.stdout, child.stderr]) if (stream !== null) byLine(stream, hear);
    await listening(child, port, lines);
  });

  after(async () => {
    if (child?.exitCode === null && child.signalCode === null) {
      const exit = once(child, 'exit');
      child.kill('SIGTERM');
      await exit;
    }
    log.close();
    rmSync(folder, { recursive: true, force: true });
  });

  return {
    lines,
    told,
    get port() {
      return port;
    },
    get tls() {
      return { host: PROXY, port, localAddress: CLIENT, servername: HOST, ca };
    },
    async hasTold(request) {
      while (!told.some((one) => one.request === request)) await once(heard, 'line');
    },
    async raw() {
      const socket = connectByTls({ ...this.tls, ALPNProtocols: ['http/1.1'] });
      await once(socket, 'secureConnect');
      return RawClient.over(socket);
    },
  };
}

function needs(program: string, suite: Skippable): void {
  unless(executable(program) === undefined && program, `apt-get install ${program}`, suite);
}

/** A certificate that signs itself, for nginx and Caddy in two files, for HAProxy in one. */
async function certify(folder: string): Promise<void> {
  const [key, crt, pem] = ['key', 'crt', 'pem'].map((ending) => join(folder, `example.com.${ending}`));
  if (key === undefined || crt === undefined || pem === undefined) return;
  const subject = ['-subj', `/CN=${HOST}`, '-addext', `subjectAltName=DNS:${HOST}`, '-days', '2'];
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', key];
  await promisify(execFile)('openssl', ['req', '-x509', ...newKey, '-out', crt, ...subject]);
  copyFileSync(crt, pem);
  writeFileSync(pem, readFileSync(key), { flag: 'a' });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function address({ address: host, port }: AddressInfo): string {
  return `${host}:${port}`;
}

function byLine(stream: NodeJS.ReadableStream, hear: (line: string) => void): void {
  let rest = '';
  stream.on('data', (chunk) => {
    const parts = (rest + String(chunk)).split('\n');
    rest = parts.pop() ?? '';
    parts.forEach(hear);
  });
}

/** A program does not say in one way that it listens: it is asked until it does, or has ended. */
async function listening(child: ChildProcess, port: number, lines: readonly string[]): Promise<void> {
  let failed: Error | undefined;
  child.once('error', (error) => (failed = error));
  for (;;) {
    if (failed !== undefined) throw failed;
    if (child.exitCode !== null) throw new Error(`it has ended: ${lines.join('\n')}`);
    const socket = connect(port, PROXY);
    try {
      await once(socket, 'connect');
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ECONNREFUSED') throw error;
      await wait(10);
    } finally {
      socket.destroy();
    }
  }
}

import { once } from 'node:events';
import {
  createServer,
  request,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { expect } from 'chai';
import { Controller, createApp, Get, Param, type App } from 'coequal';
import nodeFetch from 'node-fetch';

const CONTENT = 'coequal '.repeat(500);
const PACKED = gzipSync(CONTENT);
const TWICE = brotliCompressSync(PACKED);

/** What describes the bytes that an upstream has sent. */
const DESCRIBED = {
  'content-encoding': 'gzip',
  'content-length': String(PACKED.length),
  etag: '"strong"',
  'content-digest': 'sha-256=:AAAA:',
  'accept-ranges': 'bytes',
};

/** Responses of no package: only their shape is that of one. */
const parts = (body: unknown) => ({
  status: 201,
  headers: new Headers({ 'x-kept': 'yes' }),
  body,
  arrayBuffer: () => Promise.resolve(new ArrayBuffer(0)),
});

describe('a Response that is forwarded', () => {
  let upstream: Server;
  let app: App;
  let url: string;
  const made: Record<string, (behind: string) => unknown> = {
    fetched: (behind) => fetch(`${behind}/gzip`),
    async rebuilt(behind) {
      const response = await fetch(`${behind}/gzip`);
      return new Response(response.body, response);
    },
    packed: () => new Response(PACKED, { headers: { 'content-encoding': 'gzip' } }),
    pieces: () =>
      new Response(
        Readable.toWeb(Readable.from([PACKED.subarray(0, 1), PACKED.subarray(1)])) as ReadableStream,
        {
          headers: { 'content-encoding': 'gzip' },
        },
      ),
    zstd: () =>
      new Response(Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0), { headers: { 'content-encoding': 'zstd' } }),
    unzstd: () => new Response(CONTENT, { headers: { 'content-encoding': 'zstd' } }),
    twice: (behind) => nodeFetch(`${behind}/twice`),
    text: () => parts('text'),
    bytes: () => parts(Uint8Array.of(116, 101, 120, 116)),
    stream: () => parts(Readable.from(['te', 'xt'])),
    web: () => parts(new Blob(['text']).stream()),
    none: () => parts(null),
  };

  beforeEach(async () => {
    upstream = createServer((asked, response) => {
      if (asked.url === '/gzip') response.writeHead(200, DESCRIBED).end(PACKED);
      else response.writeHead(200, { 'content-encoding': 'gzip, br' }).end(TWICE);
    });
    upstream.listen(0, '127.0.0.1');
    await once(upstream, 'listening');
    const behind = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`;

    @Controller()
    class Proxy {
      @Get('/:name') pass(@Param('name') name: string) {
        return made[name]?.(behind);
      }
    }
    app = createApp({ controllers: [Proxy], logger: false });
    ({ url } = await app.listen());
  });

  afterEach(async () => {
    await app.close();
    upstream.close();
    upstream.closeAllConnections();
  });

  /** What is on the wire: `fetch` would decode it. */
  async function ask(
    path: string,
  ): Promise<{ status: number | undefined; headers: IncomingHttpHeaders; body: Buffer }> {
    const asked = request(`${url}/${path}`, { agent: false }).end();
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    return { status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) };
  }

  for (const name of ['fetched', 'rebuilt']) {
    it(`says nothing of the bytes of a coding that was taken off: ${name}`, async () => {
      const { headers, body } = await ask(name);

      expect(body.toString()).to.equal(CONTENT);
      expect(headers).to.include({ etag: '"strong"' });
      expect(headers).not.to.have.any.keys(
        'content-encoding',
        'content-length',
        'content-digest',
        'accept-ranges',
      );
    });
  }

  it('keeps a coding that its body begins with', async () => {
    for (const name of ['packed', 'pieces']) {
      const { headers, body } = await ask(name);

      expect([headers['content-encoding'], body]).to.deep.equal(['gzip', PACKED]);
    }
    expect((await ask('zstd')).headers['content-encoding']).to.equal('zstd');
  });

  it('loses a coding that its body does not begin with', async () => {
    const { headers, body } = await ask('unzstd');

    expect([headers['content-encoding'], body.toString()]).to.deep.equal([undefined, CONTENT]);
  });

  it('keeps two codings, of which node-fetch takes off none', async () => {
    const { headers, body } = await ask('twice');

    expect([headers['content-encoding'], body]).to.deep.equal(['gzip, br', TWICE]);
  });

  for (const name of ['text', 'bytes', 'stream', 'web', 'none']) {
    it(`is known by its shape, also where it is a plain object: ${name}`, async () => {
      const { status, headers, body } = await ask(name);

      expect([status, headers['x-kept'], body.toString()]).to.deep.equal([
        201,
        'yes',
        name === 'none' ? '' : 'text',
      ]);
    });
  }
});

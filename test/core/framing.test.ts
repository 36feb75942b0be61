import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { expect } from 'chai';
import { Controller, createApp, Ctx, event, Get, HttpError, type App, type Context } from 'coequal';
import nodeFetch from 'node-fetch';
import { fetch as undiciFetch } from 'undici';
import { RawClient } from '../support/raw-client.js';

const CONTENT = 'coequal '.repeat(500);
const PACKED = gzipSync(CONTENT);

describe('the framing of responses', () => {
  let upstream: Server;
  let behind: string;
  let app: App;
  let url: string;

  /** All that a connection brings until it ends, for one request after the other. */
  async function ask(...requests: string[]): Promise<string> {
    const client = await RawClient.connect(url);
    client.write(requests.map((line) => `${line} HTTP/1.1\r\nHost: a\r\n\r\n`).join(''));
    client.write('GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    await client.closed();
    return client.received.toString('latin1');
  }

  beforeEach(async () => {
    upstream = createServer((request, response) => {
      response.setHeader('x-kept', 'yes');
      switch (request.url) {
        case '/gzip':
          return response
            .writeHead(200, { 'content-encoding': 'gzip', 'content-length': PACKED.length })
            .end(PACKED);
        case '/br':
          return response.writeHead(200, { 'content-encoding': 'br' }).end(brotliCompressSync(CONTENT));
        case '/hops':
          return response
            .writeHead(200, {
              connection: 'close, x-hop',
              'x-hop': '1',
              'keep-alive': 'timeout=99',
              'set-cookie': ['a=1', 'b=2'],
            })
            .end('hello');
        case '/304':
          return response.writeHead(304, { etag: '"1"' }).end();
        default:
          return response.writeHead(200, { 'content-length': '850' }).end('x'.repeat(850));
      }
    });
    upstream.listen(0, '127.0.0.1');
    await once(upstream, 'listening');
    behind = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`;
    const fetchers: Record<string, (target: string, init: { method: string }) => unknown> = {
      global: fetch,
      undici: undiciFetch,
      'node-fetch': nodeFetch,
    };

    @Controller()
    class Frames {
      @Get('/forward/:package/:path') forward(@Ctx() ctx: Context) {
        const { package: name = '', path = '' } = ctx.params;
        return fetchers[name]?.(`${behind}/${path}`, { method: ctx.method });
      }
      @Get('/encoded') encoded() {
        return new Response(PACKED, { headers: { 'content-encoding': 'gzip' } });
      }
      @Get('/wrong-length') wrongLength() {
        return new Response('0123456789', { headers: { 'content-length': '5' } });
      }
      @Get('/long') long(@Ctx() ctx: Context) {
        ctx.setHeader('content-length', 5);
        return Readable.from([Buffer.from('12345'), Buffer.from('SURPLUS')]);
      }
      @Get('/long-at-once') longAtOnce(@Ctx() ctx: Context) {
        ctx.setHeader('content-length', 5);
        return Readable.from([Buffer.from('12345SURPLUS')]);
      }
      @Get('/long-by-hand') longByHand(@Ctx() { response }: Context) {
        response.writeHead(200, { 'Content-Length': 5 });
        response.write('12345');
        response.end('SURPLUS');
      }
      @Get('/none-but-written') none(@Ctx() { response }: Context) {
        response.setHeader('content-length', 0);
        response.end('SURPLUS');
      }
      @Get('/short') short(@Ctx() ctx: Context) {
        ctx.setHeader('content-length', 10);
        return Readable.from([Buffer.from('12345')]);
      }
      @Get('/both') both(@Ctx() ctx: Context) {
        ctx.setHeader('transfer-encoding', 'chunked');
        return 'hello';
      }
      @Get('/both-by-hand') bothByHand(@Ctx() { response }: Context) {
        response.writeHead(200, ['Transfer-Encoding', 'chunked', 'Content-Length', '5']);
        response.end('hello');
      }
      @Get('/both-before-nothing') bothBeforeNothing(@Ctx() { response }: Context) {
        Reflect.apply(response.writeHead.bind(response), undefined, [
          200,
          { 'transfer-encoding': 'chunked', 'content-length': 5 },
          undefined,
        ]);
        response.end('hello');
      }
      @Get('/long-before-nothing') longBeforeNothing(@Ctx() { response }: Context) {
        Reflect.apply(response.writeHead.bind(response), undefined, [
          200,
          { 'content-length': 5 },
          undefined,
        ]);
        response.end('12345SURPLUS');
      }
      @Get('/no-content') noContent(@Ctx() ctx: Context) {
        ctx.setHeader('content-length', 5).status = 204;
        return Readable.from(['12345']);
      }
      @Get('/view') view() {
        return new DataView(Uint8Array.of(97, 98, 99).buffer, 1);
      }
      @Get('/views') async *views() {
        yield new DataView(Uint8Array.of(97).buffer);
        yield Uint8Array.of(98).buffer;
        yield new Blob(['c']);
        await Promise.resolve();
      }
      @Get('/events') async *events(@Ctx() ctx: Context) {
        ctx.setHeader('content-type', 'text/event-stream');
        yield event({ a: 1 }, { event: 'token', id: '1' });
        yield { b: 2 };
        yield 'data: by hand\n\n';
        await Promise.resolve();
      }
      @Get('/failed') failed(@Ctx() ctx: Context) {
        ctx.setHeader('cache-control', 'private, no-store').setHeader('content-language', 'fr');
        ctx.setHeader('expires', '0').setHeader('x-kept', 'yes');
        throw new HttpError(404);
      }
      @Get('/next') next() {
        return 'next';
      }
    }
    app = createApp({ controllers: [Frames], logger: false });
    ({ url } = await app.listen());
  });

  afterEach(async () => {
    await app.close();
    upstream.close();
    upstream.closeAllConnections();
  });

  for (const name of ['global', 'undici', 'node-fetch']) {
    describe(`of a Response of ${name} that is forwarded`, () => {
      it('says nothing of a coding that fetch has decoded, nor of its length', async () => {
        for (const path of ['gzip', 'br']) {
          const answer = await ask(`GET /forward/${name}/${path}`);

          expect(answer).not.to.match(/content-encoding|content-length: \d+\r\nx-kept/i);
          expect(answer).to.include('x-kept: yes').and.include('coequal ');
          expect(answer.endsWith('next')).to.equal(true);
        }
      });

      it('leaves out fields of the connection, and keeps all cookies', async () => {
        const answer = await ask(`GET /forward/${name}/hops`);

        expect(answer).not.to.match(/x-hop|timeout=99/i);
        expect(answer).to.match(/set-cookie: a=1\r\nset-cookie: b=2/i);
        expect(answer.endsWith('next')).to.equal(true);
      });

      it('keeps the length for HEAD, without a body', async () => {
        const answer = await ask(`HEAD /forward/${name}/plain`);

        expect(answer).to.match(/^HTTP\/1\.1 200 OK\r\n[^]*content-length: 850/i);
        expect(answer).not.to.include('xxx');
      });

      it('has no body with 304', async () => {
        expect(await ask(`GET /forward/${name}/304`)).to.match(
          /^HTTP\/1\.1 304 (?:(?!\r\n\r\n)[^])*etag: "1"(?:(?!\r\n\r\n)[^])*\r\n\r\nHTTP\/1\.1 200/i,
        );
      });
    });
  }

  it('keeps the coding of a Response that was encoded by hand', async () => {
    const response = await fetch(`${url}/encoded`);

    expect(response.headers.get('content-encoding')).to.equal('gzip');
    expect(await response.text()).to.equal(CONTENT);
  });

  for (const path of [
    '/long',
    '/long-at-once',
    '/long-by-hand',
    '/long-before-nothing',
    '/none-but-written',
    '/short',
    '/wrong-length',
  ]) {
    it(`cuts the connection where the body differs from its length: ${path}`, async () => {
      const answer = await ask(`GET ${path}`);

      expect(answer).not.to.match(/SURPLUS|56789|next/);
      expect(answer.split('HTTP/1.1 ').length).to.be.at.most(2);
    });
  }

  for (const path of ['/both', '/both-by-hand', '/both-before-nothing']) {
    it(`never has both a length and a transfer coding: ${path}`, async () => {
      const answer = await ask(`GET ${path}`);

      expect(answer)
        .to.match(/content-length: 5\r\n/i)
        .and.include('\r\n\r\nhello');
      expect(answer).not.to.match(/transfer-encoding/i);
      expect(answer.endsWith('next')).to.equal(true);
    });
  }

  it('has neither length nor body with 204', async () => {
    const answer = await ask('GET /no-content');

    expect(answer).to.match(/^HTTP\/1\.1 204 /);
    expect(answer.split('\r\n\r\nHTTP/1.1 200')[0]).not.to.match(/content-length|transfer-encoding|12345/i);
    expect(answer.endsWith('next')).to.equal(true);
  });

  it('takes views, buffers and blobs for bytes, whole and in streams', async () => {
    const whole = await fetch(`${url}/view`);
    const parts = await fetch(`${url}/views`);

    expect(whole.headers.get('content-type')).to.equal('application/octet-stream');
    expect(await whole.text()).to.equal('bc');
    expect(parts.headers.get('content-type')).to.equal('application/octet-stream');
    expect(await parts.text()).to.equal('abc');
  });

  it('writes events where the type is that of an event stream', async () => {
    expect(await (await fetch(`${url}/events`)).text()).to.equal(
      'event: token\nid: 1\ndata: {"a":1}\n\ndata: {"b":2}\n\ndata: by hand\n\n',
    );
  });

  it('drops what described another body from errors, and keeps no-store', async () => {
    const { headers } = await fetch(`${url}/failed`);

    expect(headers.get('cache-control')).to.equal('no-store');
    expect(headers.get('x-kept')).to.equal('yes');
    expect([headers.get('content-language'), headers.get('expires')]).to.deep.equal([null, null]);
  });
});

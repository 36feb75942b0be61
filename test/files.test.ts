import { expect } from 'chai';
import { Controller, Get, Post, Sse } from 'coequal';
import { files } from 'coequal/files';
import { serve } from 'coequal/testing';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

@Controller()
class Siblings {
  @Get('/api')
  api() {
    return 'from the method';
  }

  @Post('/page.html')
  post() {
    return 'posted';
  }

  @Sse('/page.txt')
  stream() {
    return 'an event';
  }

  @Get('/.well-known/security.txt')
  security() {
    return 'from the method';
  }
}

const folder = mkdtempSync(join(tmpdir(), 'files-'));
const root = join(folder, 'public');

function write(name: string, text: string): void {
  const path = join(root, name);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, text);
}

describe('files', () => {
  before(() => {
    write('index.html', '<h1>home</h1>');
    write('page.html', '<h1>page</h1>');
    write('app.js', '0123456789');
    write('page.txt', 'no stream');
    write('empty.txt', '');
    write('a b ü.txt', 'named');
    write('100%.txt', 'percent');
    write('.env', 'secret');
    write('.well-known/security.txt', 'from the folder');
    write('docs/index.html', '<h1>docs</h1>');
    write('bare/file.txt', 'in bare');
    writeFileSync(join(folder, 'secret.txt'), 'secret');
  });

  after(() => rmSync(folder, { recursive: true }));

  const server = serve({
    controllers: [Siblings],
    middleware: [
      files(root),
      files(pathToFileURL(join(root, 'docs')), { prefix: '/manual/', maxAge: 60, immutable: true }),
    ],
  });

  it('answers a file with its type, length, validators and a Cache-Control', async () => {
    const response = await server.fetch('/app.js');
    expect(response.status).to.equal(200);
    expect(await response.text()).to.equal('0123456789');
    expect(response.headers.get('content-type')).to.equal('application/javascript; charset=utf-8');
    expect(response.headers.get('content-length')).to.equal('10');
    expect(response.headers.get('accept-ranges')).to.equal('bytes');
    expect(response.headers.get('cache-control')).to.equal('public, max-age=0');
    expect(response.headers.get('etag')).to.match(/^W\/"/);
    expect(response.headers.get('last-modified')).to.not.equal(null);
  });

  it('answers files that are empty, or whose names need escapes', async () => {
    expect(await (await server.fetch('/empty.txt')).text()).to.equal('');
    expect(await (await server.fetch('/a%20b%20%C3%BC.txt')).text()).to.equal('named');
    expect(await (await server.fetch('/100%25.txt')).text()).to.equal('percent');
  });

  it('answers HEAD with the head of GET and no body', async () => {
    const response = await server.fetch('/app.js', { method: 'HEAD' });
    expect(response.status).to.equal(200);
    expect(response.headers.get('content-length')).to.equal('10');
    expect(response.headers.get('content-type')).to.equal('application/javascript; charset=utf-8');
    expect(await response.text()).to.equal('');
  });

  it('answers 304 without a body to those who have the file', async () => {
    const first = await server.fetch('/app.js');
    await first.text();
    const etag = first.headers.get('etag') ?? '';
    const since = first.headers.get('last-modified') ?? '';
    // fetch adds `Cache-Control: no-cache` to conditions of its caller, which asks for the file itself.
    const conditions: Record<string, string>[] = [{ 'if-none-match': etag }, { 'if-modified-since': since }];
    for (const headers of conditions) {
      const again = await plain('/app.js', headers);
      expect(again.status).to.equal(304);
      expect(again.body).to.equal('');
      expect(again.headers['etag']).to.equal(etag);
      expect(again.headers['content-type']).to.equal(undefined);
      expect(again.headers['content-length']).to.equal(undefined);
    }
  });

  it('answers the range that is asked for', async () => {
    const response = await server.fetch('/app.js', { headers: { range: 'bytes=2-4' } });
    expect(response.status).to.equal(206);
    expect(response.headers.get('content-range')).to.equal('bytes 2-4/10');
    expect(response.headers.get('content-length')).to.equal('3');
    expect(await response.text()).to.equal('234');
  });

  it('answers the whole file to a suffix range that is longer', async () => {
    const response = await server.fetch('/app.js', { headers: { range: 'bytes=-11' } });
    expect(response.status).to.equal(206);
    expect(response.headers.get('content-range')).to.equal('bytes 0-9/10');
    expect(await response.text()).to.equal('0123456789');
  });

  for (const [ranges, contentRange, body] of [
    ['bytes=0-1,-11', 'bytes 0-9/10', '0123456789'],
    ['bytes=-11,-3', 'bytes 0-9/10', '0123456789'],
    ['bytes=20-30, -11', 'bytes 0-9/10', '0123456789'],
    ['bytes=20-30,-3', 'bytes 7-9/10', '789'],
    ['bytes=0-1,-3', null, '0123456789'],
  ] as const) {
    it(`answers the part that several ranges cover, or the whole file (${ranges})`, async () => {
      const response = await server.fetch('/app.js', { headers: { range: ranges } });
      expect(response.status).to.equal(contentRange === null ? 200 : 206);
      expect(response.headers.get('content-range')).to.equal(contentRange);
      expect(await response.text()).to.equal(body);
    });
  }

  it('answers 416 with the length to a range outside of the file', async () => {
    const response = await server.fetch('/app.js', { headers: { range: 'bytes=20-' } });
    expect(response.status).to.equal(416);
    expect(response.headers.get('content-range')).to.equal('bytes */10');
    expect(response.headers.get('content-type')).to.equal('application/problem+json');
  });

  it('answers 412 where a condition does not hold', async () => {
    const response = await server.fetch('/app.js', { headers: { 'if-match': '"another"' } });
    expect(response.status).to.equal(412);
  });

  it('answers a folder by its index, and sends those without the slash there', async () => {
    expect(await (await server.fetch('/')).text()).to.equal('<h1>home</h1>');
    expect(await (await server.fetch('/docs/')).text()).to.equal('<h1>docs</h1>');
    const response = await server.fetch('/docs?a=1?b');
    expect(response.status).to.equal(308);
    expect(response.headers.get('location')).to.equal('/docs/?a=1?b');
  });

  it('serves a folder below a prefix, with the age that is given', async () => {
    const response = await server.fetch('/manual/');
    expect(await response.text()).to.equal('<h1>docs</h1>');
    expect(response.headers.get('cache-control')).to.equal('public, max-age=60, immutable');
    expect((await server.fetch('/manual')).headers.get('location')).to.equal('/manual/');
    expect((await server.fetch('/manually/index.html')).status).to.equal(404);
  });

  it('lists no folder', async () => {
    expect((await server.fetch('/bare/')).status).to.equal(404);
    expect(await (await server.fetch('/bare/file.txt')).text()).to.equal('in bare');
  });

  it('goes on to what comes next where there is no such file', async () => {
    expect(await (await server.fetch('/api')).text()).to.equal('from the method');
    expect((await server.fetch('/nothing.html')).status).to.equal(404);
    expect((await server.fetch('/app.js/')).status).to.equal(404);
    expect((await server.fetch(`/${'a'.repeat(3_000)}`)).status).to.equal(404);
  });

  it('leaves other methods and event streams to their routes', async () => {
    expect(await (await server.fetch('/page.html', { method: 'POST' })).text()).to.equal('posted');
    const stream = await server.sse('/page.txt');
    expect((await stream.next()).data).to.equal('an event');
  });

  it('gives no file whose name, or whose folder, begins with a dot', async () => {
    expect((await server.fetch('/.env')).status).to.equal(404);
    expect((await server.fetch('/%2eenv')).status).to.equal(404);
    expect(await (await server.fetch('/.well-known/security.txt')).text()).to.equal('from the method');
  });

  for (const path of [
    '/../secret.txt',
    '/..%2fsecret.txt',
    '/%2e%2e/secret.txt',
    '/%2e%2e%2fsecret.txt',
    '/docs/..%2f..%2fsecret.txt',
    '/docs/%252e%252e/%252e%252e/secret.txt',
    '/..%5csecret.txt',
    '/docs%2findex.html',
    '/app.js%00.html',
    '//secret.txt',
  ]) {
    it(`refuses to leave the folder by ${path}`, async () => {
      const { status, body } = await plain(path);
      expect(status).to.be.oneOf([400, 404]);
      expect(body).to.not.include('secret');
    });
  }

  it('refuses a prefix without a slash when it is made', () => {
    expect(() => files(root, { prefix: 'assets' })).to.throw(TypeError, "'assets'");
  });

  /** A request whose target goes out as it stands. */
  async function plain(path: string, headers: Record<string, string> = {}) {
    const { hostname, port } = new URL(await server.url());
    return new Promise<{ status: number; body: string; headers: Record<string, unknown> }>(
      (resolve, reject) => {
        const sent = request({ hostname, port, path, headers, agent: false }, (answer) => {
          let body = '';
          answer.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
          answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body, headers: answer.headers }));
        });
        sent.on('error', reject).end();
      },
    );
  }
});

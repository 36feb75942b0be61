import { once } from 'node:events';
import { request as ask, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { expect } from 'chai';
import { connect, createApp, type App } from 'coequal';
import cookieParser from 'cookie-parser';
import express, { type NextFunction, type Request, type Response } from 'express';

type Handler = (req: Request, res: Response, next: NextFunction) => unknown;

interface Asked {
  method?: string;
  path?: string;
  headers?: Record<string, string>;
}

const folder = mkdtempSync(join(tmpdir(), 'wire-'));
const file = join(folder, 'a file.txt');
writeFileSync(file, 'the content');
const script = join(folder, 'script.js');
writeFileSync(script, '1;');
const nameless = join(folder, 'nameless');
writeFileSync(nameless, 'anything');
after(() => rmSync(folder, { recursive: true }));

const says =
  (read: (req: Request) => unknown): Handler =>
  (req, res) =>
    res.json({ said: read(req) ?? String(read(req)) });

const sent = { accept: 'text/html, application/json;q=0.5', 'x-requested-with': 'XMLHttpRequest' };

/** What a middleware does, and what it is asked. */
const table: [title: string, handler: Handler, asked?: Asked][] = [
  ['req.get', says((req) => [req.get('X-Foo'), req.get('nothing')]), { headers: { 'x-foo': 'bar' } }],
  ['req.header', says((req) => req.header('x-foo')), { headers: { 'x-foo': 'bar' } }],
  ['req.get of Referrer', says((req) => [req.get('referrer')]), { headers: { referer: 'http://r.test/' } }],
  ['req.get without a name', (req, res) => res.send(thrown(() => req.get('')))],
  [
    'req.accepts',
    says((req) => [req.accepts('json'), req.accepts(['json', 'html']), req.accepts('png')]),
    { headers: sent },
  ],
  ['req.accepts of nothing', says((req) => req.accepts()), { headers: sent }],
  [
    'req.acceptsEncodings',
    says((req) => [req.acceptsEncodings('br', 'gzip')]),
    { headers: { 'accept-encoding': 'gzip' } },
  ],
  ['req.acceptsCharsets', says((req) => [req.acceptsCharsets('utf-8')])],
  [
    'req.acceptsLanguages',
    says((req) => [req.acceptsLanguages('de', 'en')]),
    { headers: { 'accept-language': 'en' } },
  ],
  ['req.xhr', says((req) => req.xhr), { headers: sent }],
  [
    'req.host',
    says((req) => [req.host, req.hostname, req.subdomains]),
    { headers: { host: 'a.b.example.org:80' } },
  ],
  ['req.host of IPv6', says((req) => [req.hostname, req.subdomains]), { headers: { host: '[::1]:80' } }],
  ['req.ips', says((req) => [req.ips, req.ip]), { headers: { 'x-forwarded-for': '1.2.3.4' } }],
  ['req.protocol', says((req) => [req.protocol, req.secure]), { headers: { 'x-forwarded-proto': 'https' } }],
  ['req.fresh', says((req) => [req.fresh, req.stale])],
  ['req.path', says((req) => [req.path, req.url, req.originalUrl, req.baseUrl])],
  ['req.query', says((req) => [req.query, Object.getPrototypeOf(req.query) === null])],
  ['req.query of nothing', says((req) => req.query), { path: '/' }],
  [
    'req.is',
    says((req) => [req.is('json'), req.is('html')]),
    { method: 'POST', headers: { 'content-type': 'application/json', 'content-length': '0' } },
  ],
  ['req.range', says((req) => req.range(100)), { headers: { range: 'bytes=0-9,20-29' } }],
  [
    'req.signedCookies',
    says((req) => [req.cookies, req.signedCookies]),
    { headers: { cookie: 'a=1; t=s%3Av.OP93IVnkm2f8BNfxcnzqyocK4TopJC%2FNH4Qa3%2FDHgr4' } },
  ],
  ['req.app', says((req) => [req.app.get('trust proxy'), req.app.enabled('etag'), req.app === req.res?.app])],
  ['req.res', says((req) => req.res?.req === req)],
  ['res.append', (_, res) => res.append('x-a', '1').append('x-a', '2').append('x-a', ['3', '4']).end()],
  ['res.set of a record', (_, res) => res.set({ 'x-a': '1', 'x-b': 2 }).end()],
  ['res.set of a list', (_, res) => res.set('x-a', ['1', '2']).end()],
  ['res.set of a type', (_, res) => res.set('Content-Type', 'text/css').end()],
  ['res.header', (_, res) => res.header('x-a', '1').end()],
  ['res.get', (_, res) => res.set('x-a', '1').send(res.get('X-A'))],
  [
    'res.vary',
    (_, res) =>
      res
        .vary('Origin')
        .vary(['Accept', 'Origin'] as never)
        .end(),
  ],
  ['res.location', (_, res) => res.location('/else where?a=é').status(302).end()],
  ['res.links', (_, res) => res.links({ next: '/2' }).links({ last: '/9' }).end()],
  ['res.type of an extension', (_, res) => res.type('json').send('{}')],
  ['res.type of a file', (_, res) => res.type('.html').send('x')],
  ['res.type of nothing known', (_, res) => res.type('x-nothing').send('x')],
  ['res.type with a parameter', (_, res) => res.type('text/plain; a=b').send('x')],
  ['res.contentType', (_, res) => res.contentType('text/css').send('x')],
  ['res.attachment', (_, res) => res.attachment().send('x')],
  ['res.attachment with a name', (_, res) => res.attachment('/x/ünder.png').send('x')],
  ['res.cookie', (_, res) => res.cookie('a', 'b c').cookie('n', 1, { maxAge: 0, path: '/x' }).end()],
  [
    'res.cookie with options',
    (_, res) =>
      res
        .cookie('a', 'b', {
          httpOnly: true,
          secure: true,
          sameSite: true,
          domain: 'x.test',
          expires: new Date(0),
        })
        .end(),
  ],
  ['res.cookie without an age', (_, res) => res.cookie('a', 'b', { maxAge: null as never }).end()],
  ['res.cookie of an object', (_, res) => res.cookie('o', { a: 1 }).end()],
  ['res.cookie, signed', (_, res) => res.cookie('t', 'v', { signed: true }).end()],
  [
    'res.clearCookie',
    (_, res) => res.clearCookie('sid', { path: '/app', domain: 'x.test', maxAge: 5 }).end(),
  ],
  ['res.status out of range', (_, res) => res.send(thrown(() => res.status(1_000)))],
  ['res.status that is no number', (_, res) => res.send(thrown(() => res.status('200' as never)))],
  ['res.sendStatus', (_, res) => res.sendStatus(403)],
  ['res.sendStatus without a phrase', (_, res) => res.sendStatus(799)],
  ['res.send of a text', (_, res) => res.send('<p>é</p>')],
  ['res.send of bytes', (_, res) => res.send(Buffer.from([1, 2, 3]))],
  ['res.send of a view', (_, res) => res.send(new Uint8Array([1, 2]).subarray(1) as never)],
  ['res.send of nothing', (_, res) => res.send()],
  ['res.send of null', (_, res) => res.send(null)],
  ['res.send of a boolean', (_, res) => res.send(true)],
  ['res.send of a number', (_, res) => res.send(42 as never)],
  ['res.send of an object', (_, res) => res.send({ a: [1] })],
  ['res.send with 204', (_, res) => res.status(204).send('x')],
  ['res.send with 205', (_, res) => res.status(205).send('x')],
  ['res.send for HEAD', (_, res) => res.send('text'), { method: 'HEAD' }],
  [
    'res.send of what the client has',
    (_, res) => res.set('ETag', '"1"').send('x'),
    { headers: { 'if-none-match': '"1"' } },
  ],
  [
    'res.send with its own ETag',
    (_, res) => res.send('x'),
    { headers: { 'if-none-match': 'W/"1-EfatjsUqKYE0sXguGvtNzhfxXFM"' } },
  ],
  ['res.json', (_, res) => res.status(201).json({ a: 'é' })],
  ['res.json of null', (_, res) => res.json(null)],
  ['res.json of nothing', (_, res) => res.json(undefined)],
  ['res.json of what is no JSON', (_, res) => res.send(typeof thrown(() => res.json(1n)))],
  ['res.send with a type that is none', (_, res) => res.set('Content-Type', 'none').send('x')],
  [
    'res.send with malformed parameters',
    (_, res) => res.setHeader('Content-Type', 'text/plain; a="b') && res.send('x'),
  ],
  ['res.jsonp', (_, res) => res.jsonp({ a: '\u2028' }), { path: '/?callback=a.b(c' }],
  ['res.jsonp without a callback', (_, res) => res.jsonp({ a: 1 })],
  ['res.redirect', (_, res) => res.redirect('/else?a=<é>')],
  ['res.redirect with a status', (_, res) => res.redirect(301, '/else'), { headers: sent }],
  ['res.redirect for images', (_, res) => res.redirect('/else'), { headers: { accept: 'image/png' } }],
  ['res.redirect for HEAD', (_, res) => res.redirect('/else'), { method: 'HEAD' }],
  [
    'res.format',
    (_, res) => res.format({ json: () => res.json(1), html: () => res.send('<p>') }),
    { headers: sent },
  ],
  [
    'res.format by default',
    (_, res) => res.format({ png: () => undefined, default: () => res.send('d') }),
    { headers: sent },
  ],
  ['res.sendFile', (_, res) => res.sendFile(file, { lastModified: false, etag: false })],
  [
    'res.sendFile below a root',
    (_, res) => res.sendFile('a file.txt', { root: folder, headers: { 'x-a': '1' } }),
  ],
  ['res.sendFile of a range', (_, res) => res.sendFile(file), { headers: { range: 'bytes=4-6' } }],
  ['res.sendFile for HEAD', (_, res) => res.sendFile(file), { method: 'HEAD' }],
  [
    'res.sendFile of what is not there',
    (_, res) =>
      res.sendFile(join(folder, 'none'), (error) =>
        res.status((error as { status?: number }).status ?? 500).send('none'),
      ),
  ],
  ['res.sendFile of a script', (_, res) => res.sendFile(script)],
  ['res.sendFile without an extension', (_, res) => res.sendFile(nameless)],
  ['res.sendFile with a status', (_, res) => res.status(404).sendFile(file)],
  [
    'res.sendFile with a status, asked again',
    (_, res) => res.status(404).sendFile(file),
    { headers: { 'if-none-match': '*' } },
  ],
  [
    'res.sendFile after fields',
    (_, res) => res.set({ etag: '"1"', 'cache-control': 'no-store' }).sendFile(file),
  ],
  [
    'res.sendFile of what the client has',
    (_, res) => res.sendFile(file),
    { headers: { 'if-none-match': '*' } },
  ],
  [
    'res.sendFile of what the client has by its own ETag',
    (_, res) => res.set('ETag', '"1"').sendFile(file),
    { headers: { 'if-none-match': '"1"' } },
  ],
  [
    'res.sendFile that fails, to its callback',
    (_, res) =>
      res.sendFile(join(folder, 'none'), (error) => {
        const { code, status, statusCode } = error as unknown as Record<string, unknown>;
        res.send({ code, status, statusCode });
      }),
  ],
  ['res.sendFile of a relative path', (_, res) => res.send(thrown(() => res.sendFile('x')))],
  ['res.download', (_, res) => res.download(file)],
  [
    'res.download with a name',
    (_, res) => res.download(file, 'ünder.txt', { headers: { 'x-a': '1', 'content-disposition': 'no' } }),
  ],
  [
    'res.locals',
    (_, res) => res.send({ locals: res.locals, proto: Object.getPrototypeOf(res.locals) === null }),
  ],
  ['res.headersSent', (_, res) => res.send(String(res.headersSent))],
  ['next with a false value', (_, __, next) => next(0)],
  [
    'next after a field',
    (_, res, next) => {
      res.set('x-a', '1').status(200);
      next();
    },
  ],
];

function thrown(run: () => unknown): string {
  try {
    run();
    return 'nothing';
  } catch (error) {
    return String(error);
  }
}

describe('what Express middleware sends', () => {
  let app: App;
  let peer: Server;
  let ports: number[] = [];
  const handlers = new Map(table.map(([title, handler]) => [title, handler]));
  const chosen: Handler = (req, res, next) =>
    handlers.get(req.headers['x-title'] as string)?.(req, res, next);

  before(async () => {
    app = createApp({
      controllers: [],
      middleware: [
        connect(cookieParser('secret')),
        connect(chosen),
        (ctx) => {
          ctx.send('passed');
        },
      ],
      logger: false,
    });
    const { port } = await app.listen();
    const beside = express().disable('x-powered-by').use(cookieParser('secret'), chosen);
    beside.use((_, res) => {
      res
        .writeHead(200, { 'content-type': 'text/plain; charset=utf-8', 'content-length': '6' })
        .end('passed');
    });
    peer = beside.listen(0, '127.0.0.1');
    await once(peer, 'listening');
    ports = [port, (peer.address() as AddressInfo).port];
  });
  after(() => Promise.all([app.close(), new Promise((closed) => peer.close(closed))]));

  for (const [title, , { method = 'GET', path = '/some/page?a=1&b[c]=2&a=2', headers = {} } = {}] of table) {
    it(`is what Express sends: ${title}`, async () => {
      const fields = { host: 'app.example.org', ...headers, 'x-title': title };
      const [ours, theirs] = await Promise.all(ports.map((port) => exchange(port, method, path, fields)));
      expect(ours).to.deep.equal(theirs);
    });
  }
});

async function exchange(port: number, method: string, path: string, headers: Record<string, string>) {
  const asked = ask({ host: '127.0.0.1', port, method, path, headers, agent: false }).end();
  const [answer] = (await once(asked, 'response')) as [
    NodeJS.ReadableStream & { statusCode: number; headers: IncomingHttpHeaders },
  ];
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as unknown as Buffer);
  const { date: _, connection: __, 'keep-alive': ___, ...fields } = answer.headers;
  return { status: answer.statusCode, fields, body: Buffer.concat(chunks).toString('latin1') };
}

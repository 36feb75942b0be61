import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { request as ask, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import compression from 'compression';
import flash from 'connect-flash';
import cookieParser from 'cookie-parser';
import cookieSession from 'cookie-session';
import { connect, createApp, type App } from 'coequal';
import cors from 'cors';
import express, { Router, type RequestHandler } from 'express';
import session from 'express-session';
import { body, matchedData, query, validationResult } from 'express-validator';
import helmet from 'helmet';
import multer from 'multer';
import passport from 'passport';
import { Strategy } from 'passport-local';

interface Step {
  method?: string;
  path: string;
  headers?: Record<string, string>;
  body?: string;
}

/** An application of middleware alone, and what a client asks it, one after the other and with its cookies. */
interface Stack {
  use(): RequestHandler[];
  steps: Step[];
}

const SECRET = 'a secret that is long enough for all of them';
const folder = mkdtempSync(join(tmpdir(), 'stacks-'));
writeFileSync(join(folder, 'page.html'), '<p>page</p>');
writeFileSync(join(folder, 'script.js'), '1;');

const form = (text: string): Step => ({
  method: 'POST',
  path: '/login',
  headers: { 'content-type': 'application/x-www-form-urlencoded' },
  body: text,
});
const json = (path: string, text: string, headers = {}): Step => ({
  method: 'POST',
  path,
  headers: { 'content-type': 'application/json', ...headers },
  body: text,
});
const parts = (path: string, ...names: string[]): Step => ({
  method: 'POST',
  path,
  headers: { 'content-type': 'multipart/form-data; boundary=XX' },
  body: `${names.map((name) => `--XX\r\nContent-Disposition: form-data; ${name}\r\n\r\nvalue\r\n`).join('')}--XX--\r\n`,
});
const gets = (...paths: string[]): Step[] => paths.map((path) => ({ path }));
const signed = createHmac('sha256', SECRET).update('{"id" :1}').digest('hex');

const stacks: Record<string, Stack> = {
  'signing in by form, with flash messages': {
    use() {
      const own = new passport.Passport();
      own.use(
        new Strategy((id, word, done) => done(null, word === 'pw' ? { id } : false, { message: 'wrong' })),
      );
      own.serializeUser((user: any, done) => done(null, user.id));
      own.deserializeUser((id, done) => done(null, { id }));
      const app = Router();
      app.post(
        '/login',
        own.authenticate('local', { successRedirect: '/me', failureRedirect: '/', failureFlash: true }),
      );
      app.get('/me', (req, res) => void (req.user ? res.send(req.user) : res.status(401).send('no')));
      app.get('/logout', (req, res, next) =>
        req.logout((error) => (error ? next(error) : res.redirect('/'))),
      );
      app.get('/again', (req, res, next) =>
        req.session.regenerate((error) => (error ? next(error) : res.send('ok'))),
      );
      app.get('/end', (req, res, next) =>
        req.session.destroy((error) => (error ? next(error) : res.send('ok'))),
      );
      app.get('/', (req: any, res) => void res.send({ flash: req.flash('error') }));
      return [
        session({ secret: SECRET, resave: false, saveUninitialized: true, cookie: { maxAge: 60_000 } }),
        express.urlencoded({ extended: false }),
        flash(),
        own.initialize() as RequestHandler,
        own.session(),
        app,
      ];
    },
    steps: [
      ...gets('/', '/me'),
      form('username=ada&password=no'),
      ...gets('/', '/'),
      form('username=ada&password=pw'),
      ...gets('/me', '/again', '/me'),
      form('username=ada&password=pw'),
      ...gets('/me', '/logout', '/me', '/end', '/'),
    ],
  },
  'a session in a cookie': {
    use: () => [
      cookieSession({ name: 's', keys: ['new', 'old'], maxAge: 60_000 }),
      (req: any, res) => {
        if (req.path === '/clear') req.session = null;
        else if (req.path !== '/read') req.session.n = (req.session.n ?? 0) + 1;
        res.send({ n: req.session?.n, isNew: req.session?.isNew });
      },
    ],
    steps: gets('/', '/', '/read', '/clear', '/read'),
  },
  'security headers, compression and CORS': {
    use: () => [
      helmet(),
      cors({ origin: ['https://app.example'], credentials: true, exposedHeaders: 'X-E' }),
      compression({ threshold: 100 }),
      (req, res) => {
        if (req.path === '/file') res.sendFile(join(folder, 'page.html'));
        else if (req.path === '/large') res.json({ text: 'x'.repeat(500) });
        else res.status(404).send('none');
      },
    ],
    steps: ['/large', '/file', '/none'].flatMap((path) =>
      ['gzip', 'br', 'identity', 'gzip;q=0'].map((coding) => ({
        path,
        headers: { 'accept-encoding': coding, origin: 'https://app.example' },
      })),
    ),
  },
  'a router with routers, parameters and files': {
    use() {
      const inner = Router({ mergeParams: true });
      inner.get('/it', (req, res) => void res.send({ params: req.params, base: req.baseUrl, url: req.url }));
      const app = Router();
      app.use('/of/:id', inner);
      app
        .route('/both')
        .get((_, res) => void res.send('got'))
        .post((_, res) => void res.send('posted'));
      app.get('/skips', (_req, _res, next) => next('route'));
      app.get('/skips', (_, res) => void res.send('the next'));
      app.get('/leaves', (_req, _res, next) => next('router'));
      app.get('/rest/*rest', (req, res) => void res.send(req.params));
      app.use('/files', express.static(folder, { redirect: false }));
      return [
        app,
        (req, res) => void res.status(404).send({ url: req.url, base: req.baseUrl, params: req.params }),
      ];
    },
    steps: [
      ...gets('/of/5/it?q=1', '/of/5/none', '/both', '/skips', '/leaves', '/rest/a/b', '/files/page.html'),
      ...gets('/files/script.js', '/files/none'),
      { method: 'POST', path: '/both' },
      { method: 'PUT', path: '/both' },
      { method: 'OPTIONS', path: '/both' },
      { method: 'HEAD', path: '/both' },
      { path: '/files/page.html', headers: { range: 'bytes=0-2' } },
      { path: '/files/page.html', headers: { 'if-none-match': '*' } },
    ],
  },
  'parsers of bodies, one of them for signed bytes': {
    use: () => [
      (req, res, next) =>
        (req.path === '/hook' ? express.raw({ type: 'application/json' }) : express.json())(req, res, next),
      (req, res) => {
        if (req.path !== '/hook') return void res.send({ body: req.body ?? 'none' });
        const expected = createHmac('sha256', SECRET)
          .update(req.body as Buffer)
          .digest('hex');
        res.status(expected === req.get('signature') ? 200 : 400).send(req.body);
      },
    ],
    steps: [
      json('/hook', '{"id" :1}', { signature: signed }),
      json('/hook', '{"id":1}', { signature: signed }),
      json('/', '{"id" :1}'),
    ],
  },
  'validated input': {
    use: () => [
      express.json(),
      query('limit').optional().isInt().toInt(),
      body('mail').isEmail().normalizeEmail(),
      (req, res) => {
        const errors = validationResult(req);
        if (errors.isEmpty()) res.send(matchedData(req));
        else res.status(400).json({ errors: errors.array() });
      },
    ],
    steps: [
      json('/?limit=5', '{"mail":"A@Example.org"}'),
      json('/?limit=x', '{"mail":"none"}'),
      { path: '/' },
    ],
  },
  uploads: {
    use: () => [
      (req, res, next) =>
        (req.path === '/one' ? multer().single('file') : multer().array('file', 2))(req, res, next),
      (req: any, res) =>
        void res.send({
          body: req.body,
          file: req.file?.size,
          files: req.files?.length,
        }),
    ],
    steps: ['/one', '/more'].flatMap((path) => [
      parts(path, 'name="a"', 'name="file"; filename="x.txt"\r\nContent-Type: text/plain'),
      parts(path, 'name="b[c]"'),
      { path },
    ]),
  },
  'signed cookies': {
    use: () => [
      cookieParser([SECRET, 'old']),
      (req, res) =>
        void res
          .cookie('signed', { n: 1 }, { signed: true, httpOnly: true, sameSite: 'lax' })
          .clearCookie('old')
          .send({ plain: req.cookies, signed: req.signedCookies }),
    ],
    steps: gets('/', '/'),
  },
};

describe('applications of Express middleware', () => {
  for (const [name, { use, steps }] of Object.entries(stacks)) {
    it(`send what they send in Express: ${name}`, async () => {
      const app = createApp({ controllers: [], middleware: use().map((one) => connect(one)), logger: false });
      const peer = express().disable('x-powered-by').use(use()).listen(0, '127.0.0.1');
      try {
        await once(peer, 'listening');
        const { port } = await app.listen();
        const ours = await conversation(port, steps);
        const theirs = await conversation((peer.address() as AddressInfo).port, steps);
        expect(ours).to.deep.equal(theirs);
      } finally {
        await closeBoth(app, peer);
      }
    });
  }
});

async function closeBoth(app: App, peer: Server): Promise<void> {
  await app.close({ grace: 100 });
  peer.close();
  peer.closeAllConnections();
}

async function conversation(port: number, steps: Step[]): Promise<unknown[]> {
  const cookies = new Map<string, string>();
  const answers: unknown[] = [];
  for (const { method = 'GET', path, headers = {}, body: sent } of steps) {
    const cookie = [...cookies].map((pair) => pair.join('=')).join('; ');
    const fields = { host: 'app.example', ...headers, ...(cookie === '' ? {} : { cookie }) };
    const asked = ask({ host: '127.0.0.1', port, method, path, headers: fields, agent: false }).end(sent);
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    const {
      date: _,
      connection: __,
      'keep-alive': ___,
      'set-cookie': set = [],
      ...others
    } = response.headers;
    for (const one of set) {
      const [, key = '', value = ''] = /^([^=]+)=([^;]*)/.exec(one) ?? [];
      if (value === '') cookies.delete(key);
      else cookies.set(key, value);
    }
    answers.push({
      asked: `${method} ${path}`,
      status: response.statusCode,
      fields: others,
      // Ids and times differ: the names and attributes are compared.
      cookies: set.map((one) => one.replace(/^([^=]+)=[^;]+/, '$1=…').replace(/(Expires=)[^;]+/i, '$1…')),
      body: Buffer.concat(chunks).toString('latin1'),
    });
  }
  return answers;
}

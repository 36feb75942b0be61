import { mkdtempSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import bodyParser from 'body-parser';
import { celebrate, Joi, Segments } from 'celebrate';
import rTracer from 'cls-rtracer';
import compression from 'compression';
import flash from 'connect-flash';
import history from 'connect-history-api-fallback';
import livereload from 'connect-livereload';
import timeout from 'connect-timeout';
import cookieParser from 'cookie-parser';
import cookieSession from 'cookie-session';
import cors from 'cors';
import { doubleCsrf } from 'csrf-csrf';
import errorhandler from 'errorhandler';
import type { RequestHandler } from 'express';
import basicAuth from 'express-basic-auth';
import bearerToken from 'express-bearer-token';
import fileUpload from 'express-fileupload';
import healthcheck from 'express-healthcheck';
import httpContext from 'express-http-context';
import { expressjwt } from 'express-jwt';
import promBundle from 'express-prom-bundle';
import { rateLimit } from 'express-rate-limit';
import session from 'express-session';
import { slowDown } from 'express-slow-down';
import rewrite from 'express-urlrewrite';
import * as useragent from 'express-useragent';
import { matchedData, query } from 'express-validator';
import expressWinston from 'express-winston';
import * as frameguard from 'frameguard';
import helmet from 'helmet';
import hpp from 'hpp';
import hsts from 'hsts';
import { createProxyMiddleware } from 'http-proxy-middleware';
import i18next from 'i18next';
import * as i18nMiddleware from 'i18next-http-middleware';
import jwt from 'jsonwebtoken';
import lusca from 'lusca';
import memorystore from 'memorystore';
import methodOverride from 'method-override';
import morgan from 'morgan';
import multer from 'multer';
import nocache from 'nocache';
import passport from 'passport';
import { BasicStrategy } from 'passport-http';
import { Strategy as BearerStrategy } from 'passport-http-bearer';
import { pinoHttp } from 'pino-http';
import { Registry } from 'prom-client';
import referrerPolicy from 'referrer-policy';
import requestIp from 'request-ip';
import responseTime from 'response-time';
import favicon from 'serve-favicon';
import serveStatic from 'serve-static';
import swaggerUi from 'swagger-ui-express';
import vhost from 'vhost';
import winston from 'winston';
import * as xXssProtection from 'x-xss-protection';

/** One middleware, as its own guide sets it up, and what shows that it works. */
export interface Entry {
  name: string;
  /** Makes it anew for each server; what it gives is used in order. */
  use(): unknown[] | Promise<unknown[]>;
  /** Fields of the request. */
  headers?: Record<string, string>;
  /** What follows the path: a query. */
  search?: string;
  /** Where it answers itself: the path that it is asked for, in place of the method's. */
  path?: string;
  /** What the method sees of it; JSON. */
  sees?(request: any, response: any): unknown;
  /** Fields of the answer that are there, and differ each time. */
  changing?: string[];
  /** Fields that describe a body which streams and sockets do not have. */
  ofBody?: string[];
  /** Which of the three kinds it is made for; all of them by default. */
  kinds?: ('request' | 'stream' | 'upgrade')[];
}

const folder = mkdtempSync(join(tmpdir(), 'ecosystem-'));
writeFileSync(join(folder, 'hello.txt'), 'hello');
writeFileSync(join(folder, 'favicon.ico'), 'icon');

const SECRET = 'a secret that is long enough for all of them';
const BASIC = `Basic ${Buffer.from('ada:lovelace').toString('base64')}`;
const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
const users = { ada: { id: 7, name: 'ada' } };

function authenticator(strategy: passport.Strategy, name: string): RequestHandler[] {
  const own = new passport.Passport();
  own.use(strategy);
  return [own.initialize(), own.authenticate(name, { session: false })];
}

const basicStrategy = (): passport.Strategy =>
  new BasicStrategy((name, password, done) =>
    done(null, password === 'lovelace' ? users[name as 'ada'] : false),
  );
const bearerStrategy = (): passport.Strategy =>
  new BearerStrategy((token, done) => done(null, token === 'good' ? users.ada : false));

export const middleware: Entry[] = [
  { name: 'helmet', use: () => [helmet()] },
  { name: 'cors', use: () => [cors({ origin: 'https://app.example', credentials: true })] },
  {
    name: 'cors, preflight of another site',
    use: () => [cors({ origin: true })],
    headers: { 'access-control-request-method': 'PUT' },
  },
  { name: 'morgan', use: () => [morgan('combined', { stream: nowhere })] },
  {
    name: 'compression',
    use: () => [compression({ threshold: 0 })],
    headers: { 'accept-encoding': 'identity' },
    ofBody: ['vary'],
  },
  {
    name: 'cookie-parser',
    use: () => [cookieParser(SECRET)],
    headers: {
      cookie: `plain=1; signed=${encodeURIComponent(`s:x.wrong`)}; json=${encodeURIComponent('j:{"a":1}')}`,
    },
    sees: ({ cookies, signedCookies, secret }) => ({ cookies, signedCookies, secret: secret !== undefined }),
  },
  {
    name: 'body-parser',
    use: () => [bodyParser.json(), bodyParser.urlencoded({ extended: true })],
    sees: ({ body }) => body ?? 'none',
  },
  {
    name: 'express-session',
    use: () => [session({ secret: SECRET, resave: false, saveUninitialized: true }), visit],
    changing: ['set-cookie'],
    sees: ({ session: { visits } }) => visits,
  },
  {
    name: 'express-session with memorystore',
    use: () => [
      session({
        secret: SECRET,
        resave: false,
        saveUninitialized: true,
        store: new (memorystore(session as never))({ checkPeriod: 60_000 }) as never,
      }),
      visit,
    ],
    changing: ['set-cookie'],
    sees: ({ session: { visits } }) => visits,
  },
  {
    name: 'cookie-session',
    use: () => [cookieSession({ name: 's', keys: [SECRET] }), visit],
    sees: ({ session: { visits, isNew } }) => ({ visits, isNew }),
  },
  {
    name: 'connect-flash',
    use: () => [
      session({ secret: SECRET, resave: false, saveUninitialized: true }),
      flash(),
      (request, _response, next) => {
        request.flash('info', 'saved');
        next();
      },
    ],
    changing: ['set-cookie'],
    sees: (request) => request.flash('info'),
  },
  {
    name: 'passport',
    use: () => authenticator(basicStrategy(), 'basic'),
    headers: { authorization: BASIC },
    sees: ({ user }) => user,
  },
  { name: 'passport, refused', use: () => authenticator(basicStrategy(), 'basic') },
  {
    name: 'passport-http-bearer',
    use: () => authenticator(bearerStrategy(), 'bearer'),
    headers: { authorization: 'Bearer good' },
    sees: (request) => ({ user: request.user, authenticated: request.isAuthenticated() }),
  },
  {
    name: 'passport-http-bearer, refused',
    use: () => authenticator(bearerStrategy(), 'bearer'),
    headers: { authorization: 'Bearer bad' },
  },
  {
    name: 'express-jwt',
    use: () => [expressjwt({ secret: SECRET, algorithms: ['HS256'] })],
    headers: { authorization: `Bearer ${jwt.sign({ sub: 'ada' }, SECRET, { noTimestamp: true })}` },
    sees: ({ auth }) => auth,
  },
  { name: 'express-jwt, refused', use: () => [expressjwt({ secret: SECRET, algorithms: ['HS256'] })] },
  {
    name: 'express-basic-auth',
    use: () => [basicAuth({ users: { ada: 'lovelace' }, challenge: true })],
    headers: { authorization: BASIC },
    sees: ({ auth }) => auth,
  },
  {
    name: 'express-basic-auth, refused',
    use: () => [basicAuth({ users: { ada: 'lovelace' }, challenge: true })],
  },
  {
    name: 'express-bearer-token',
    use: () => [bearerToken()],
    headers: { authorization: 'Bearer good' },
    sees: ({ token }) => token,
  },
  {
    name: 'express-rate-limit',
    use: () => [
      rateLimit({ windowMs: 60_000, limit: 100, standardHeaders: 'draft-8', legacyHeaders: false }),
    ],
    changing: ['ratelimit'],
    sees: ({ rateLimit: facts }) => ({ limit: facts.limit, used: facts.used }),
  },
  {
    name: 'express-rate-limit, refused',
    use: () => [
      rateLimit({
        windowMs: 60_000,
        limit: 0,
        standardHeaders: 'draft-7',
        legacyHeaders: false,
        skipFailedRequests: false,
        // It warns of a limit of 0.
        validate: { limit: false },
      }),
    ],
    changing: ['ratelimit', 'retry-after'],
  },
  {
    name: 'express-slow-down',
    use: () => [slowDown({ windowMs: 60_000, delayAfter: 5, delayMs: () => 1 })],
    sees: ({ slowDown: facts }) => facts.used,
  },
  { name: 'hpp', use: () => [hpp()], search: '?sort=a&sort=b', sees: ({ queryPolluted }) => queryPolluted },
  {
    name: 'csrf-csrf',
    use: () => [
      ...csrf(),
      (request, _response, next) => {
        request.token = typeof request.csrfToken();
        next();
      },
    ],
    changing: ['set-cookie'],
    sees: ({ token }) => token,
  },
  {
    name: 'csrf-csrf, whose token the method makes',
    use: csrf,
    changing: ['set-cookie'],
    sees: (request) => typeof request.csrfToken(),
    // The head of a socket is sent before its method runs, and the token's cookie would come too late.
    kinds: ['request', 'stream'],
  },
  {
    name: 'lusca',
    use: () => [
      lusca({
        csp: { policy: "default-src 'self'" },
        xframe: 'SAMEORIGIN',
        nosniff: true,
        hsts: { maxAge: 60 },
      }),
    ],
  },
  { name: 'response-time', use: () => [responseTime()], changing: ['x-response-time'] },
  { name: 'serve-static', use: () => [serveStatic(folder)], path: '/hello.txt' },
  { name: 'serve-static, where there is no such file', use: () => [serveStatic(folder)] },
  { name: 'serve-favicon', use: () => [favicon(join(folder, 'favicon.ico'))], path: '/favicon.ico' },
  {
    name: 'method-override',
    use: () => [methodOverride('X-HTTP-Method-Override')],
    sees: ({ method, originalMethod }) => ({ method, originalMethod }),
  },
  { name: 'connect-timeout', use: () => [timeout('5s')], sees: ({ timedout }) => timedout },
  { name: 'multer', use: () => [multer().single('file')], sees: ({ file }) => file ?? 'none' },
  { name: 'express-fileupload', use: () => [fileUpload()], sees: ({ files }) => files ?? 'none' },
  {
    name: 'express-validator',
    use: () => [query('limit').isInt().toInt()],
    search: '?limit=10',
    sees: (request) => matchedData(request),
  },
  {
    name: 'celebrate',
    use: () => [celebrate({ [Segments.QUERY]: Joi.object({ limit: Joi.number().required() }) })],
    search: '?limit=10',
    sees: ({ query: { limit } }) => limit,
  },
  {
    name: 'express-useragent',
    use: () => [useragent.express()],
    headers: { 'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0' },
    sees: ({ useragent: { browser, os } }) => ({ browser, os }),
  },
  {
    name: 'cls-rtracer',
    use: () => [rTracer.expressMiddleware({ useHeader: true })],
    headers: { 'x-request-id': 'abc' },
    sees: () => rTracer.id(),
  },
  {
    name: 'express-http-context',
    use: () => [
      httpContext.middleware,
      (_request, _response, next) => {
        httpContext.set('tenant', 'acme');
        next();
      },
    ],
    sees: () => httpContext.get('tenant'),
  },
  { name: 'errorhandler behind what fails', use: () => [failing(418)] },
  {
    name: 'pino-http',
    use: () => [pinoHttp({ genReqId: () => 'id' }, nowhere as never)],
    sees: ({ id, log }) => ({ id, log: typeof log.info }),
  },
  {
    name: 'express-winston',
    use: () => [expressWinston.logger({ transports: [new winston.transports.Stream({ stream: nowhere })] })],
  },
  { name: 'nocache', use: () => [nocache()] },
  { name: 'frameguard', use: () => [(frameguard as any).default({ action: 'deny' })] },
  { name: 'hsts', use: () => [hsts({ maxAge: 60 })] },
  { name: 'referrer-policy', use: () => [referrerPolicy({ policy: 'no-referrer' })] },
  { name: 'x-xss-protection', use: () => [(xXssProtection as any).default()] },
  {
    name: 'swagger-ui-express',
    use: () => [
      ...swaggerUi.serve,
      swaggerUi.setup({ openapi: '3.1.0', info: { title: 'It', version: '1' }, paths: {} }),
    ],
    path: '/swagger-ui-init.js',
  },
  {
    name: 'i18next-http-middleware',
    async use() {
      const own = i18next.createInstance();
      own.use(i18nMiddleware.LanguageDetector);
      await own.init({
        fallbackLng: 'en',
        preload: ['en', 'de'],
        supportedLngs: ['en', 'de'],
        resources: { de: { translation: { hello: 'hallo' } } },
      });
      return [i18nMiddleware.handle(own)];
    },
    headers: { 'accept-language': 'de' },
    sees: (request) => ({ language: request.language, hello: request.t('hello') }),
  },
  {
    name: 'express-prom-bundle',
    use: () => [
      promBundle({ includeMethod: true, promRegistry: new Registry(), autoregister: false } as never),
    ],
  },
  {
    name: 'request-ip',
    use: () => [requestIp.mw()],
    headers: { 'x-client-ip': '192.0.2.7' },
    sees: ({ clientIp }) => clientIp,
  },
  { name: 'connect-history-api-fallback', use: () => [history()], headers: { accept: 'application/json' } },
  { name: 'connect-livereload', use: () => [livereload()] },
  {
    name: 'vhost',
    use: () => [vhost('localhost', (_request, response) => void response.end('of the host'))],
    headers: { host: 'localhost' },
  },
  { name: 'express-urlrewrite', use: () => [rewrite('/old/*rest', '/new/*rest')] },
  {
    name: 'express-healthcheck',
    use: () => [
      (request, response, next) =>
        request.path === '/health'
          ? healthcheck({ healthy: () => ({ ok: true }) })(request, response, next)
          : next(),
    ],
    path: '/health',
  },
  {
    name: 'http-proxy-middleware',
    use: async () => [createProxyMiddleware({ target: await upstream(), pathFilter: '/proxied' })],
    path: '/proxied',
    changing: ['date'],
    kinds: ['request'],
  },
  {
    name: 'what answers by Express alone',
    use: () => [(_request, response) => response.status(403).set('x-why', 'closed').json({ closed: true })],
  },
];

function csrf(): RequestHandler[] {
  const { doubleCsrfProtection } = doubleCsrf({
    getSecret: () => SECRET,
    getSessionIdentifier: () => 'visitor',
    cookieName: 'csrf',
    cookieOptions: { secure: false },
  });
  return [cookieParser(), doubleCsrfProtection];
}

function visit(request, _response, next): void {
  request.session.visits = (request.session.visits ?? 0) + 1;
  next();
}

function failing(status: number) {
  const own = errorhandler({ log: false });
  return (request, response) =>
    own(
      Object.assign(new Error('short and stout'), { status, stack: 'Error: short and stout' }),
      request,
      response,
      () => undefined,
    );
}

let server: Server | undefined;

/** What a proxy asks. */
async function upstream(): Promise<string> {
  server ??= createServer(
    (_request, response) => void response.setHeader('x-upstream', '1').end('from upstream'),
  ).listen(0, '127.0.0.1');
  if (!server.listening) await new Promise((resolve) => server?.once('listening', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

export function closeUpstream(): void {
  server?.close();
  server?.closeAllConnections();
  server = undefined;
}

/** Fields that every server has, or that depend on the framing and the framework alone. */
const GENERAL = new Set([
  'date',
  'connection',
  'keep-alive',
  'transfer-encoding',
  'content-length',
  'etag',
  'x-powered-by',
  'upgrade',
  'content-type',
  'x-accel-buffering',
]);

/** What of an answer's fields middleware has made. */
export function made(headers: IncomingHttpHeaders, changing: string[] = []): Record<string, unknown> {
  const fields = Object.entries(headers).filter(
    ([name]) => !GENERAL.has(name) && !name.startsWith('sec-websocket'),
  );
  return Object.fromEntries(
    fields.map(([name, value]) => [name, changing.includes(name) ? 'differs' : value]),
  );
}

/**
 * What takes part in each part. `dialect` is how messages look on the wire, `path` where its sockets are; `runtime` is
 * given where it is not Node.
 */
export const ORDERS = [
  { name: 'fastify', label: 'Fastify', file: 'apps/fastify/orders.mjs' },
  {
    name: 'fastify-schemas',
    label: 'Fastify with a response schema',
    file: 'apps/fastify/orders.mjs',
    options: { schemas: true },
  },
  { name: 'coequal', label: 'coequal', file: 'dist/coequal/orders.js' },
  { name: 'hono', label: 'Hono', file: 'apps/hono/orders.mjs' },
  {
    name: 'nestjs',
    label: 'NestJS on Fastify, singletons',
    file: 'dist/nestjs/orders.js',
    options: { scoped: false },
  },
  {
    name: 'nestjs-scoped',
    label: 'NestJS on Fastify, request-scoped',
    file: 'dist/nestjs/orders.js',
    options: { scoped: true },
  },
  { name: 'express', label: 'Express', file: 'apps/express/orders.mjs' },
  { name: 'elysia', label: 'Elysia on Node', file: 'apps/elysia/orders.mjs' },
  { name: 'elysia-bun', label: 'Elysia on Bun', file: 'apps/elysia/orders.mjs', runtime: 'bun' },
  { name: 'bun', label: 'Bun.serve by hand', file: 'apps/bun/orders.mjs', runtime: 'bun' },
];

export const ROOMS = [
  { name: 'ws', label: 'ws by hand', file: 'apps/ws/rooms.mjs', dialect: 'plain' },
  { name: 'coequal', label: 'coequal', file: 'dist/coequal/rooms.js', dialect: 'plain' },
  { name: 'nestjs', label: 'NestJS platform-ws', file: 'dist/nestjs/rooms.js', dialect: 'nestjs' },
  { name: 'socket.io', label: 'Socket.IO', file: 'apps/socket.io/rooms.mjs', dialect: 'socket.io' },
  { name: 'bun', label: 'Bun.serve by hand', file: 'apps/bun/rooms.mjs', dialect: 'plain', runtime: 'bun' },
];

export const HTTP = [
  { name: 'node', label: 'node:http by hand', file: 'apps/node/http.mjs' },
  { name: 'coequal', label: 'coequal', file: 'dist/coequal/http.js' },
  {
    name: 'fastify-schemas',
    label: 'Fastify with schemas',
    file: 'apps/fastify/http.mjs',
    options: { schemas: true },
  },
  { name: 'fastify', label: 'Fastify', file: 'apps/fastify/http.mjs' },
  { name: 'hono', label: 'Hono', file: 'apps/hono/http.mjs' },
  { name: 'h3', label: 'h3', file: 'apps/h3/http.mjs' },
  { name: 'elysia', label: 'Elysia on Node', file: 'apps/elysia/http.mjs' },
  { name: 'koa', label: 'Koa', file: 'apps/koa/http.mjs' },
  { name: 'nestjs', label: 'NestJS on Fastify', file: 'dist/nestjs/http.js' },
  {
    name: 'routing-controllers',
    label: 'routing-controllers on Koa',
    file: 'dist/routing-controllers/http.js',
  },
  { name: 'express', label: 'Express', file: 'apps/express/http.mjs' },
];

export const SOCKETS = [
  { name: 'ws', label: 'ws by hand', file: 'apps/ws/sockets.mjs', dialect: 'plain', rpc: true },
  { name: 'coequal', label: 'coequal', file: 'dist/coequal/sockets.js', dialect: 'plain', rpc: true },
  { name: 'fastify', label: '@fastify/websocket', file: 'apps/fastify/sockets.mjs', dialect: 'plain' },
  { name: 'crossws', label: 'crossws (h3)', file: 'apps/crossws/sockets.mjs', dialect: 'plain' },
  { name: 'elysia', label: 'Elysia on Node', file: 'apps/elysia/sockets.mjs', dialect: 'plain' },
  { name: 'nestjs', label: 'NestJS platform-ws', file: 'dist/nestjs/sockets.js', dialect: 'nestjs' },
  { name: 'socket.io', label: 'Socket.IO', file: 'apps/socket.io/sockets.mjs', dialect: 'socket.io' },
];

export const STREAMS = [
  { name: 'node', label: 'res.write by hand', file: 'apps/node/streams.mjs' },
  { name: 'coequal', label: 'coequal', file: 'dist/coequal/streams.js' },
  { name: 'h3', label: 'h3', file: 'apps/h3/streams.mjs' },
  { name: 'hono', label: 'Hono', file: 'apps/hono/streams.mjs' },
  { name: 'nestjs', label: 'NestJS on Fastify', file: 'dist/nestjs/streams.js' },
];

/** Broadcasts have the bound besides: what could be won if a framework did nothing but one system call per receiver. */
export const BROADCASTS = {
  sockets: [
    ...SOCKETS,
    {
      name: 'bound',
      label: 'bound: one write of a string',
      file: 'apps/ws/sockets-bound.mjs',
      dialect: 'plain',
    },
  ],
  streams: [
    ...STREAMS,
    { name: 'bound', label: 'bound: one write of a string', file: 'apps/node/streams-bound.mjs' },
  ],
};

export const GROWTH = [
  { name: 'node', label: 'a Map by hand', file: 'apps/node/growth.mjs' },
  { name: 'coequal', label: 'coequal', file: 'dist/coequal/growth.js' },
  { name: 'fastify', label: 'Fastify', file: 'apps/fastify/growth.mjs' },
];

export const CHANNELS = { name: 'coequal', label: 'coequal', file: 'dist/coequal/channels.js' };
/** Policies for slow readers, in the order in which that application numbers their channels. */
export const POLICIES = [
  { name: 'close', label: '`close`', path: '/rooms/0' },
  { name: 'drop-oldest', label: '`drop-oldest`', path: '/oldest' },
  { name: 'conflate', label: '`conflate`', path: '/latest' },
];
export const SCOPES = { name: 'coequal', label: 'coequal', file: 'dist/coequal/scopes.js' };

/** Packages whose versions the report names. */
export const PACKAGES = [
  'ws',
  'fastify',
  '@fastify/websocket',
  '@fastify/session',
  '@nestjs/core',
  '@nestjs/platform-fastify',
  '@nestjs/platform-ws',
  'hono',
  '@hono/node-server',
  'h3',
  'crossws',
  'elysia',
  '@elysiajs/node',
  'koa',
  '@koa/router',
  'routing-controllers',
  'express',
  'express-session',
  'zod',
  'bun',
  'socket.io',
];

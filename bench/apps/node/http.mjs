import { createServer } from 'node:http';
import { listening } from '../../lib/listening.mjs';

const JSON_TYPE = 'application/json; charset=utf-8';

/** The baseline: what a careful author writes with nothing but `node:http`. */
export async function start() {
  const server = createServer((req, res) => {
    const { url } = req;
    const mark = url.indexOf('?');
    const path = mark < 0 ? url : url.slice(0, mark);
    if (req.method === 'POST') return path === '/echo' ? echo(req, res) : fail(res, 404);
    if (path === '/plaintext') return text(res, 'Hello, World!');
    if (path === '/json') return json(res, { message: 'Hello, World!' });
    if (path === '/guarded') return guarded(req, res);
    const parts = path.split('/');
    if (parts.length === 5 && parts[1] === 'users' && parts[3] === 'posts') {
      const query = new URLSearchParams(mark < 0 ? '' : url.slice(mark + 1));
      const limit = Number(query.get('limit'));
      if (Number.isNaN(limit)) return fail(res, 400);
      return json(res, { id: decodeURIComponent(parts[2]), post: decodeURIComponent(parts[4]), limit });
    }
    fail(res, 404);
  });
  return { port: await listening(server) };
}

function echo(req, res) {
  const chunks = [];
  req.on('data', (chunk) => chunks.push(chunk));
  req.on('end', () => {
    try {
      json(res, JSON.parse(Buffer.concat(chunks).toString()));
    } catch {
      fail(res, 400);
    }
  });
}

function guarded(req, res) {
  res.setHeader('x-one', '1');
  res.setHeader('x-two', '2');
  res.setHeader('x-three', '3');
  if (req.headers.authorization !== 'Bearer alice') return fail(res, 401);
  const user = { name: 'alice' };
  json(res, { user });
}

function json(res, value) {
  const body = JSON.stringify(value);
  res.writeHead(200, { 'content-type': JSON_TYPE, 'content-length': Buffer.byteLength(body) });
  res.end(body);
}

function text(res, body) {
  res.writeHead(200, {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(body),
  });
  res.end(body);
}

function fail(res, status) {
  res.writeHead(status, { 'content-length': 0 });
  res.end();
}

import { createServer } from 'node:http';
import { listening } from '../../lib/listening.mjs';

/** Routes by hand in a `Map`, each middleware one nested call. */
export async function start({ routes = 1, middleware = 0 }) {
  const areas = new Map();
  for (let i = 0; i < routes; i++) areas.set(`area${i}`, (id) => ({ area: i, id }));
  const answer = (req, res) => {
    const [, name, , id] = req.url.split('/');
    const body = JSON.stringify(areas.get(name)(id));
    res.writeHead(200, {
      'content-type': 'application/json; charset=utf-8',
      'content-length': Buffer.byteLength(body),
    });
    res.end(body);
  };
  let handle = answer;
  for (let i = 0; i < middleware; i++) {
    const next = handle;
    handle = async (req, res) => next(req, res);
  }
  return { port: await listening(createServer(handle)) };
}

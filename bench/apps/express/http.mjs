import express from 'express';
import { createServer } from 'node:http';
import { listening } from '../../lib/listening.mjs';

export async function start() {
  const app = express();
  app.get('/plaintext', (req, res) => res.type('text/plain').send('Hello, World!'));
  app.get('/json', (req, res) => res.json({ message: 'Hello, World!' }));
  app.get('/users/:id/posts/:post', (req, res) =>
    res.json({ id: req.params.id, post: req.params.post, limit: Number(req.query.limit) }),
  );
  app.post('/echo', express.json(), (req, res) => res.json(req.body));
  const mark = (name, value) => (req, res, next) => {
    res.setHeader(name, value);
    next();
  };
  app.get('/guarded', mark('x-one', '1'), mark('x-two', '2'), mark('x-three', '3'), guard, (req, res) =>
    res.json({ user: req.user }),
  );
  return { port: await listening(createServer(app)) };
}

function guard(req, res, next) {
  if (req.headers.authorization !== 'Bearer alice') return res.sendStatus(401);
  req.user = { name: 'alice' };
  next();
}

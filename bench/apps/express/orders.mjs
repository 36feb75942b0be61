import express from 'express';
import session from 'express-session';
import { createServer } from 'node:http';
import { ACCOUNTS, Order, confirmation } from '../../dist/orders.js';
import { listening } from '../../lib/listening.mjs';

export async function start() {
  const app = express();
  app.use(
    session({
      name: 'session',
      secret: 'a secret of at least thirty-two letters',
      cookie: { secure: false, httpOnly: true, sameSite: 'lax' },
      saveUninitialized: false,
      resave: false,
    }),
  );
  app.use(express.json());
  app.post('/sign-in', (req, res) => {
    req.session.account = req.body.account;
    res.sendStatus(204);
  });
  app.post('/shops/:shop/orders', signedIn, async (req, res) => {
    const shop = Number(req.params.shop);
    if (!Number.isSafeInteger(shop)) return res.status(400).json({ error: 'shop is not a number' });
    const { success, data, error } = Order.safeParse(req.body);
    if (!success) return res.status(400).json({ errors: error.issues });
    res.json(confirmation(shop, req.current.account, data));
  });
  return { port: await listening(createServer(app)) };
}

function signedIn(req, res, next) {
  const account = ACCOUNTS.get(req.session.account);
  if (account === undefined) return res.sendStatus(401);
  req.current = { account };
  next();
}

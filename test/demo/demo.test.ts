import { expect } from 'chai';
import { Refused, serve, type TestServer, type TestSocket } from 'coequal/testing';
import type { Fill } from '../../src/demo/market/desk.js';
import { floor } from '../../src/demo/floor.js';
import { readHistory } from '../../src/demo/market/history.js';
import { Market, type Quote } from '../../src/demo/market/market.js';

describe('the history of prices', () => {
  it('has each month from January 2000 to March 2010, and no price but those of the table', () => {
    const history = readHistory();
    expect(history).to.have.length(123);
    expect(history[0]?.month).to.equal('2000-01');
    expect(history.at(-1)?.month).to.equal('2010-03');
    expect(history[0]?.prices.get('MSFT')).to.equal(39.81);
    expect(history.at(-1)?.prices.get('AAPL')).to.equal(223.02);
    expect(history.reduce((sum, { prices }) => sum + prices.size, 0)).to.equal(560);
    expect(history.find(({ prices }) => prices.has('GOOG'))?.month).to.equal('2004-08');
  });
});

describe('the trading floor', () => {
  const server = serve({ ...floor, logger: false });

  before(async () => {
    server.app.container.resolve(Market).pace = 8;
    const stream = await server.as({ id: 'clock', name: 'Clock' }).sse('/market/prices');
    await stream.next();
    stream.close();
  });

  describe('to those who are signed out', () => {
    it('shows its page, and the chart library', async () => {
      const page = await server.fetch('/');
      expect(page.status).to.equal(200);
      expect(await page.text()).to.include('<title>The trading floor</title>');
      expect((await server.fetch('/uplot/uPlot.esm.js')).status).to.equal(200);
    });

    for (const path of ['/market/prices', '/rooms/AAPL/messages', '/desk']) {
      it(`answers 401 to a request, an event stream and a socket of ${path}`, async () => {
        expect((await server.fetch(path)).status).to.equal(401);
        expect(await refusal(server.socket(path))).to.equal(401);
        if (path !== '/desk') expect(await refusal(server.sse(path))).to.equal(401);
      });
    }

    it('says 401 to a wrong password and to an unknown name, in the same words', async () => {
      const details = [];
      for (const json of [
        { name: 'Ada', password: 'wrong' },
        { name: 'Nobody', password: 'floor' },
      ]) {
        const response = await server.fetch('/session', { json });
        expect(response.status).to.equal(401);
        details.push(((await response.json()) as { detail: string }).detail);
      }
      expect(new Set(details).size).to.equal(1);
    });

    it('says that nobody is there', async () => {
      expect((await server.fetch('/session')).status).to.equal(204);
    });
  });

  describe('to those who signed in', () => {
    it('is open for requests, event streams and sockets by the one cookie', async () => {
      const ada = await signIn(server, 'Ada');
      expect(await (await server.fetch('/session', { headers: ada })).json()).to.deep.equal({
        id: 'ada',
        name: 'Ada',
        operator: false,
      });
      expect((await server.fetch('/market/prices', { headers: ada })).status).to.equal(200);
      (await server.sse('/market/prices', { headers: ada })).close();
      (await server.socket('/market/prices', { headers: ada })).close();
    });

    it('ends the sockets and the event streams of a session that signs out, and no others', async () => {
      const [ada, grace] = [await signIn(server, 'Ada'), await signIn(server, 'Grace')];
      const socket = await server.socket('/desk', { headers: ada });
      const stream = await server.sse('/rooms/IBM/messages', { headers: ada });
      const other = await server.socket('/desk', { headers: grace });

      expect((await server.fetch('/session', { method: 'DELETE', headers: ada })).status).to.equal(204);

      expect((await socket.closed()).code).to.equal(3000);
      await stream.closed();
      expect((await server.fetch('/desk', { headers: ada })).status).to.equal(401);
      expect(await call(other, 'order', { side: 'buy', symbol: 'IBM', quantity: 1 })).to.have.property(
        'result',
      );
      other.close();
    });
  });

  describe('its operator', () => {
    it('sees who is connected and the counters, live, and ends the connections of a user', async () => {
      const [grace, alan] = [await signIn(server, 'Grace'), await signIn(server, 'Alan')];
      const desk = await server.socket('/desk', { headers: alan });
      const overview = await server.sse('/operator/overview', { headers: grace });
      const { stats, connections } = await overview.json<{
        stats: { connections: { websocket: number } };
        connections: { user: string; path: string; kind: string }[];
      }>();
      expect(stats.connections.websocket).to.be.greaterThan(0);
      expect(connections.find(({ user }) => user === 'alan')).to.include({
        path: '/desk',
        kind: 'websocket',
      });

      const revoked = await server.fetch('/operator/revoke', { json: { user: 'alan' }, headers: grace });
      expect(revoked.status).to.equal(204);
      expect(await desk.closed()).to.deep.equal({ code: 3000, reason: 'revoked by an operator' });
      overview.close();
    });

    it('is no other user: 403', async () => {
      const ada = await signIn(server, 'Ada');
      expect(await refusal(server.sse('/operator/overview', { headers: ada }))).to.equal(403);
      const revoked = await server.fetch('/operator/revoke', { json: { user: 'alan' }, headers: ada });
      expect(revoked.status).to.equal(403);
    });
  });

  describe('its prices', () => {
    const ada = server.as({ id: 'prices', name: 'Prices' });

    it('move on an event stream and on a socket, by one method', async () => {
      const stream = await ada.sse('/market/prices');
      const socket = await ada.socket('/market/prices');
      const quotes = new Map(
        ((await (await ada.fetch('/market/prices')).json()) as Quote[]).map((quote) => [quote.tick, quote]),
      );
      const from = Math.max(...quotes.keys());

      for (const read of [() => stream.json<Quote>(), () => socket.json<Quote>()]) {
        let quote = await read();
        while (quote.tick <= from + 1) quote = await read();
        const { prices } = readHistory().find(({ month }) => month === quote.month) ?? {};
        expect(quote.price).to.equal(prices?.get(quote.symbol));
      }
      stream.close();
      socket.close();
    });

    it('come in the order of the months', async () => {
      const quotes = (await (await ada.fetch('/market/prices')).json()) as Quote[];
      const months = quotes
        .filter(({ symbol, lap }) => symbol === 'IBM' && lap === 1)
        .map(({ month }) => month);
      expect(months.length).to.be.greaterThan(1);
      expect(months).to.deep.equal(
        readHistory()
          .slice(0, months.length)
          .map(({ month }) => month),
      );
    });

    it('take the pace that somebody sets, and refuse others', async () => {
      const paced = await ada.fetch('/market/pace', { method: 'PUT', json: { pace: 4 } });
      expect(await paced.json()).to.deep.equal({ pace: 4 });
      expect(await (await ada.fetch('/market/pace')).json()).to.deep.equal({ pace: 4 });
      for (const pace of [0, 9, 'fast']) {
        expect((await ada.fetch('/market/pace', { method: 'PUT', json: { pace } })).status).to.equal(400);
      }
    });
  });

  describe('its rooms', () => {
    const ada = server.as({ id: 'room-ada', name: 'Ada' });
    const grace = server.as({ id: 'room-grace', name: 'Grace' });

    it('bring what is said to sockets and event streams, and keep it for those who come later', async () => {
      const socket = await ada.socket('/rooms/AAPL/messages');
      const stream = await grace.sse('/rooms/AAPL/messages');

      const answer = await grace.fetch('/rooms/AAPL/messages', { json: { text: 'good morning' } });
      expect(answer.status).to.equal(201);
      expect(await socket.json()).to.include({ from: 'Grace', text: 'good morning' });
      expect(await stream.json()).to.include({ from: 'Grace', text: 'good morning' });

      socket.send({ jsonrpc: '2.0', id: 1, method: 'say', params: { text: 'and to you' } });
      expect(await stream.json()).to.include({ from: 'Ada', text: 'and to you' });
      const kept = (await (await ada.fetch('/rooms/AAPL/messages')).json()) as { text: string }[];
      expect(kept.map(({ text }) => text)).to.deep.equal(['good morning', 'and to you']);
      socket.close();
      stream.close();
    });

    it('are apart from one another', async () => {
      const socket = await ada.socket('/rooms/MSFT/messages');
      await grace.fetch('/rooms/IBM/messages', { json: { text: 'in another room' } });
      await grace.fetch('/rooms/MSFT/messages', { json: { text: 'in this room' } });
      expect(await socket.json()).to.include({ text: 'in this room' });
      socket.close();
    });

    it('are those of the shares: all else is 404 in each kind', async () => {
      expect((await ada.fetch('/rooms/NONE/messages')).status).to.equal(404);
      expect(await refusal(ada.sse('/rooms/NONE/messages'))).to.equal(404);
      expect(await refusal(ada.socket('/rooms/NONE/messages'))).to.equal(404);
    });

    it('refuse words that are none', async () => {
      expect((await ada.fetch('/rooms/AAPL/messages', { json: { text: '  ' } })).status).to.equal(400);
    });
  });

  describe('its desk', () => {
    it('takes an order by HTTP and by a call on the socket, into the same books', async () => {
      const trader = server.as({ id: 'trader', name: 'Trader' });
      const posted = await trader.fetch('/desk/orders', {
        json: { side: 'buy', symbol: 'IBM', quantity: 10 },
      });
      expect(posted.status).to.equal(201);
      const first = (await posted.json()) as Fill;
      expect(first.position).to.deep.equal({ cash: cents(100_000 - 10 * first.price), shares: { IBM: 10 } });

      const socket = await trader.socket('/desk');
      const { result: second } = await call<Fill>(socket, 'order', {
        side: 'sell',
        symbol: 'IBM',
        quantity: 4,
      });
      const cash = cents(first.position.cash + 4 * (second?.price ?? 0));
      expect(second?.position).to.deep.equal({ cash, shares: { IBM: 6 } });
      expect(await (await trader.fetch('/desk')).json()).to.deep.equal(second?.position);
      socket.close();
    });

    it('refuses what is no order by 400 and by -32602, naming the field', async () => {
      const trader = server.as({ id: 'sloppy', name: 'Sloppy' });
      const order = { side: 'buy', symbol: 'IBM', quantity: 0.5 };
      const refused = await trader.fetch('/desk/orders', { json: order });
      expect(refused.status).to.equal(400);
      expect(((await refused.json()) as { errors: { path: string }[] }).errors[0]?.path).to.equal('quantity');
      const socket = await trader.socket('/desk');
      const { error } = await call(socket, 'order', order);
      expect(error?.code).to.equal(-32602);
      expect(error?.data.errors?.[0]?.path).to.equal('quantity');
      socket.close();
    });

    it('refuses what one cannot pay, and shares that one has not, by both doors', async () => {
      const trader = server.as({ id: 'poor', name: 'Poor' });
      const socket = await trader.socket('/desk');
      for (const order of [
        { side: 'buy', symbol: 'IBM', quantity: 10_000 },
        { side: 'sell', symbol: 'IBM', quantity: 1 },
      ]) {
        expect((await trader.fetch('/desk/orders', { json: order })).status).to.equal(409);
        const { error } = await call(socket, 'order', order);
        expect(error?.code).to.equal(-32000);
        expect(error?.data.status).to.equal(409);
      }
      socket.close();
    });

    it('tells who is there, who comes and who goes, each once however many tabs there are', async () => {
      const [hedy, alan] = [server.as({ id: 'hedy', name: 'Hedy' }), server.as({ id: 'alan', name: 'Alan' })];
      const desk = await hedy.socket('/desk');
      const [one, two] = [await alan.socket('/desk'), await alan.socket('/desk')];
      expect(await comings(desk, 'alan')).to.deep.equal({ type: 'join', id: 'alan', info: { name: 'Alan' } });
      one.close();
      two.close();
      expect(await comings(desk, 'alan')).to.deep.equal({
        type: 'leave',
        id: 'alan',
        info: { name: 'Alan' },
      });
      desk.close();
    });
  });
});

/** Header fields of one who has signed in. A browser sends the origin of its page by itself. */
async function signIn(server: TestServer, name: string): Promise<Record<string, string>> {
  const response = await server.fetch('/session', { json: { name, password: 'floor' } });
  expect(response.status).to.equal(200);
  const [cookie = ''] = response.headers.getSetCookie();
  expect(cookie).to.match(/^floor=.*HttpOnly.*SameSite=Lax/i);
  return { cookie: cookie.split(';')[0] ?? '', origin: await server.url() };
}

async function refusal(opening: Promise<unknown>): Promise<number> {
  const outcome = await opening.catch((error: unknown) => error);
  if (!(outcome instanceof Refused)) throw new Error('it was not refused');
  return outcome.status;
}

interface Answer<T> {
  result?: T;
  error?: { code: number; data: { status: number; errors?: { path: string }[] } };
}

/** Calls, and passes over the news that come before the answer. */
async function call<T>(socket: TestSocket, method: string, params: unknown): Promise<Answer<T>> {
  socket.send({ jsonrpc: '2.0', id: 1, method, params });
  for (;;) {
    const message = await socket.json<Answer<T>>();
    if ('jsonrpc' in message) return message;
  }
}

/** The next coming or going of a user. */
async function comings(socket: TestSocket, id: string): Promise<unknown> {
  for (;;) {
    const message = await socket.json<{ type?: string; id?: string }>();
    if ((message.type === 'join' || message.type === 'leave') && message.id === id) return message;
  }
}

function cents(amount: number): number {
  return Math.round(amount * 100) / 100;
}

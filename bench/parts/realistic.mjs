import assert from 'node:assert/strict';
import { ACCOUNTS, SAMPLE, confirmation } from '../dist/orders.js';
import { ORDERS, ROOMS } from '../lib/catalogue.mjs';
import { contestOf, measure } from '../lib/rounds.mjs';
import { needWrk, wrkInTurns } from '../lib/wrk.mjs';

const PATH = '/shops/7/orders';
const BODY = JSON.stringify(SAMPLE);

/** Whole applications: orders that are posted behind a session, and rooms with presence and history. */
export async function realistic(options) {
  needWrk();
  const orders = await measure({
    entries: options.pick(ORDERS),
    measurements: {
      orders: async (contestants) => {
        const apps = contestants.map(({ app }) => app);
        return wrkInTurns(apps, apps.map(route), options.seconds);
      },
    },
    check,
    warmUps: 1,
    options,
    log: options.log,
  });
  const rooms = await measure({
    entries: options.pick(ROOMS),
    measurements: { 'rooms, window 1': say(1, options), 'rooms, window 8': say(8, options) },
    options,
    log: options.log,
  });
  return { orders, rooms };
}

/** Eight rooms of eight members, each of whom gets what one of them says. */
function say(window, { node, seconds }) {
  const task = { task: 'echo', kind: 'room', window, connections: 64, members: 8, seconds };
  const take = contestOf(task, ({ dialect }) => ({ dialect }), node);
  return async (contestants) =>
    (await take(contestants)).map((one) =>
      one instanceof Error ? one : { ...one, rate: one.rate / one.serverBusy },
    );
}

function route({ cookie }) {
  return { path: PATH, script: 'post.lua', args: [BODY, cookie] };
}

/** The same responses from all, and a session for the measurement. */
async function check(app, { label }) {
  const post = async (path, body, headers = {}) => {
    const response = await fetch(`http://127.0.0.1:${app.port}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body,
    });
    return { status: response.status, headers: response.headers, text: await response.text() };
  };
  const signedIn = await post('/sign-in', JSON.stringify({ account: 'ada' }));
  assert.equal(signedIn.status, 204, `${label}: status of /sign-in`);
  app.cookie = signedIn.headers.getSetCookie()[0]?.split(';')[0];
  const headers = { cookie: app.cookie };
  const placed = await post(PATH, BODY, headers);
  assert.equal(placed.status, 200, `${label}: ${placed.text}`);
  assert.deepEqual(JSON.parse(placed.text), confirmation(7, ACCOUNTS.get('ada'), SAMPLE), label);
  assert.equal(placed.headers.get('set-cookie'), null, `${label}: the cookie is not set again`);
  assert.equal((await post(PATH, BODY)).status, 401, `${label}: the guard rejects`);
  for (const [path, body] of [
    ['/shops/seven/orders', BODY],
    [PATH, JSON.stringify({ ...SAMPLE, items: [{ ...SAMPLE.items[0], quantity: 0 }] })],
  ]) {
    const { status } = await post(path, body, headers);
    assert.ok(status === 400 || status === 422, `${label}: ${status} for what is not valid`);
  }
}

import { Calls, Link, request } from './link.js';
import { Chart, Prices, SYMBOLS, Tiles } from './prices.js';

const $ = (id) => document.getElementById(id);
const dollars = new Intl.NumberFormat('en', { style: 'currency', currency: 'USD' });
const KINDS = { websocket: 'WebSocket', sse: 'event stream' };
const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];

const prices = new Prices();
const tiles = new Tiles($('tiles'), choose);
let chart;
let me;
let kind = 'websocket';
let chosen = 'AAPL';
let position = { cash: 0, shares: {} };
/** What is open: prices and room by the chosen kind; the desk is always a socket, for its calls. */
const open = { prices: undefined, room: undefined, desk: undefined };
const present = new Map();
const calls = { room: undefined, desk: undefined };

// The door

on('sign-in', 'submit', async (event) => {
  const { name, password } = Object.fromEntries(new FormData(event.target));
  const refusal = event.target.querySelector('.refusal');
  refusal.textContent = '';
  try {
    enter(await request('POST', '/session', { name, password }));
  } catch (error) {
    refusal.textContent = error.message;
  }
});

for (const chip of document.querySelectorAll('.chips button')) {
  chip.addEventListener('click', () => {
    const { name, password } = $('sign-in').elements;
    name.value = chip.dataset.name;
    password.value = 'floor';
  });
}

on('sign-out', 'click', async () => {
  await request('DELETE', '/session');
  leave();
});

function enter(account) {
  me = account;
  $('me').textContent = me.name;
  $('operator').hidden = !me.operator;
  $('door').hidden = true;
  $('floor').hidden = false;
  chart ??= new Chart($('chart'));
  connectDesk();
  choose(chosen);
  connectPrices();
  request('GET', '/market/pace').then(({ pace }) => ($('pace').value = String(pace)), tell);
  refreshPosition();
}

function leave() {
  for (const name of Object.keys(open)) {
    open[name]?.close();
    open[name] = undefined;
  }
  for (const list of ['messages', 'log', 'positions']) $(list).replaceChildren();
  $('order-result').textContent = '';
  $('floor').hidden = true;
  $('door').hidden = false;
}

/** Whether a connection was lost because nobody is signed in any more. */
async function refused() {
  const account = await request('GET', '/session').catch(() => me);
  if (account !== undefined) return false;
  leave();
  return true;
}

// What is open

function connectPrices() {
  open.prices?.close();
  open.prices = new Link('/market/prices', kind, {
    refused,
    state: (state, seconds) => showState('Prices', state, seconds),
    reset: () => prices.reset(),
    message: (quote) => {
      prices.take(quote);
      redraw();
    },
  });
}

function connectRoom() {
  open.room?.close();
  const room = chosen;
  const link = new Link(`/rooms/${room}/messages`, kind, {
    refused,
    reset: () => $('messages').replaceChildren(),
    message: (message) => {
      if (!calls.room.take(message)) addMessage(message);
    },
    state: (state) => state === 'waiting' && calls.room.fail(),
  });
  open.room = link;
  calls.room = new Calls(link);
}

function connectDesk() {
  const link = new Link('/desk', 'websocket', {
    refused,
    message: (message) => {
      if (calls.desk.take(message)) return;
      if (message.type === 'news') hear(message);
      else showPresent(message);
    },
    state: (state, seconds) => {
      if (state === 'waiting') calls.desk?.fail();
      if (state !== 'connecting') log('line', lineOf('Desk', state, 'websocket', seconds));
    },
  });
  open.desk = link;
  calls.desk = new Calls(link);
}

/** First all who are there, then who comes and who goes. */
function showPresent({ type, members, id, info }) {
  if (type === 'present') present.clear();
  if (type === 'leave') present.delete(id);
  else for (const member of members ?? [{ id, info }]) present.set(member.id, member.info.name);
  if (type !== 'present' && id !== me.id)
    log('come', `${info.name} has ${type === 'join' ? 'come' : 'left'}`);
  $('present').textContent =
    `present: ${[...present.values()].toSorted((a, b) => a.localeCompare(b)).join(', ')}`;
}

function showState(name, state, seconds) {
  const status = $('status');
  status.dataset.state = state;
  status.dataset.kind = kind;
  status.textContent =
    state === 'open'
      ? `Live by ${KINDS[kind]}`
      : state === 'waiting'
        ? `Back in ${seconds.toFixed(1)} s`
        : 'Connecting …';
  if (state !== 'connecting') log('line', lineOf(name, state, kind, seconds));
}

function lineOf(name, state, by, seconds) {
  return state === 'open'
    ? `${name}: ${KINDS[by]} open`
    : `${name}: ${KINDS[by]} lost, back in ${seconds.toFixed(1)} s`;
}

for (const choice of document.querySelectorAll('[name=kind]')) {
  choice.addEventListener('change', () => {
    kind = choice.value;
    connectPrices();
    connectRoom();
  });
}

on('cut', 'click', () => {
  for (const link of Object.values(open)) link?.cut();
});

on('pace', 'change', () => request('PUT', '/market/pace', { pace: Number($('pace').value) }));

// The room

on('say', 'submit', async (event) => {
  const { text } = event.target.elements;
  if (kind === 'websocket') await calls.room.call('say', { text: text.value });
  else await request('POST', `/rooms/${chosen}/messages`, { text: text.value });
  text.value = '';
});

function addMessage({ from, text, at }) {
  const line = entry(at, text);
  const name = document.createElement('b');
  name.textContent = from;
  line.insertBefore(name, line.lastChild);
  $('messages').append(line);
  $('messages').scrollTop = $('messages').scrollHeight;
}

// Orders

on('order', 'submit', async (event) => {
  const { side, quantity } = Object.fromEntries(new FormData(event.target));
  const order = { side, symbol: chosen, quantity: Number(quantity) };
  const door = event.submitter?.value ?? 'socket';
  const since = performance.now();
  const result = $('order-result');
  result.classList.remove('refusal');
  try {
    const fill =
      door === 'socket'
        ? await calls.desk.call('order', order)
        : await request('POST', '/desk/orders', order);
    const took = (performance.now() - since).toFixed(1);
    const how = door === 'socket' ? 'the socket' : 'HTTP';
    const verb = fill.side === 'buy' ? 'Bought' : 'Sold';
    result.textContent = `${verb} ${fill.quantity} ${fill.symbol} at ${dollars.format(fill.price)} over ${how}, ${took} ms`;
    position = fill.position;
    redraw();
  } catch (error) {
    result.classList.add('refusal');
    result.textContent = error.message;
  }
});

function refreshPosition() {
  request('GET', '/desk').then((current) => {
    position = current;
    redraw();
  }, tell);
}

// What is shown

/** Handles an event of an element; what fails is told in the log. */
function on(id, name, handle) {
  $(id).addEventListener(name, (event) => {
    if (name === 'submit') event.preventDefault();
    new Promise((resolve) => resolve(handle(event))).catch(tell);
  });
}

function choose(symbol) {
  const moved = symbol !== chosen || open.room === undefined;
  chosen = symbol;
  $('chart-title').textContent = symbol;
  $('room-title').textContent = symbol;
  if (moved) connectRoom();
  redraw();
}

let waiting = false;

/** Draws once a frame, however many quotes arrive. */
function redraw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    if (!$('floor').hidden) draw();
  });
}

function draw() {
  const [year, month] = prices.month?.split('-') ?? [];
  $('month').textContent = year === undefined ? '—' : `${MONTHS[month - 1]} ${year}`;
  $('month').dataset.lap = String(prices.lap);
  $('lap').textContent = prices.lap === 0 ? '' : `lap ${prices.lap}`;
  // The years begin again: for the first months of a lap this is marked.
  $('lap').classList.toggle('new', prices.lap > 1 && year === '2000');
  $('received').textContent = prices.received.toLocaleString('en');
  $('skipped').textContent = prices.skipped.toLocaleString('en');
  tiles.draw(prices, chosen);
  chart.draw(prices, chosen);
  drawPositions();
}

function drawPositions() {
  const owned = SYMBOLS.filter((symbol) => position.shares[symbol] > 0);
  const value = (symbol) => position.shares[symbol] * (prices.last(symbol)?.price ?? 0);
  const worth = owned.reduce((sum, symbol) => sum + value(symbol), position.cash);
  $('worth').textContent = dollars.format(worth);
  const rows = owned.map((symbol) => [
    symbol,
    position.shares[symbol].toLocaleString('en'),
    dollars.format(value(symbol)),
  ]);
  $('positions').replaceChildren(...[['Cash', '', dollars.format(position.cash)], ...rows].map(row));
}

function row([title, ...values]) {
  const line = document.createElement('tr');
  const head = document.createElement('th');
  head.scope = 'row';
  head.textContent = title;
  line.append(head);
  for (const value of values) line.insertCell().textContent = value;
  return line;
}

function hear({ kind: what, text, at }) {
  log(what, text, at);
  if (what === 'order' && text.startsWith(`${me.name} `)) refreshPosition();
  const pace = what === 'pace' ? / to ([\d.]+)×$/.exec(text) : null;
  if (pace !== null) $('pace').value = pace[1];
}

function log(what, text, at = Date.now()) {
  const line = entry(at, text);
  line.className = what;
  $('log').prepend(line);
  while ($('log').children.length > 60) $('log').lastChild.remove();
}

function tell(error) {
  log('refusal', error.message);
}

function entry(at, text) {
  const line = document.createElement('li');
  const time = document.createElement('time');
  time.textContent = new Date(at).toLocaleTimeString('en-GB');
  const words = document.createElement('span');
  words.textContent = text;
  line.append(time, words);
  return line;
}

const account = await request('GET', '/session');
if (account === undefined) leave();
else enter(account);

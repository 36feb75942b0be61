import { request } from './link.js';

const $ = (id) => document.getElementById(id);

/** The overview comes as events; the browser itself reconnects. */
const stream = new EventSource('/operator/overview');
stream.onopen = () => ($('state').textContent = 'Live');
stream.onmessage = ({ data }) => show(JSON.parse(data));
stream.onerror = () => {
  const gone = stream.readyState === EventSource.CLOSED;
  $('state').textContent = gone ? 'Refused: sign in as Grace on the floor' : 'Lost, comes back …';
};

function show({ stats, connections }) {
  const { inFlight, messages } = stats;
  const figures = {
    Sockets: stats.connections.websocket,
    'Event streams': stats.connections.sse,
    'Opened since start': stats.connections.opened,
    Refused: stats.connections.refused,
    'Bytes waiting': stats.buffered,
    'Requests in flight': inFlight.exchanges,
    'Messages in': messages.in,
    'Messages out': messages.out,
    Published: messages.published,
    Dropped: messages.dropped,
    Conflated: messages.conflated,
    Channels: stats.channels,
  };
  $('stats').replaceChildren(...Object.entries(figures).map(figure));
  $('connections').replaceChildren(...connections.map(line));
}

function figure([name, value]) {
  const box = document.createElement('div');
  const term = document.createElement('dt');
  const number = document.createElement('dd');
  term.textContent = name;
  number.textContent = value.toLocaleString('en');
  box.append(term, number);
  return box;
}

function line({ user, name, kind, path, opened, buffered }) {
  const row = document.createElement('tr');
  const seconds = Math.round((Date.now() - opened) / 1_000);
  for (const text of [
    name || '—',
    kind === 'sse' ? 'event stream' : 'socket',
    path,
    `${seconds} s`,
    `${buffered} B`,
  ]) {
    row.insertCell().textContent = text;
  }
  const button = document.createElement('button');
  button.textContent = 'Revoke';
  button.dataset.user = user;
  button.addEventListener('click', () => void request('POST', '/operator/revoke', { user }));
  row.insertCell().append(button);
  return row;
}

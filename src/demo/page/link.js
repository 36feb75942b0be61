/** The first wait before a return, and the longest, in milliseconds. */
const FIRST = 500;
const LONGEST = 15_000;

/**
 * A connection that comes back by itself, as a socket or an event stream. After each failure it waits longer, and
 * a random part of that, so that not all pages return to a restarted server at once. It tells the server the
 * cursor of what it heard last, and is given what it missed.
 *
 * `on.reset()`: forget what was told, all of it follows. First, and when the server no longer has what was missed.
 * `on.message(data, event)`: the next message, and its name.
 * `on.state(state, seconds)`: 'connecting', 'open' or 'waiting'.
 * `on.refused()`: asked when a connection was lost; true gives up, because nobody is signed in any more.
 */
export class Link {
  state = 'connecting';
  #failures = 0;
  #cursor = '';
  #transport;
  #timer;
  #closed = false;

  constructor(path, kind, on) {
    this.path = path;
    this.kind = kind;
    this.on = on;
    on.reset?.();
    this.#connect();
  }

  send(value) {
    this.#transport.send(JSON.stringify(value));
  }

  /** Loses the connection, as a bad network would. */
  cut() {
    this.#lost(this.#transport);
  }

  /** Ends it for good. */
  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#transport.close();
  }

  #connect() {
    this.#tell('connecting');
    const query = this.#cursor === '' ? '' : `?lastEventId=${encodeURIComponent(this.#cursor)}`;
    const open = this.kind === 'websocket' ? openSocket : openStream;
    const transport = open(this.path + query, {
      open: () => transport === this.#transport && this.#open(),
      message: (...message) => transport === this.#transport && this.#message(...message),
      lost: () => this.#lost(transport),
    });
    this.#transport = transport;
  }

  #open() {
    this.#failures = 0;
    this.#tell('open');
  }

  #message(id, event, data) {
    if (id) this.#cursor = id;
    if (event === 'gap') this.on.reset?.();
    else if (data !== undefined) this.on.message(data, event);
  }

  #lost(transport) {
    transport.close();
    if (this.#closed || transport !== this.#transport || this.state === 'waiting') return;
    const wait = Math.min(LONGEST, FIRST * 2 ** this.#failures++) * (0.5 + Math.random() / 2);
    this.#tell('waiting', wait / 1_000);
    this.#timer = setTimeout(() => this.#connect(), wait);
    this.on.refused().then((refused) => refused && this.close(), console.warn);
  }

  #tell(state, seconds) {
    this.state = state;
    if (!this.#closed) this.on.state?.(state, seconds);
  }
}

/** By the subprotocol `coequal.events` a message on a socket has the fields of an event: id, event, data. */
function openSocket(url, on) {
  const socket = new WebSocket(url, 'coequal.events');
  socket.onopen = on.open;
  socket.onmessage = ({ data: text }) => {
    const message = JSON.parse(text);
    // An answer to a call stands for itself.
    if (message.jsonrpc === undefined) on.message(message.id, message.event, message.data);
    else on.message(undefined, undefined, message);
  };
  socket.onclose = on.lost;
  return socket;
}

function openStream(url, on) {
  const stream = new EventSource(url);
  const take = ({ lastEventId, type, data }) => on.message(lastEventId, type, JSON.parse(data));
  stream.onopen = on.open;
  stream.onmessage = take;
  stream.addEventListener('gap', take);
  stream.addEventListener('end', on.lost);
  // It would return by itself, but at once and all together with others.
  stream.onerror = on.lost;
  return stream;
}

/** Calls by JSON-RPC 2.0 on a link of kind 'websocket'; give it each message that arrives. */
export class Calls {
  #serial = 0;
  #waiting = new Map();

  constructor(link) {
    this.link = link;
  }

  call(method, params) {
    if (this.link.state !== 'open') return Promise.reject(new Error('The socket is not open'));
    const id = ++this.#serial;
    const answer = new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    this.link.send({ jsonrpc: '2.0', id, method, params });
    return answer;
  }

  /** Whether the message was the answer to a call. */
  take(message) {
    if (message?.jsonrpc === undefined) return false;
    const { id, result, error } = message;
    const call = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) call?.resolve(result);
    else call?.reject(new Error(detailOf(error.data) ?? error.message));
    return true;
  }

  /** The connection is lost, and with it the answers. */
  fail() {
    for (const { reject } of this.#waiting.values())
      reject(new Error('The socket was lost before the answer'));
    this.#waiting.clear();
  }
}

/** A request with a JSON body. Throws an Error with the detail of the problem document. */
export async function request(method, path, body) {
  const init = { method };
  if (body !== undefined) {
    init.headers = { 'content-type': 'application/json' };
    init.body = JSON.stringify(body);
  }
  const response = await fetch(path, init);
  const type = response.headers.get('content-type') ?? '';
  const value = type.includes('json') ? await response.json() : undefined;
  if (!response.ok) throw new Error(detailOf(value) ?? response.statusText);
  return value;
}

/** What a problem document (RFC 9457) says, with what validation refused. */
function detailOf(problem) {
  if (problem?.errors === undefined) return problem?.detail ?? problem?.title;
  return problem.errors.map(({ path, message }) => `${path}: ${message}`).join('; ');
}

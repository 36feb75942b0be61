/** How each protocol over WebSocket says the same thing. `opening` is what is exchanged before the first message. */
export const DIALECTS = {
  plain: {
    path: (path) => path,
    opening: [],
    text: (text) => text,
    json: (value) => JSON.stringify(value),
    say: (value) => JSON.stringify(value),
  },
  nestjs: {
    path: () => '/',
    opening: [],
    text: (text) => JSON.stringify({ event: 'text', data: text }),
    json: (value) => JSON.stringify({ event: 'json', data: value }),
    say: (value) => JSON.stringify({ event: 'say', data: value }),
  },
  'socket.io': {
    path: () => '/socket.io/?EIO=4&transport=websocket',
    opening: [{ expect: '0{' }, { send: '40', expect: '40{' }],
    text: (text) => `42${JSON.stringify(['text', text])}`,
    json: (value) => `42${JSON.stringify(['json', value])}`,
    say: (value) => `42${JSON.stringify(['say', value])}`,
  },
};

export const TEXT = 'The quick brown fox jumps over the lazy dog, and then once more.';
export const OBJECT = {
  id: 4711,
  kind: 'say',
  room: 'lobby',
  text: 'hello there, how are you?',
  at: 1700000000000,
};

/** What is said in a room, and what its members get. */
const SAID = { text: 'hello there, how are you?', mood: 'happy', at: 1700000000000 };

/**
 * What is sent and what must come back, by kind of message: `text`, `json`, `rpc`, or `room` for what a member of a
 * room says.
 */
export function exchange(dialect, kind, member) {
  if (kind === 'room') {
    const { say } = DIALECTS[dialect];
    return { sent: say(SAID), reply: parsed(say({ from: `user ${member}`, ...SAID })) };
  }
  if (kind === 'rpc') {
    const sent = { jsonrpc: '2.0', id: 1, method: 'echo', params: OBJECT };
    return { sent: JSON.stringify(sent), reply: { jsonrpc: '2.0', id: 1, result: OBJECT } };
  }
  const sent = kind === 'text' ? DIALECTS[dialect].text(TEXT) : DIALECTS[dialect].json(OBJECT);
  return { sent, reply: dialect === 'plain' && kind === 'text' ? TEXT : parsed(sent) };
}

export function parsed(text) {
  const start = text.search(/[[{]/);
  return start < 0 ? text : JSON.parse(text.slice(start));
}

import { HOST } from '../../support/proxies.js';

/** Bytes that two readers may take for different requests. */
export interface Payload {
  readonly name: string;
  readonly bytes: string;
  /**
   * What the application may be asked: method, target and body. Nothing where all must refuse it; elsewhere the
   * request for `/smuggled` may be one of its own, as long as the proxy says so.
   */
  readonly reads: readonly string[];
}

const END = '\r\n\r\n';
const SMUGGLED = `GET /smuggled HTTP/1.1\r\nHost: ${HOST}${END}`;
const CHUNKED = 'Transfer-Encoding: chunked';
const HELLO = `5\r\nhello\r\n0${END}`;
const HEX = SMUGGLED.length.toString(16);
const WEBSOCKET = [
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Version: 13',
];

/**
 * Requests whose `Transfer-Encoding` one reader may see and another not; RFC 9112, section 6.1. They are refused,
 * unless a proxy may read them by the coding or by the length, and then writes them anew.
 */
const codings: readonly [name: string, field: string, governs?: 'coding' | 'length'][] = [
  ['a transfer coding', CHUNKED, 'coding'],
  ['a transfer coding that is none', 'Transfer-Encoding: xchunked'],
  ['a transfer coding after a space before the colon', 'Transfer-Encoding : chunked'],
  ['a transfer coding after a tab', 'Transfer-Encoding:\tchunked', 'coding'],
  ['a transfer coding after a vertical tab', 'Transfer-Encoding:\x0bchunked'],
  ['a transfer coding before a form feed', 'Transfer-Encoding: chunked\x0c'],
  ['a transfer coding before a NUL', 'Transfer-Encoding: chunked\0'],
  ['a transfer coding in quotes', 'Transfer-Encoding: "chunked"'],
  ['a transfer coding in capitals', 'Transfer-Encoding: CHUNKED', 'coding'],
  ['a transfer coding with a parameter', 'Transfer-Encoding: chunked;q=1'],
  ['a transfer coding twice', `${CHUNKED}\r\n${CHUNKED}`],
  ['a transfer coding and another after it', `${CHUNKED}\r\nTransfer-Encoding: identity`],
  ['a transfer coding and another before it', 'Transfer-Encoding: identity, chunked'],
  ['a transfer coding after an empty one', `Transfer-Encoding:\r\n${CHUNKED}`, 'coding'],
  ['a transfer coding on a folded line', 'Transfer-Encoding:\r\n chunked', 'coding'],
  ['a transfer coding of which the name is folded', 'Transfer-Encoding\r\n : chunked'],
  ['a transfer coding that continues another field', `X: y\r\n ${CHUNKED}`, 'length'],
  ['a transfer coding after a bare LF', `X: y\n${CHUNKED}`, 'coding'],
  ['a transfer coding after a bare CR', `X: y\r${CHUNKED}`],
  ['a transfer coding that the connection names', `Connection: Transfer-Encoding\r\n${CHUNKED}`, 'coding'],
];

/** Lengths that one reader may take for another number; RFC 9112, section 6.3. */
const lengths: readonly [name: string, ...fields: string[]][] = [
  ['two lengths', 'Content-Length: 5', `Content-Length: ${5 + SMUGGLED.length}`],
  ['two lengths in one field', `Content-Length: 5, ${5 + SMUGGLED.length}`],
  ['a length with a sign', 'Content-Length: +5'],
  ['a negative length', 'Content-Length: -5'],
  ['a hexadecimal length', 'Content-Length: 0x5'],
  ['a length with something after it', 'Content-Length: 5abc'],
  ['a length with a space within', 'Content-Length: 5 5'],
  ['a length over 64 bits', 'Content-Length: 18446744073709551621'],
  ['a length after a space before the colon', 'Content-Length : 5'],
  ['a length with a NUL', 'Content-Length: 5\0'],
];

/** Chunks of which one reader may see another end; RFC 9112, section 7.1. */
const chunks: readonly [name: string, body: string][] = [
  ['a chunk size over 64 bits', `10000000000000005\r\nhello\r\n0${END}${SMUGGLED}`],
  ['a negative chunk size', `-5\r\nhello\r\n0${END}${SMUGGLED}`],
  ['a chunk size with 0x', `0x5\r\nhello\r\n0${END}${SMUGGLED}`],
  ['an empty chunk size', `\r\nhello\r\n0${END}${SMUGGLED}`],
  ['chunk data without an end of line', `5\r\nhelloXX0${END}${SMUGGLED}`],
  ['chunk data that is longer than its size', `5\r\nhello, world\r\n0${END}${SMUGGLED}`],
  ['a chunk extension that ends in a bare LF', `5;\nxx\r\nhello\r\n0${END}${SMUGGLED}`],
];

/** Requests that may be served, as long as all read them alike. */
const readable: readonly [name: string, bytes: string, ...reads: string[]][] = [
  ['the same length twice', post(['Content-Length: 5', 'Content-Length: 5'], 'hello'), saw('hello')],
  ['the same length twice in one field', post(['Content-Length: 5, 5'], 'hello'), saw('hello')],
  ['a length with zeros before it', post(['Content-Length: 005'], 'hello'), saw('hello')],
  ['a length on a folded line', post(['Content-Length:\r\n 5'], `hello${SMUGGLED}`), saw('hello')],
  ['an empty length', post(['Content-Length:'], SMUGGLED), saw('')],
  [
    'a length that the connection names',
    post([`Content-Length: ${SMUGGLED.length}`, 'Connection: Content-Length'], SMUGGLED),
    saw(SMUGGLED),
  ],
  [
    'a transfer coding by another name',
    post([`Content-Length: ${5 + SMUGGLED.length}`, 'Transfer_Encoding: chunked'], `0${END}${SMUGGLED}`),
    saw(`0${END}${SMUGGLED}`),
  ],
  ['a length by another name', post([CHUNKED, 'Content_Length: 1'], HELLO), saw('hello')],
  ['a chunk size with zeros before it', post([CHUNKED], `0005\r\nhello\r\n0000${END}`), saw('hello')],
  ['a chunk extension', post([CHUNKED], `5;a=b\r\nhello\r\n0;c${END}`), saw('hello')],
  ['a chunk extension in quotes', post([CHUNKED], `5;a="b;c"\r\nhello\r\n0${END}`), saw('hello')],
  [
    'a chunk extension that ends in a bare CR',
    post([CHUNKED], `5;\rxx\r\nhello\r\n0${END}${SMUGGLED}`),
    saw('hello'),
  ],
  ['a chunk extension with a NUL', post([CHUNKED], `5;\0\r\nhello\r\n0${END}${SMUGGLED}`), saw('hello')],
  ['a chunk size with a space within', post([CHUNKED], `5 5\r\nhello\r\n0${END}${SMUGGLED}`), saw('hello')],
  ['a line of a trailer without a name', post([CHUNKED], `0\r\n: x${END}${SMUGGLED}`), saw('')],
  ['a space after a chunk size', post([CHUNKED], `5 \r\nhello\r\n0${END}`), saw('hello')],
  ['chunks whose lines end in a bare LF', post([CHUNKED], '5\nhello\n0\n\n'), saw('hello')],
  [
    'a trailer that tells lengths',
    post([CHUNKED], `5\r\nhello\r\n0\r\nContent-Length: 99\r\n${CHUNKED}${END}`),
    saw('hello'),
  ],
  [
    'a trailer that tells who the client is',
    post([CHUNKED], `5\r\nhello\r\n0\r\nHost: evil.example\r\nX-Forwarded-For: 203.0.113.66${END}`),
    saw('hello'),
  ],
  ['a trailer whose lines end in a bare LF', post([CHUNKED], '5\r\nhello\r\n0\r\nX: y\n\n'), saw('hello')],
  ['a body of GET', get([`Content-Length: ${SMUGGLED.length}`], SMUGGLED), `GET /front ${SMUGGLED}`],
  ['a body of GET in chunks', get([CHUNKED], inChunks(SMUGGLED)), `GET /front ${SMUGGLED}`],
  ['a body that a guard does not read', post([`Content-Length: ${SMUGGLED.length}`], SMUGGLED, '/guarded')],
  ['a body in chunks that a guard does not read', post([CHUNKED], inChunks(SMUGGLED), '/guarded')],
  ['a body for nobody', post([`Content-Length: ${SMUGGLED.length}`], SMUGGLED, '/nowhere')],
  [
    'a body that waits to be asked for',
    post([`Content-Length: ${SMUGGLED.length}`, 'Expect: 100-continue'], SMUGGLED),
    saw(SMUGGLED),
  ],
  [
    'a body of GET that waits to be asked for',
    get([`Content-Length: ${SMUGGLED.length}`, 'Expect: 100-continue'], SMUGGLED),
    `GET /front ${SMUGGLED}`,
  ],
  [
    'a body that waits for something unknown',
    post([`Content-Length: ${SMUGGLED.length}`, 'Expect: 200-ok'], SMUGGLED),
    saw(SMUGGLED),
  ],
  [
    'HTTP/1.0 with a transfer coding',
    post([CHUNKED], `${HELLO}${SMUGGLED}`, '/front', '1.0'),
    saw('hello'),
    saw(''),
  ],
  [
    'HTTP/1.0 with a transfer coding and a length',
    post([`Content-Length: ${5 + SMUGGLED.length}`, CHUNKED], `0${END}${SMUGGLED}`, '/front', '1.0'),
    saw(''),
    saw(`0${END}${SMUGGLED}`),
  ],
  [
    'HTTP/1.0 that stays open',
    post(['Content-Length: 5', 'Connection: keep-alive'], 'hello', '/front', '1.0'),
    saw('hello'),
  ],
  ['HTTP/0.9', 'GET /front\r\n', 'GET /front '],
  ['HTTP/1.9', get([], '', '/front', '1.9'), 'GET /front '],
  ['HTTP/2.0', get([], '', '/front', '2.0'), 'GET /front '],
  ['the preface of HTTP/2', `PRI * HTTP/2.0${END}SM${END}`],
  ['empty lines before a request', `\r\n\r\n${get([])}`, 'GET /front '],
  ['another host in the target', get([], '', 'http://evil.example/front'), 'GET /front '],
  ['a user in the target', get([], '', `http://${HOST}@evil.example/front`), 'GET /front '],
  ['a target of another scheme', get([], '', 'ftp://evil.example/front'), 'GET /front '],
  ['two hosts', get(['Host: evil.example'])],
  ['two hosts in one field', `GET /front HTTP/1.1\r\nHost: ${HOST}, evil.example${END}`],
  ['a host with a user', `GET /front HTTP/1.1\r\nHost: ${HOST}@evil.example${END}`],
  ['a host with a path', `GET /front HTTP/1.1\r\nHost: ${HOST}/smuggled${END}`],
  ['a host with a space', `GET /front HTTP/1.1\r\nHost: ${HOST} evil.example${END}`],
  ['a host on a folded line', `GET /front HTTP/1.1\r\nHost:\r\n ${HOST}${END}`, 'GET /front '],
  ['a host after a space', `GET /front HTTP/1.1\r\n Host: ${HOST}${END}`],
  ['no host', `GET /front HTTP/1.1${END}`],
  ['a request in the escapes of a target', get([], '', `/front%20HTTP/1.1%0d%0a%0d%0aGET%20/smuggled`)],
  ['a space in the target', get([], '', '/front HTTP/1.1 /smuggled')],
  ['a tab in the request line', `GET\t/front\tHTTP/1.1\r\nHost: ${HOST}${END}`, 'GET /front '],
  ['a NUL in the target', get([], '', '/front\0/smuggled')],
  ['a field without a colon', get(['GET /smuggled HTTP/1.1'])],
  ['a field without a name', get([': x']), 'GET /front '],
  ['a field with a NUL', get(['X: a\0b'])],
  ['a field on a folded line', get([`X: y\r\n GET /smuggled HTTP/1.1`]), 'GET /front '],
  ['a head that ends in bare LFs', `GET /front HTTP/1.1\nHost: ${HOST}\n\n`, 'GET /front '],
  [
    'CONNECT to a host',
    `CONNECT ${HOST}:443 HTTP/1.1\r\nHost: ${HOST}:443${END}${SMUGGLED}`,
    'GET /smuggled ',
  ],
  [
    'an upgrade to HTTP/2',
    get(['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__']),
    'GET /front ',
  ],
  [
    'an upgrade to HTTP/2 with a body',
    post(['Connection: Upgrade', 'Upgrade: h2c', `Content-Length: ${SMUGGLED.length}`], SMUGGLED),
    saw(SMUGGLED),
  ],
  [
    'an upgrade with a body where there is no socket',
    get([...WEBSOCKET, `Content-Length: ${SMUGGLED.length}`], SMUGGLED),
    `GET /front ${SMUGGLED}`,
  ],
  [
    'an upgrade with chunks where there is no socket',
    get([...WEBSOCKET, CHUNKED], inChunks(SMUGGLED)),
    `GET /front ${SMUGGLED}`,
  ],
  ['an upgrade with a body', get([...WEBSOCKET, `Content-Length: ${SMUGGLED.length}`], SMUGGLED, '/socket')],
  ['an upgrade with chunks', get([...WEBSOCKET, CHUNKED], inChunks(SMUGGLED), '/socket')],
  [
    'an upgrade of an unknown version with a body',
    get(
      [...WEBSOCKET.slice(0, 3), 'Sec-WebSocket-Version: 777', `Content-Length: ${SMUGGLED.length}`],
      SMUGGLED,
      '/socket',
    ),
  ],
  [
    'an upgrade by POST with a body',
    post([...WEBSOCKET, `Content-Length: ${SMUGGLED.length}`], SMUGGLED, '/socket'),
  ],
  [
    'an upgrade to HTTP/2 and to WebSocket',
    get([...WEBSOCKET, 'Upgrade: h2c', `Content-Length: ${SMUGGLED.length}`], SMUGGLED, '/socket'),
  ],
];

export const payloads: readonly Payload[] = [
  ...codings.flatMap(([name, field, governs]): Payload[] => {
    const short = `0${END}${SMUGGLED}`;
    const long = `${HEX}\r\n${SMUGGLED}\r\n0${END}`;
    const reads = { coding: [saw(''), saw(SMUGGLED)], length: [saw(short), saw(`${HEX}\r\n`)] };
    const [first, second] = (governs && reads[governs]) ?? [];
    return [
      {
        name: `${name} within a longer length`,
        bytes: post([`Content-Length: ${short.length}`, field], short),
        reads: first === undefined ? [] : [first],
      },
      {
        name: `${name} beyond a shorter length`,
        bytes: post([`Content-Length: ${HEX.length + 2}`, field], long),
        reads: second === undefined ? [] : [second],
      },
    ];
  }),
  ...lengths.map(([name, ...fields]) => ({ name, bytes: post(fields, `hello${SMUGGLED}`), reads: [] })),
  ...chunks.map(([name, body]) => ({ name, bytes: post([CHUNKED], body), reads: [] })),
  ...readable.map(([name, bytes, ...reads]) => ({ name, bytes, reads })),
];

function post(fields: readonly string[], body: string, target = '/front', version = '1.1'): string {
  return [`POST ${target} HTTP/${version}`, `Host: ${HOST}`, ...fields, '', body].join('\r\n');
}

function get(fields: readonly string[], body = '', target = '/front', version = '1.1'): string {
  return [`GET ${target} HTTP/${version}`, `Host: ${HOST}`, ...fields, '', body].join('\r\n');
}

function inChunks(body: string): string {
  return `${body.length.toString(16)}\r\n${body}\r\n0${END}`;
}

function saw(body: string): string {
  return `POST /front ${body}`;
}

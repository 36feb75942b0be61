/** Limits on what clients may send and occupy. Sizes are bytes. */
export interface Limits {
  /** The body of a request: 1 MiB. More is a 413. */
  body: number;
  /** One message of a socket: 64 KiB. More closes the socket with 1009. */
  message: number;
  /** The head of a request: request line and header fields together, 16 KiB. More is a 431. */
  head: number;
  /** Header fields of one request: 200. More is a 431. */
  headers: number;
  /** Parameters of one query: 1,000. More is a 400. */
  query: number;
  /** Upgrades whose middleware still runs: 1,000. More are a 503. */
  handshakes: number;
  /** Bytes that may wait for a reader that takes nothing: 1 MiB. Above it, for two seconds, it is a slow consumer and is closed. */
  buffered: number;
  /** Bytes that may wait for all readers together: 64 MiB. Above it, those that have taken nothing for the longest are closed first. */
  bufferedTotal: number;
  /** One value that is sent: 16 MiB. More is a `RangeError` for the sender, and reaches no reader. */
  value: number;
  /** The histories of all channels together: 64 MiB. Above it, the channel that was quiet for the longest loses its history first. */
  history: number;
  /** Open connections in all; no limit by default. More are a 503. */
  connections: number;
  /** Open connections of one user; no limit by default. More are a 429. */
  connectionsPerUser: number;
  /** Open connections from one address; no limit by default. More are a 429. */
  connectionsPerAddress: number;
}

/** Timeouts in milliseconds. */
export interface Timeouts {
  /** To receive the head of a request: 15,000. Then a 408. */
  headers: number;
  /** To receive the whole request: 60,000. Then a 408. */
  request: number;
  /** How long an idle keep-alive connection stays open for the next request: 10,000. */
  keepAlive: number;
  /** Until a handler has sent the head of its response: 60,000. Then a 503. */
  handler: number;
  /** Without the client taking a byte of a response that waits for it: 30,000. Then its connection is destroyed. */
  unread: number;
  /** Until the middleware of an upgrade has decided: 10,000. Then a 503. */
  handshake: number;
  /** From the first fragment of a message to its last: 60,000, checked with each heartbeat. Then the socket closes with 1008. */
  message: number;
  /** Until the peer has answered a close frame: 5,000. Then the connection is cut. */
  close: number;
}

export const LIMITS: Limits = {
  body: 1_048_576,
  message: 65_536,
  head: 16_384,
  headers: 200,
  query: 1_000,
  handshakes: 1_000,
  buffered: 1_048_576,
  bufferedTotal: 67_108_864,
  value: 16_777_216,
  history: 67_108_864,
  connections: Infinity,
  connectionsPerUser: Infinity,
  connectionsPerAddress: Infinity,
};

export const TIMEOUTS: Timeouts = {
  headers: 15_000,
  request: 60_000,
  keepAlive: 10_000,
  handler: 60_000,
  unread: 30_000,
  handshake: 10_000,
  message: 60_000,
  close: 5_000,
};

/** Bounds on what a client may send. Sizes are bytes. */
export interface Limits {
  /** The body of a request: 1 MiB. More is a 413. */
  body: number;
  /** One WebSocket message: 64 KiB. More closes the socket with 1009. */
  message: number;
  /** The head of a request, request line and header fields together: 16 KiB. More is a 431. */
  head: number;
  /** Header fields of one request: 200. More is a 431. */
  headers: number;
  /** Parameters of one query: 1,000. More is a 400. */
  query: number;
  /** Upgrades whose middleware still runs: 1,000. Further ones are a 503. */
  handshakes: number;
  /** What may wait in memory for one reader that takes nothing: 1 MiB. */
  buffered: number;
  /** What may wait for all readers together: 64 MiB. Those that have taken nothing for the longest are given up first. */
  bufferedTotal: number;
  /** One value as it is sent: 16 MiB. More is the sender's error, and reaches nobody. */
  value: number;
  /** What the histories of all channels keep together: 64 MiB. The channel that was quiet for the longest goes first. */
  history: number;
  /** Connections in all, no limit by default: more are answered with 503. */
  connections: number;
  /** Connections of one user, no limit by default: more are answered with 429. */
  connectionsPerUser: number;
  /** Connections from one address, no limit by default: more are answered with 429. */
  connectionsPerAddress: number;
}

/** Times in milliseconds. */
export interface Timeouts {
  /** Until the head of a request is there: 15 s. */
  headers: number;
  /** Until the whole request is there: 60 s. */
  request: number;
  /** How long an idle connection is kept for the next request: 10 s. */
  keepAlive: number;
  /** Until a handler has sent the head of its response: 60 s, then a 503. */
  handler: number;
  /** Until the middleware of an upgrade has decided: 10 s, then a 503. */
  handshake: number;
  /** From the first fragment of a message to its last: 60 s, looked at with each heartbeat; then 1008. */
  message: number;
  /** Until the peer has answered a close frame: 5 s. */
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
  handshake: 10_000,
  message: 60_000,
  close: 5_000,
};

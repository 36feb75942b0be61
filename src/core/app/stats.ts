/** What `app.stats()` returns: the state now, and counts since the start. */
export interface Stats {
  /** Open event streams and sockets now; connections opened and refused since the start. */
  connections: { sse: number; websocket: number; opened: number; refused: number };
  /** Bytes that wait for readers now. */
  buffered: number;
  /** Requests and upgrades that wait for something asynchronous now. */
  inFlight: { exchanges: number; handshakes: number };
  /** Since the start: received, sent, published to channels, dropped and conflated for slow consumers. */
  messages: { in: number; out: number; published: number; dropped: number; conflated: number };
  /** Channels with readers in this process now. */
  channels: number;
  /** Approximate bytes of all channel histories in this process, and the number of channels that have one. */
  history: { bytes: number; channels: number };
}

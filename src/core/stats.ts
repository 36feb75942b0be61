/** What `app.stats()` gives: the state now, and counts since the start. */
export interface Stats {
  connections: { sse: number; websocket: number; opened: number; refused: number };
  /** Bytes that wait for readers. */
  buffered: number;
  /** Exchanges and handshakes that wait for something. */
  inFlight: { exchanges: number; handshakes: number };
  messages: { in: number; out: number; published: number; dropped: number; conflated: number };
  /** Channels that somebody reads in this process. */
  channels: number;
  /** What the histories in this process keep: bytes of memory, about, and of how many channels. */
  history: { bytes: number; channels: number };
}

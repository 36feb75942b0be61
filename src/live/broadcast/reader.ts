import type { EncodedMessage } from '../encoding/encoded-message.js';
import type { Format } from '../encoding/format.js';

/** A reader of a topic: the subscription of a connection, or a loop in the server. */
export interface Reader {
  /** The format of the connection; undefined for a loop, which gets values. */
  readonly format?: Format;
  deliver(encoded: EncodedMessage): void;
  /** The channel was revoked: ends the connection or the loop of an exchange. */
  revoke(reason: string): void;
}

/** The topic, as its readers see it. */
export interface Source {
  /** Removes the reader that was added under this key. */
  remove(key: object): void;
  /** Counts messages that a slow reader did not get. */
  skipped(dropped: number, conflated: number): void;
}

import type { RevokeTarget } from '../connections/revocations.js';
import type { HistoryBounds } from './history.js';
import type { Message } from '../encoding/message.js';

/** Why a reader that resumes cannot get all that it missed. */
export type GapReason =
  /** The server was restarted, and its history began anew. */
  | 'epoch'
  /** The oldest messages are no longer kept. */
  | 'trimmed'
  /** The cursor is not one of this channel. */
  | 'unknown'
  /** More was missed than is sent at once. */
  | 'limit';

/** What a reader is given first. */
export interface Replay {
  readonly messages: readonly Message[];
  /** Why something is missing before them; undefined where nothing is. */
  readonly gap: GapReason | undefined;
  /** The cursor of a reader that has seen all of it. */
  readonly top: string;
}

/** A user who reads a channel. */
export interface Member {
  /** The user's id. */
  readonly id: string;
  /** What others may see of the user. */
  readonly info: unknown;
}

/**
 * Carries channels, presence and revocation between processes: `createApp({ broker })`. The default works in memory, for one
 * process. An implementation may be asynchronous, but for one topic it does what it is asked in that order, and delivers messages
 * in their order. The cursors of a topic grow.
 */
export interface Broker {
  /** Hands a message to all who have attached to the topic, in all processes, and keeps it within the bounds. */
  publish(topic: string, message: Message, bounds: HistoryBounds | undefined): void | Promise<void>;
  /** Messages of the topic are received from now on, with their cursors where it has a history. */
  attach(topic: string, receive: (message: Message) => void): void | Promise<void>;
  detach(topic: string): void | Promise<void>;
  /** What came after a cursor; all that is kept where there is none. */
  replay(topic: string, cursor: string | undefined, bounds: HistoryBounds): Replay | Promise<Replay>;
  /** A connection of the member is on the topic. True if it is the member's first. */
  join(topic: string, member: Member): boolean | Promise<boolean>;
  /** A connection of the member has left; `member` is what it joined with. True if it was the member's last. */
  leave(topic: string, member: Member): boolean | Promise<boolean>;
  /** Each member once, with the information of the latest connection that is still there. */
  members(topic: string): Member[] | Promise<Member[]>;
  /** Ends the connections that the target names, in all processes. */
  revoke(target: RevokeTarget, reason: string): void | Promise<void>;
  onRevoke(listener: (target: RevokeTarget, reason: string) => void): void;
  close(): void | Promise<void>;
}

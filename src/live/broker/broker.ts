import type { RevokeTarget } from '../connections/revocations.js';
import type { HistoryBounds } from './history.js';
import type { Message } from '../encoding/message.js';

/** Why a resuming reader cannot get all messages that it missed. */
export type GapReason =
  /** The server was restarted, and its history began anew. */
  | 'epoch'
  /** The oldest messages are no longer kept. */
  | 'trimmed'
  /** The cursor is not one of this channel. */
  | 'unknown'
  /** More was missed than is sent at once. */
  | 'limit';

/** The messages that a new or resuming reader gets first. */
export interface Replay {
  readonly messages: readonly Message[];
  /** Why messages are missing before them; undefined if none are. */
  readonly gap: GapReason | undefined;
  /** The cursor of a reader that has received them all. */
  readonly top: string;
}

/** A user who reads a channel. */
export interface Member {
  /** The user's id. */
  readonly id: string;
  /** The result of `presence(user)`, which other readers see. */
  readonly info: unknown;
}

/**
 * Carries channels, presence and revocation between processes: `createApp({ broker })`. The default works in memory, for one
 * process. An implementation may be asynchronous, but it handles the calls for one topic in order, and delivers messages in
 * order. The cursors of a topic grow.
 */
export interface Broker {
  /** Delivers a message to every process that has attached the topic, and keeps it in the history within `bounds`. */
  publish(topic: string, message: Message, bounds: HistoryBounds | undefined): void | Promise<void>;
  /** Calls `receive` with each message of the topic from now on; a message in a history has its cursor as id. */
  attach(topic: string, receive: (message: Message) => void): void | Promise<void>;
  detach(topic: string): void | Promise<void>;
  /** The messages after a cursor; the whole history without one. */
  replay(topic: string, cursor: string | undefined, bounds: HistoryBounds): Replay | Promise<Replay>;
  /** Adds a connection of the member. True if it is the member's first. */
  join(topic: string, member: Member): boolean | Promise<boolean>;
  /** Removes a connection of the member, by the object that it joined with. True if it was the member's last. */
  leave(topic: string, member: Member): boolean | Promise<boolean>;
  /** Each member once, with the info of its latest connection. */
  members(topic: string): Member[] | Promise<Member[]>;
  /** Calls the revocation listeners of all processes. */
  revoke(target: RevokeTarget, reason: string): void | Promise<void>;
  onRevoke(listener: (target: RevokeTarget, reason: string) => void): void;
  close(): void | Promise<void>;
}

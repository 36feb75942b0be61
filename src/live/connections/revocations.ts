import { mustBeId, type UserId } from './user-id.js';

/** Which connections are to end: those of a user or a session, one by its id, or those that read a channel, by its name. */
export type RevokeTarget =
  { user: string } | { session: string } | { connection: string } | { channel: string };

/** Names what is revoked: exactly one of these. */
export type Revocable =
  | { user: UserId }
  | { session: string }
  /** A connection, or its id. */
  | { connection: string | { readonly id: string } }
  /** A channel, or its name. */
  | { channel: string | { readonly name: string } };

/** A target as all processes receive it. @throws TypeError for one that does not name exactly one thing */
export function targetOf(target: Revocable): RevokeTarget {
  if (Object.keys(target).length !== 1) throw nothing();
  if ('user' in target) return { user: mustBeId(target.user) };
  if ('session' in target) return { session: mustBeText(target.session) };
  if ('connection' in target) {
    const { connection } = target;
    return { connection: mustBeText(typeof connection === 'object' ? connection.id : connection) };
  }
  const { channel } = target;
  return { channel: mustBeText(typeof channel === 'object' ? channel.name : channel) };
}

function mustBeText(text: unknown): string {
  if (typeof text === 'string' && text !== '') return text;
  throw nothing();
}

function nothing(): TypeError {
  return new TypeError(
    'revoke: give one of { user }, { session }, { connection } and { channel }, and what it names',
  );
}

/** The names by which a revocation finds an exchange that is about to open. */
export interface Names {
  readonly user: string | undefined;
  readonly session: string | undefined;
  /** The id of its connection, if it was read. */
  readonly connection: string | undefined;
}

/**
 * One revocation, and those that follow it. An exchange that has not opened yet holds the last one before it began, so
 * that later ones are kept for exactly as long as an exchange needs them.
 */
export class Revocation {
  next: Revocation | undefined = undefined;

  constructor(
    private readonly target: RevokeTarget | undefined,
    readonly reason: string,
  ) {}

  /** The first revocation after this one that names an exchange. */
  firstSince(exchange: Names): Revocation | undefined {
    let one = this.next;
    while (one !== undefined && !one.#names(exchange)) one = one.next;
    return one;
  }

  #names({ user, session, connection }: Names): boolean {
    const { target } = this;
    if (target === undefined) return false;
    if ('user' in target) return target.user === user;
    if ('session' in target) return target.session === session;
    return 'connection' in target && target.connection === connection;
  }
}

/** How many revoked channels are remembered by name. */
const REMEMBERED = 1_000;

/** Which channels were revoked, and when: an exchange that was admitted to one before must not read it afterwards. */
export class RevokedChannels {
  #count = 0;
  /** The number of the latest revocation of each channel. */
  readonly #latest = new Map<string, number>();
  /** The number of the latest revocation that is no longer remembered by name: it may have been of any channel. */
  #forgotten = 0;

  /** The number of revocations so far, for `isRevoked`. */
  get now(): number {
    return this.#count;
  }

  add(name: string): void {
    this.#latest.delete(name);
    this.#latest.set(name, ++this.#count);
    if (this.#latest.size <= REMEMBERED) return;
    for (const [oldest, moment] of this.#latest) {
      this.#latest.delete(oldest);
      this.#forgotten = moment;
      break;
    }
  }

  /** Whether a channel may have been revoked since `now` was `since`. */
  isRevoked(name: string, since: number): boolean {
    return since < this.#count && (since < this.#forgotten || (this.#latest.get(name) ?? 0) > since);
  }
}

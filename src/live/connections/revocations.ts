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

/** Whether a channel was revoked, for all handles that were given out before. */
export interface RevocationMark {
  revoked: boolean;
}

/**
 * Which channels were revoked: an exchange that was admitted to one before must not read it afterwards. The handles of one
 * channel share a mark, which is held weakly, so that a name takes memory only while an exchange has a handle.
 */
export class RevokedChannels {
  readonly #marks = new Map<string, WeakRef<RevocationMark>>();
  readonly #collected = new FinalizationRegistry<string>((name) => {
    // A handle that was given out meanwhile has a mark of its own.
    if (this.#marks.get(name)?.deref() === undefined) this.#marks.delete(name);
  });

  /** The mark for a handle that is given out now. */
  markOf(name: string): RevocationMark {
    const known = this.#marks.get(name)?.deref();
    if (known !== undefined) return known;
    const mark = { revoked: false };
    this.#marks.set(name, new WeakRef(mark));
    this.#collected.register(mark, name);
    return mark;
  }

  /** Revokes the handles that were given out until now. */
  add(name: string): void {
    const mark = this.#marks.get(name)?.deref();
    if (mark !== undefined) mark.revoked = true;
    this.#marks.delete(name);
  }
}

/** Whose connections are to end. */
export type RevokeTarget = { user: string } | { session: string };

/**
 * One revocation, and those that follow it. An exchange that has not opened yet holds the last one before it began, so
 * that the rest is known for exactly as long as somebody needs it.
 */
export class Revocation {
  next: Revocation | undefined = undefined;

  constructor(private readonly target: RevokeTarget | undefined) {}

  /** Whether a revocation after this one is meant for a user or a session. */
  hasSince(user: string | undefined, session: string | undefined): boolean {
    for (let one = this.next; one !== undefined; one = one.next) {
      const { target } = one;
      if (target === undefined) continue;
      if ('user' in target ? target.user === user : 'session' in target && target.session === session)
        return true;
    }
    return false;
  }
}

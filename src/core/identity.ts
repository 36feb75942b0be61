import type { Attributes } from './attributes.js';
import type { RegisteredUser } from './register.js';

/** Who an exchange is from and what middleware learnt of it: shared by a connection and the calls on it. */
export class Identity {
  user: RegisteredUser | undefined = undefined;
  session: unknown = undefined;
  attributes: Attributes | undefined = undefined;

  /** Takes over what middleware has learnt anew. */
  adopt({ user, session, attributes }: Identity): void {
    this.user = user;
    this.session = session;
    this.attributes = attributes;
  }
}

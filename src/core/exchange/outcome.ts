/** What the chain of a route came to. The kind of the route sends the head by it. */
export type Outcome = Answered | Opened | Refused;

/** The method has run. `ctx.send()` wins over the value that it returned. */
export interface Answered {
  readonly type: 'answered';
  readonly value: unknown;
}

/** A connection may open. */
export interface Opened {
  readonly type: 'opened';
  /** What the parameters of the method read before the head, by position. */
  readonly values: readonly unknown[];
}

/** Middleware did not let the exchange through to the method. */
export interface Refused {
  readonly type: 'refused';
  /** Which middleware, and what it did: the error, if it has not answered either. */
  readonly why: string;
}

export const NOTHING: Answered = { type: 'answered', value: undefined };
export const OPENED: Opened = { type: 'opened', values: [] };

export function answered(value: unknown): Answered {
  return { type: 'answered', value };
}

export function refused(why: string): Refused {
  return { type: 'refused', why };
}

/** What stays open after the head, as the context sees it. */
export interface OpenConnection {
  send(value: unknown): boolean;
  /** Does with a value what is done with one that the method returns. */
  take(value: unknown): boolean;
  expires(date: Date): void;
  /** Gives up before the head was sent. */
  abandon(): void;
}

/** What is not sent as a value: a connection that is given it reads it from then on. */
export abstract class Subscribable {
  /** The connection reads it from now on. Call the result to end that. */
  abstract subscribe(connection: { send(value: unknown): boolean }): () => void;
}

/**
 * The time of a deadline. One that is no time would never come: it fails instead.
 * @throws TypeError
 */
export function timeOf(deadline: Date): number {
  const isDate = Object.prototype.toString.call(deadline) === '[object Date]';
  const time = isDate ? deadline.getTime() : Number.NaN;
  if (Number.isNaN(time)) throw new TypeError(`expires() takes a valid Date, not ${String(deadline)}`);
  return time;
}

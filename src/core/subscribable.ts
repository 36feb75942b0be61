/** What is not sent as a value: a connection that is given it reads it from then on. */
export abstract class Subscribable {
  /** The connection reads it from now on. Call the result to end that. */
  abstract subscribe(connection: { send(value: unknown): boolean }): () => void;
}

import { randomUUID } from 'node:crypto';

/** Options of `socket.call`. */
interface CallOptions {
  /** Cancels the call when it aborts. */
  signal?: AbortSignal;
  /** Milliseconds to wait for the response; 30,000 by default. */
  timeout?: number;
}

/** A response object of JSON-RPC 2.0, section 5. */
export interface CallResponse {
  readonly id: unknown;
  readonly result?: unknown;
  readonly error?: unknown;
}

/** How many calls of one socket may wait for a response. */
const MAX_PENDING = 1_000;
const TIMEOUT = 30_000;

interface Pending {
  readonly name: string;
  settle(error: unknown, result?: unknown): void;
}

/** The calls that the server has made to one client and that wait for a response. */
export class ClientCalls {
  readonly #pending = new Map<string, Pending>();

  get waiting(): boolean {
    return this.#pending.size > 0;
  }

  /** Sends a call by `send`, and waits for the response. */
  call(
    send: (request: object) => void,
    name: string,
    params: unknown,
    { signal, timeout = TIMEOUT }: CallOptions,
  ): Promise<unknown> {
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error);
    if (this.#pending.size >= MAX_PENDING) {
      return Promise.reject(
        new Error(`the call ${name} was not sent: ${MAX_PENDING} calls wait for responses`),
      );
    }
    // Random, so that a client cannot know the id of a call that it was not sent.
    const id = randomUUID();
    return new Promise((resolve, reject) => {
      const abort = (): void => settle(signal?.reason);
      const timer = setTimeout(
        () => settle(new Error(`the client did not answer the call ${name} within ${timeout} ms`)),
        timeout,
      );
      const settle = (error: unknown, result?: unknown): void => {
        this.#pending.delete(id);
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
        if (error === undefined) resolve(result);
        else reject(error as Error);
      };
      timer.unref();
      signal?.addEventListener('abort', abort, { once: true });
      this.#pending.set(id, { name, settle });
      try {
        send({ jsonrpc: '2.0', id, method: name, params });
      } catch (error) {
        settle(error);
      }
    });
  }

  /** Settles the call that waits for a response. False if none does any more. */
  settle({ id, result, error }: CallResponse): boolean {
    const pending = typeof id === 'string' ? this.#pending.get(id) : undefined;
    if (pending === undefined) return false;
    if (error === undefined) pending.settle(undefined, result);
    else pending.settle(callError(pending.name, error));
    return true;
  }

  /** The socket has closed: rejects all calls that wait. */
  end(): void {
    for (const { name, settle } of this.#pending.values()) {
      settle(new Error(`the socket closed before the client answered the call ${name}`));
    }
  }
}

/** Whether a value is a response object of JSON-RPC 2.0, which has no method. */
export function isResponse(value: unknown): value is CallResponse {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const { jsonrpc } = value as { jsonrpc?: unknown };
  return (
    jsonrpc === '2.0' &&
    !Object.hasOwn(value, 'method') &&
    (Object.hasOwn(value, 'result') || Object.hasOwn(value, 'error'))
  );
}

function callError(name: string, error: unknown): Error {
  const { code, message, data } = (typeof error === 'object' && error !== null ? error : {}) as Record<
    string,
    unknown
  >;
  const text = typeof message === 'string' ? message : 'no message';
  return Object.assign(new Error(`the client answered the call ${name} with an error: ${text}`), {
    code,
    data,
  });
}

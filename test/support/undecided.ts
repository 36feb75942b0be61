import { deferred, type Deferred } from './deferred.js';
import { HANDSHAKE, RawClient } from './raw-client.js';
import type { TestServer } from 'coequal/testing';

/** A step of an exchange that a test holds: it knows when it is reached, and lets it go on. */
export class Gate {
  #entered: Deferred<void> = deferred();
  #go: Deferred<void> = deferred();

  /** What the step under test awaits. */
  pass(): Promise<void> {
    this.#entered.resolve();
    return this.#go.promise;
  }

  /** Resolves when the step has been reached. */
  entered(): Promise<void> {
    return this.#entered.promise;
  }

  open(): void {
    this.#go.resolve();
  }

  refuse(reason: unknown): void {
    this.#go.reject(reason);
  }

  reset(): void {
    this.#entered = deferred();
    this.#go = deferred();
  }
}

/** Sends an opening handshake, and frames right behind it, in one chunk; waits for nothing. */
export async function knockFor(
  server: TestServer,
  path: string,
  ...frames: Uint8Array[]
): Promise<RawClient> {
  const client = await RawClient.connect(await server.url());
  const head = [`GET ${path} HTTP/1.1`, ...HANDSHAKE, '', ''].join('\r\n');
  return client.write(Buffer.concat([Buffer.from(head), ...frames]));
}

import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Logger } from '../base/logger.js';
import type { UnreadWatch } from '../node/response.js';
import { bytesAccepted, isBlocked, KernelQueues } from '../node/tcp-progress.js';

interface Progress {
  response: ServerResponse;
  /** Bytes that the client has taken; undefined until the first look. */
  taken: number | undefined;
  /** For how many looks in a row it has taken nothing. */
  silent: number;
}

/** In how many looks the limit is divided. */
const LOOKS = 4;

/**
 * Responses with bytes that wait for the client. If it takes none of them for `limit` milliseconds, its connection is
 * destroyed, so that the response does not hold its source and its memory for ever. Looks are counted, not time, so that a
 * process that was busy itself takes no client for stuck.
 */
export class UnreadResponses implements UnreadWatch {
  readonly #waiting = new Map<Socket, Progress>();
  #isScheduled = false;

  /** @param limit milliseconds, at least; the connection is destroyed within a half more. */
  constructor(
    private readonly limit: number,
    private readonly logger: Logger,
  ) {}

  /** Something has been written that the connection has not taken at once. */
  watch(socket: Socket, response: ServerResponse): void {
    const known = this.#waiting.get(socket);
    if (known !== undefined) {
      known.response = response;
      return;
    }
    this.#waiting.set(socket, { response, taken: undefined, silent: 0 });
    this.#schedule();
  }

  *responses(): Iterable<ServerResponse> {
    for (const { response } of this.#waiting.values()) yield response;
  }

  #schedule(): void {
    // A timer cannot wait longer than 2^31 - 1 milliseconds.
    const interval = Math.min(this.limit / LOOKS, 0x7fffffff);
    if (!this.#isScheduled) setTimeout(() => void this.#look(), interval).unref();
    this.#isScheduled = true;
  }

  async #look(): Promise<void> {
    for (const socket of this.#waiting.keys()) {
      if (socket.destroyed || !isBlocked(socket)) this.#waiting.delete(socket);
    }
    if (this.#waiting.size > 0) {
      // The system accepts nothing before the client has taken a good part of what it was given, which may be megabytes.
      const queues = await KernelQueues.read();
      for (const [socket, progress] of this.#waiting) this.#compare(socket, progress, queues);
    }
    this.#isScheduled = false;
    if (this.#waiting.size > 0) this.#schedule();
  }

  #compare(socket: Socket, progress: Progress, queues: KernelQueues): void {
    const taken = bytesAccepted(socket) - queues.of(socket);
    if (taken !== progress.taken) {
      progress.taken = taken;
      progress.silent = 0;
    } else if (++progress.silent >= LOOKS) {
      this.#waiting.delete(socket);
      this.#cut(socket, progress.response);
    }
  }

  #cut(socket: Socket, { req }: ServerResponse): void {
    const [path] = (req.url ?? '').split('?', 1);
    this.logger.info(
      { method: req.method, path, address: socket.remoteAddress },
      'unread response: connection cut',
    );
    socket.destroy();
  }
}

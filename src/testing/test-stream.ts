import { createParser } from 'eventsource-parser';
import { Arrivals, type WaitOptions } from './arrivals.js';

/** One event of an event stream. */
export interface StreamEvent {
  /** The name of the event; `message` by default. */
  event: string;
  data: string;
  id: string | undefined;
}

/** The client side of an event stream under test. */
export class TestStream {
  readonly #events = new Arrivals<StreamEvent>('event', (event) => JSON.stringify(event));
  readonly #comments = new Arrivals<string>('comment', (text) => JSON.stringify(text));
  readonly #abort: AbortController;

  /** @internal */
  constructor(
    /** The response; its body is read by this class. */
    readonly response: Response,
    abort: AbortController,
  ) {
    this.#abort = abort;
    void this.#read(response);
  }

  /** The next event. Keep-alive comments do not count. @throws Error that lists what arrived, if none comes in time */
  next(options?: WaitOptions): Promise<StreamEvent> {
    return this.#events.next(options);
  }

  /** The data of the next event, parsed. */
  async json<T = unknown>(options?: WaitOptions): Promise<T> {
    const { data } = await this.next(options);
    return JSON.parse(data) as T;
  }

  /** The next comment, such as the keep-alive of a stream. */
  comment(options?: WaitOptions): Promise<string> {
    return this.#comments.next(options);
  }

  /** Resolves when the server has ended the stream. */
  closed(options?: WaitOptions): Promise<void> {
    return this.#events.ended(options);
  }

  /** Leaves, as a client does that closes the connection. */
  close(): void {
    this.#abort.abort();
  }

  [Symbol.asyncIterator](): AsyncGenerator<StreamEvent, void> {
    return this.#events[Symbol.asyncIterator]();
  }

  async #read({ body }: Response): Promise<void> {
    const parser = createParser({
      onEvent: ({ event = 'message', data, id }) => this.#events.push({ event, data, id }),
      onComment: (text) => this.#comments.push(text),
    });
    let how = 'the stream has ended';
    try {
      const decoder = new TextDecoder();
      for await (const chunk of body ?? []) parser.feed(decoder.decode(chunk, { stream: true }));
    } catch (error) {
      how = `the stream was cut (${(error as Error).message})`;
    }
    this.#events.end(how);
    this.#comments.end(how);
  }
}

import type { Writable } from 'node:stream';
import { fastPaths } from '../encoding/fast-paths.js';
import type { Context } from '../../core/exchange/context.js';
import { isBlocked } from '../../core/node/tcp-progress.js';
import { Response, writesPlainly } from '../../core/node/response.js';
import { writeChunk } from '../encoding/chunk.js';
import { cursorIn, nonceOf } from '../encoding/cursor.js';
import { eventStream, HEARTBEAT_COMMENT } from '../encoding/format.js';
import type { Frame } from '../encoding/frame.js';
import { Message } from '../encoding/message.js';
import { Connection, type CloseReason } from './connection.js';
import { Outbox } from './outbox.js';

/** Fields of the head of every stream. Proxies such as nginx buffer responses unless a field forbids it. */
const FIELDS = {
  'cache-control': 'no-cache, no-transform',
  'x-accel-buffering': 'no',
  'content-type': 'text/event-stream',
};

/** An open event stream (HTML standard, section 9.2). */
export class EventStream extends Connection {
  readonly outbox: StreamOutbox;
  #opened = false;

  constructor(context: Context) {
    super(context);
    this.outbox = new StreamOutbox(this, eventStream, context.response);
  }

  get kind(): 'sse' {
    return 'sse';
  }

  override get resumable(): boolean {
    return true;
  }

  override get cursor(): string | undefined {
    return lastEventId(this.context);
  }

  /** @internal */
  take(value: unknown): boolean {
    return this.send(value);
  }

  /** @internal Sends the head: from now on events flow. */
  open(): void {
    const { response, request, status } = this.context;
    if (response.getHeaderNames().length === 0) {
      response.writeHead(status, FIELDS);
    } else {
      // Its length is unknown.
      response.removeHeader('content-length');
      // Fields set by hand are kept for as long as the stream is open: only where there are others.
      for (const [name, value] of Object.entries(FIELDS)) {
        if (name !== 'cache-control' || !response.hasHeader(name)) response.setHeader(name, value);
      }
      response.writeHead(status);
    }
    response.flushHeaders();
    request.socket.setNoDelay(true);
    request.socket.setTimeout(0);
    response.on('close', () => this.finish(this.closed ?? this.farewell ?? { code: 1006, reason: '' }));
    this.#opened = true;
    const { socket } = response;
    if (fastPaths && socket !== null && response.chunkedEncoding && writesPlainly(response))
      this.outbox.writeTo(socket);
    this.outbox.open();
    this.#leaveIfClosing();
  }

  /** @internal The method failed before the head: the stream never opened. */
  abandon(): void {
    this.finish({ code: 1011, reason: '' });
  }

  /** Ends the stream. The reader receives a reason as an `end` event, so that it need not come back. */
  close(code = 1000, reason = ''): void {
    if (this.closed !== undefined || this.farewell !== undefined) return;
    if (code !== 1000) this.outbox.write(end({ code, reason }));
    this.farewell = { code, reason };
    this.outbox.sealed = true;
    // Before the head is sent the stream cannot end.
    if (this.#opened) this.#leaveIfClosing();
  }

  #leaveIfClosing(): void {
    const { farewell } = this;
    if (farewell !== undefined) this.outbox.afterBlobs(() => this.#leave(farewell));
  }

  #leave(reason: CloseReason): void {
    this.outbox.flush();
    this.finish(reason);
    const { response, environment } = this.context;
    response.end();
    if (response.writableFinished) return;
    // A client that does not read would keep the connection, and all that waits in it, for as long as it likes.
    const cut = setTimeout(() => response.destroy(), environment.timeouts.close).unref();
    response.once('close', () => clearTimeout(cut));
  }

  /** @internal Its source has ended: a client that reconnects with this last id needs no other stream. */
  complete(): void {
    this.outbox.write(end({ code: 1000, reason: '' }, finalId(this.context)));
    this.close();
  }

  override beat(interval: number): boolean {
    const { pulse } = this;
    const { sink } = this.outbox;
    // A client sends nothing on a stream: only one that takes none of what waits is known to be gone.
    if (pulse.hasProgressed(sink, interval) || !isBlocked(sink)) pulse.alive = true;
    else if (!pulse.alive) return false;
    else pulse.alive = false;
    this.outbox.interject(HEARTBEAT_COMMENT);
    return true;
  }

  override terminate(): void {
    this.context.response.destroy();
  }

  override onOverflow(): void {
    this.finish({ code: 1013, reason: 'the reader is too slow' });
    // The reader does not read: an orderly end would wait in the same queue.
    this.terminate();
  }
}

/**
 * Writes events to the response, or as chunks straight to its connection.
 *
 * Fast path: a broadcast takes 0.81 of the time with single events, and 0.72 in bursts.
 */
class StreamOutbox extends Outbox {
  #isRaw = false;

  /** Takes the connection of the response: its head is sent, and no middleware has replaced its methods. */
  writeTo(socket: Writable): void {
    this.sink = socket;
    this.#isRaw = true;
  }

  protected override transmit(frames: Frame | readonly Frame[]): void {
    if (!this.#isRaw) return super.transmit(frames);
    writeChunk(this.sink, frames);
    const { response } = this.owner.context;
    // The response does not see what goes past it.
    if (response instanceof Response) response.watch(response.socket);
  }
}

function end(reason: CloseReason, id?: string): Frame {
  return eventStream.frame(eventStream.payload(new Message(reason, 'end', id)));
}

/** Whether a client comes back to a stream that has ended normally. */
export function hasFinished(context: Context): boolean {
  const id = lastEventId(context);
  return id?.startsWith('end.') === true && id === finalId(context);
}

/** The id of the last event of a stream: those of other paths are not its own. */
function finalId({ path }: Context): string {
  return `end.${nonceOf(path)}`;
}

function lastEventId({ headers, query }: Context): string | undefined {
  return cursorIn(headers['last-event-id']) ?? cursorIn(query.lastEventId);
}

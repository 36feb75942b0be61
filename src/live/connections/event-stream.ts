import type { Writable } from 'node:stream';
import type { Context } from '../../core/exchange/context.js';
import { Response, writesPlainly } from '../../core/node/response.js';
import { Connection, type CloseReason } from './connection.js';
import { cursorIn, nonceOf } from '../encoding/cursor.js';
import { eventStream, HEARTBEAT_COMMENT } from '../encoding/format.js';
import type { Frame } from '../encoding/frame.js';
import { Message } from '../encoding/message.js';

/** The head of every stream. nginx and its kin buffer answers unless they are told. */
const FIELDS = {
  'cache-control': 'no-cache, no-transform',
  'x-accel-buffering': 'no',
  'content-type': 'text/event-stream',
};

/** An open event stream (HTML standard, section 9.2). */
export class EventStream extends Connection {
  #raw: Writable | undefined = undefined;
  #opened = false;

  constructor(context: Context) {
    super(context, eventStream);
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
      // How long it gets nobody knows.
      response.removeHeader('content-length');
      // Set by hand they are kept for as long as the stream is open: only where there are others.
      for (const [name, value] of Object.entries(FIELDS)) {
        if (name !== 'cache-control' || !response.hasHeader(name)) response.setHeader(name, value);
      }
      response.writeHead(status);
    }
    response.flushHeaders();
    request.socket.setNoDelay(true);
    request.socket.setTimeout(0);
    response.on('close', () => this.finish(this.closed ?? this.farewell ?? { code: 1006, reason: '' }));
    // Where nothing has put itself between, a chunk is framed here, and events of one turn are one write.
    const plain = response.chunkedEncoding && writesPlainly(response);
    if (plain && response.socket !== null) this.#raw = response.socket;
    this.#opened = true;
    this.ready();
    const { farewell } = this;
    if (farewell === undefined) return;
    this.farewell = undefined;
    this.close(farewell.code, farewell.reason);
  }

  /** @internal The method failed before the head: the stream never opened. */
  abandon(): void {
    this.finish({ code: 1011, reason: '' });
  }

  /** Ends the stream. A reason is told by an `end` event, so that the reader need not come back. */
  close(code = 1000, reason = ''): void {
    if (this.closed !== undefined) return;
    if (!this.#opened) {
      // It ends once its head is sent.
      this.farewell ??= { code, reason };
      return;
    }
    if (this.farewell !== undefined) return;
    if (code !== 1000) this.write(end({ code, reason }));
    this.farewell = { code, reason };
    this.leaveInTurn(() => this.#leave({ code, reason }));
  }

  #leave(reason: CloseReason): void {
    this.flush();
    this.finish(reason);
    const { response, environment } = this.context;
    response.end();
    if (response.writableFinished) return;
    // Who does not read would keep the connection, and all that waits in it, for as long as it likes.
    const cut = setTimeout(() => response.destroy(), environment.timeouts.close).unref();
    response.once('close', () => clearTimeout(cut));
  }

  /** @internal Its source has ended: by the id of the last event its reader is known not to need another. */
  complete(): void {
    if (this.over) return;
    this.write(end({ code: 1000, reason: '' }, finalId(this.context)));
    this.close();
  }

  override beat(interval: number): boolean {
    const waits = this.blocked();
    // A stream says nothing by itself: only one that takes none of what waits is known to be gone.
    if (this.progressed(interval) || !waits) this.alive = true;
    else if (!this.alive) return false;
    else this.alive = false;
    this.interject(HEARTBEAT_COMMENT);
    return true;
  }

  terminate(): void {
    this.context.response.destroy();
  }

  protected override get sink(): Writable {
    return this.#raw ?? this.context.response;
  }

  protected override overflow(): void {
    this.drop();
    this.finish({ code: 1013, reason: 'the reader is too slow' });
    // The reader does not read: an orderly end would wait in the same queue.
    this.terminate();
  }

  protected transmit(frames: Frame | readonly Frame[]): void {
    const { response } = this.context;
    if (this.#raw === undefined) return write(response, frames);
    writeChunk(this.#raw, frames);
    // The response does not see what goes past it.
    if (this.#raw.writableLength > 0 && response instanceof Response) response.watch(response.socket);
  }
}

/** The last chunk that was made: the readers of a channel are all sent the same. */
let last = { text: '', chunk: '' };

/** A chunk of the chunked coding, RFC 9112 section 7.1. */
function chunkOf(text: string): string {
  if (text !== last.text) last = { text, chunk: `${text.length.toString(16)}\r\n${text}\r\n` };
  return last.chunk;
}

function writeChunk(socket: Writable, frames: Frame | readonly Frame[]): void {
  if (typeof frames === 'string') {
    socket.write(chunkOf(frames), 'latin1');
    return;
  }
  socket.cork();
  const length = Array.isArray(frames) ? frames.reduce((sum, frame) => sum + frame.length, 0) : frames.length;
  socket.write(`${length.toString(16)}\r\n`, 'latin1');
  write(socket, frames);
  socket.write('\r\n', 'latin1');
  socket.uncork();
}

function write(sink: Writable, frames: Frame | readonly Frame[]): void {
  for (const frame of Array.isArray(frames) ? frames : [frames]) {
    if (typeof frame === 'string') sink.write(frame, 'latin1');
    else sink.write(frame);
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

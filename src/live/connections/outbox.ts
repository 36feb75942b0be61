import type { Writable } from 'node:stream';
import { isBlob } from '../../core/base/bytes.js';
import type { Context } from '../../core/exchange/context.js';
import { EncodedMessage } from '../encoding/encoded-message.js';
import type { Format } from '../encoding/format.js';
import { joined, tooLarge, writeFrames, type Frame } from '../encoding/frame.js';
import { Message, messageOf } from '../encoding/message.js';
import { SendQueue, type SendStep } from './send-queue.js';

/** The connection that has the outbox. */
export interface OutboxOwner {
  readonly context: Context;
  /** Set once the connection is over. */
  readonly closed: unknown;
  /** The reader has caught up, as `requestDrain` has asked for. */
  onDrain(): void;
  /** The reader takes nothing: its subscriptions drop messages, or the connection is closed. */
  onStalled(): void;
  /** More bytes wait than may: closes the connection. */
  onOverflow(): void;
  /** A message that was accepted cannot be sent: reports the error and closes the connection. */
  onSendError(error: unknown): void;
  terminate(): void;
}

const READY: Promise<void> = Promise.resolve();

let dirty: Outbox[] = [];

/** All frames of one tick leave in one write, when the tick is over. */
function flushSoon(outbox: Outbox): void {
  if (dirty.push(outbox) === 1) process.nextTick(flushAll);
}

function flushAll(): void {
  const outboxes = dirty;
  dirty = [];
  for (const outbox of outboxes) outbox.flush();
}

/**
 * The messages that one connection sends: encodes them, keeps their order, joins those of one tick into one write, and bounds
 * how many bytes wait for the reader.
 */
export class Outbox {
  /** Bytes that the subscriptions keep back until the reader has caught up. */
  held = 0;
  /** Whether nothing more is accepted; what was sent before is still written. */
  sealed = false;
  #pending: Frame | Frame[] | undefined = undefined;
  #pendingBytes = 0;
  /** What was sent after a Blob that is still read. */
  #behindBlob: SendQueue | undefined = undefined;
  #open = false;
  #corked = false;
  #drain: 'unwanted' | 'wanted' | 'awaited' = 'unwanted';
  #waiters: (() => void)[] | undefined = undefined;

  constructor(
    readonly owner: OutboxOwner,
    readonly format: Format,
    /** The stream that the bytes are written to. */
    public sink: Writable,
  ) {}

  /** Bytes that were sent and that the system has not accepted yet. */
  get bufferedAmount(): number {
    return this.unwritten + this.sink.writableLength;
  }

  /** Bytes that were sent and not written to the sink yet. */
  get unwritten(): number {
    return this.#behindBlob === undefined ? this.#pendingBytes : this.#pendingBytes + this.#behindBlob.bytes;
  }

  /** All bytes that wait for the reader, those that its subscriptions keep back included. */
  get waiting(): number {
    return this.bufferedAmount + this.held;
  }

  get highWaterMark(): number {
    return this.owner.context.environment.backlog.highWaterMark;
  }

  /** Whether the sender should wait for `drained()` before it sends more. */
  get needsDrain(): boolean {
    return this.bufferedAmount >= this.highWaterMark;
  }

  /** Whether a Blob is being read: what is sent now waits for it. */
  get awaitsBlob(): boolean {
    return this.#behindBlob !== undefined;
  }

  /**
   * Sends a value. False if the reader is behind, or if the connection is closing.
   * @throws TypeError for a value without a JSON form; RangeError for one of more than `limits.value` bytes.
   */
  send(value: unknown): boolean {
    if (this.sealed) return false;
    if (isBlob(value instanceof Message ? value.value : value)) return this.#sendBlob(value);
    return this.sendPayload(value instanceof Message ? this.format.payload(value) : this.format.plain(value));
  }

  /** Sends a message that is encoded, and not framed yet. @throws RangeError for one of more than `limits.value` bytes. */
  sendPayload(payload: string | Uint8Array): boolean {
    const frame = this.format.frame(payload);
    const { limits } = this.owner.context.environment;
    if (frame.length > limits.value) throw tooLarge(frame.length, limits.value);
    return this.write(frame);
  }

  #sendBlob(value: unknown): boolean {
    const { limits } = this.owner.context.environment;
    const encoded = new EncodedMessage(messageOf(value), limits.value, (error) =>
      this.owner.onSendError(error),
    );
    if (encoded.isTooLarge([])) throw encoded.failure?.error;
    return this.#sendWhenRead(encoded);
  }

  /** Sends a message that is shared with other connections. */
  deliver(encoded: EncodedMessage): void {
    if (encoded.unread) return void this.#sendWhenRead(encoded);
    const frame = encoded.frame(this.format);
    if (frame !== undefined) this.write(frame);
  }

  /** Sends a shared message unless the reader is behind. False if the message was not sent and may be sent later. */
  tryDeliver(encoded: EncodedMessage): boolean {
    if (this.sealed) return true;
    if (this.needsDrain) return !encoded.unread && encoded.payload(this.format) === undefined;
    this.deliver(encoded);
    return true;
  }

  #sendWhenRead(encoded: EncodedMessage): boolean {
    return this.inOrder({
      bytes: encoded.blobSize ?? 0,
      read: () => encoded.read(),
      run: () => this.release(encoded),
    });
  }

  /** The Blob of a message was read, and so was each one before it. */
  protected release(encoded: EncodedMessage): void {
    const frame = encoded.frame(this.format);
    if (frame !== undefined) this.#enqueue(frame);
  }

  /** Runs a step after everything that was sent before it. False if the reader is behind, or if the step is cancelled. */
  inOrder(step: SendStep): boolean {
    const buffered = this.bufferedAmount + step.bytes;
    const needsDrain = buffered >= this.highWaterMark;
    if (this.sealed || (needsDrain && !this.grow(step.bytes, buffered))) {
      step.cancel?.();
      return false;
    }
    this.#behindBlob ??= new SendQueue(() => {
      this.#behindBlob = undefined;
      if (this.#drain === 'wanted' && this.#pending === undefined) this.#awaitDrain();
    });
    this.#behindBlob.add(step);
    return !needsDrain;
  }

  /** Calls `then` when the Blobs that were sent before are on their way; cuts the connection if reading them takes too long. */
  afterBlobs(then: () => void): void {
    const { owner } = this;
    if (this.#behindBlob === undefined) then();
    else this.#behindBlob.addLast(then, owner.context.environment.timeouts.close, () => owner.terminate());
  }

  /** Writes a frame, in one write with all others of this tick. False if the reader is behind. */
  write(frame: Frame): boolean {
    if (this.sealed) return false;
    const buffered = this.bufferedAmount + frame.length;
    const needsDrain = buffered >= this.highWaterMark;
    if (needsDrain && !this.grow(frame.length, buffered)) return false;
    if (this.#behindBlob === undefined) this.#enqueue(frame);
    else this.#behindBlob.add({ bytes: frame.length, run: () => this.#enqueue(frame) });
    return !needsDrain;
  }

  /** Writes a control frame, which waits for no Blob. */
  interject(frame: Frame): void {
    if (this.#behindBlob === undefined) this.write(frame);
    else if (!this.sealed) this.#enqueue(frame);
  }

  /** Counts bytes above the high-water mark. False if they are too many: the connection is closed. */
  protected grow(bytes: number, buffered: number): boolean {
    if (this.owner.context.environment.backlog.grow(this, bytes, buffered + this.held)) return true;
    if (!this.sealed) this.owner.onOverflow();
    return false;
  }

  #enqueue(frame: Frame): void {
    if (this.#pending === undefined) {
      this.#pending = frame;
      if (this.#open && !this.#corked) flushSoon(this);
    } else if (Array.isArray(this.#pending)) {
      this.#pending.push(frame);
    } else {
      this.#pending = [this.#pending, frame];
    }
    this.#pendingBytes += frame.length;
    this.owner.context.environment.counters.messagesOut++;
  }

  /** The head is sent: from now on frames are written. */
  open(): void {
    this.#open = true;
    this.flush();
  }

  /** Delays writes until `uncork`. */
  cork(): void {
    this.#corked = true;
  }

  uncork(): void {
    this.#corked = false;
    this.flush();
  }

  flush(): void {
    const pending = this.#pending;
    if (pending === undefined || !this.#open) return;
    this.#pending = undefined;
    this.#pendingBytes = 0;
    if (!this.sink.destroyed) this.transmit(Array.isArray(pending) ? joined(pending) : pending);
    if (this.#drain === 'wanted' && this.#behindBlob === undefined) this.#awaitDrain();
  }

  protected transmit(frames: Frame | readonly Frame[]): void {
    writeFrames(this.sink, frames);
  }

  /** Drops what waits. */
  clear(): void {
    this.#pending = undefined;
    this.#pendingBytes = 0;
    this.#behindBlob?.clear();
    this.#behindBlob = undefined;
  }

  /** The connection is over: drops what waits, and resolves each `drained()`. */
  end(): void {
    this.sealed = true;
    this.clear();
    this.#resolveWaiters();
  }

  /** Resolves when the reader has caught up, or when the connection is over. Before the head is sent it resolves at once. */
  drained(): Promise<void> {
    // The head waits for the method: one that waited for the reader there would wait for itself.
    if (this.owner.closed !== undefined || !this.#open) return READY;
    this.flush();
    // While the connection closes, what is sent is dropped: a loop that sends more has to wait for the end.
    if (!this.needsDrain && !this.sealed) return READY;
    return new Promise((resolve) => {
      (this.#waiters ??= []).push(resolve);
      this.requestDrain();
    });
  }

  /** Asks for one call of `owner.onDrain` when the reader has caught up. */
  requestDrain(): void {
    if (this.#drain === 'unwanted') this.#drain = 'wanted';
    // What is written later in this tick is waited for as well.
    if (this.#pending === undefined && this.#behindBlob === undefined) this.#awaitDrain();
  }

  #awaitDrain(): void {
    if (this.#drain === 'awaited' || !this.#open) return;
    this.#drain = 'awaited';
    this.whenSent(() => {
      this.#drain = this.#behindBlob === undefined ? 'unwanted' : 'wanted';
      if (this.#drain === 'wanted') return;
      if (!this.sealed) this.#resolveWaiters();
      this.owner.onDrain();
    });
  }

  /** Calls `then` when what was written has gone. */
  protected whenSent(then: () => void): void {
    // A stream emits no event when it falls below our mark, which may be under its own: an empty write comes last in its queue.
    if (this.sink.writableNeedDrain) this.sink.once('drain', then);
    else this.sink.write('', () => then());
  }

  #resolveWaiters(): void {
    const waiters = this.#waiters;
    this.#waiters = undefined;
    if (waiters !== undefined) for (const resolve of waiters) resolve();
  }
}

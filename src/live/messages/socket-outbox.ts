import type { Duplex } from 'node:stream';
import { WebSocket } from 'ws';
import { Outbox, type OutboxOwner } from '../connections/outbox.js';
import type { EncodedMessage } from '../encoding/encoded-message.js';
import type { Format } from '../encoding/format.js';
import { tooLarge, type Frame } from '../encoding/frame.js';
import type { WsSocket } from './ws-socket.js';

/** Writes whole frames to the stream of a socket, past ws. */
export class SocketOutbox extends Outbox {
  constructor(
    owner: OutboxOwner,
    format: Format,
    readonly stream: Duplex,
    protected readonly ws: WsSocket,
  ) {
    super(owner, format, stream);
  }

  protected override transmit(frames: Frame | readonly Frame[]): void {
    if (this.ws.readyState === WebSocket.OPEN) super.transmit(frames);
  }
}

/** With permessage-deflate (RFC 7692) each socket has a compressor of its own, so ws frames each message. */
export class CompressedOutbox extends SocketOutbox {
  #whenSent: (() => void) | undefined = undefined;

  override get bufferedAmount(): number {
    return this.ws.bufferedAmount;
  }

  override sendPayload(payload: string | Uint8Array): boolean {
    if (this.sealed) return false;
    const { limits } = this.owner.context.environment;
    const bytes = Buffer.byteLength(payload);
    if (bytes > limits.value) throw tooLarge(bytes, limits.value);
    if (this.awaitsBlob) return this.inOrder({ bytes, run: () => this.#compress(payload) });
    const buffered = this.bufferedAmount + bytes;
    if (buffered >= this.highWaterMark && !this.grow(bytes, buffered)) return false;
    this.#compress(payload);
    return !this.needsDrain;
  }

  override deliver(encoded: EncodedMessage): void {
    if (encoded.unread) return super.deliver(encoded);
    const payload = encoded.payload(this.format);
    if (payload !== undefined) this.sendPayload(payload);
  }

  protected override release(encoded: EncodedMessage): void {
    const payload = encoded.payload(this.format);
    if (payload !== undefined) this.#compress(payload);
  }

  #compress(payload: string | Uint8Array): void {
    this.owner.context.environment.counters.messagesOut++;
    this.ws.sendNow(payload, { compress: true }, () => this.#onSent());
  }

  /** What is being compressed is in no stream yet: only the callback of ws shows that the reader has caught up. */
  protected override whenSent(then: () => void): void {
    if (this.bufferedAmount > 0) this.#whenSent = then;
    else super.whenSent(then);
  }

  #onSent(): void {
    const then = this.#whenSent;
    if (then === undefined || this.needsDrain) return;
    this.#whenSent = undefined;
    then();
  }
}

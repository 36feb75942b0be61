import type { Writable } from 'node:stream';
import type { Context } from '../../core/exchange/context.js';
import { Connection } from './connection.js';
import { eventStream } from '../encoding/format.js';

/**
 * A streamed response, which stays open as an event stream does: it is counted, found and ended as one. Its body is its
 * source's alone, so nothing else is ever sent on it.
 */
export class StreamedResponse extends Connection {
  constructor(context: Context) {
    super(context, eventStream);
    context.response.once('close', () => this.finish({ code: 1000, reason: '' }));
  }

  get kind(): 'http' {
    return 'http';
  }

  protected override get over(): boolean {
    return true;
  }

  /** Cuts the response: a half is not to pass for a whole. */
  close(code = 1000, reason = ''): void {
    if (this.closed !== undefined) return;
    this.finish({ code, reason });
    this.terminate();
  }

  /** Nothing can be asked of the reader of a body. */
  override beat(): boolean {
    return true;
  }

  terminate(): void {
    this.context.response.destroy();
  }

  protected override get sink(): Writable {
    return this.context.response;
  }

  protected override overflow(): void {
    // Nothing waits here.
  }

  protected override transmit(): void {
    // Nothing is sent.
  }
}

import type { Context } from '../../core/exchange/context.js';
import { eventStream } from '../encoding/format.js';
import { Connection } from './connection.js';
import { Outbox } from './outbox.js';

/**
 * A streamed response, which stays open as an event stream does: it is counted, found and ended as one. Its source alone
 * writes its body, so its outbox accepts nothing.
 */
export class StreamedResponse extends Connection {
  readonly outbox: Outbox;

  constructor(context: Context) {
    super(context);
    this.outbox = new Outbox(this, eventStream, context.response);
    this.outbox.sealed = true;
    context.response.once('close', () => this.finish({ code: 1000, reason: '' }));
  }

  get kind(): 'http' {
    return 'http';
  }

  /** Cuts the response: half of a body must not pass for all of it. */
  close(code = 1000, reason = ''): void {
    if (this.closed !== undefined) return;
    this.finish({ code, reason });
    this.terminate();
  }

  /** The reader of a body cannot be asked for a sign of life. */
  override beat(): boolean {
    return true;
  }

  override terminate(): void {
    this.context.response.destroy();
  }

  override onOverflow(): void {
    this.terminate();
  }
}

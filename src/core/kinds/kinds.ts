import type { IncomingMessage } from 'node:http';
import type { Context, Kind } from '../exchange/context.js';
import type { Outcome } from '../exchange/outcome.js';
import { sendResponse } from './http.js';
import { decodeLastEventId, openStream } from './sse.js';

/** How the kinds differ on their common way from the request to the head of the response. */
export interface KindRules {
  /** Sends the head by what the chain of the route came to. For a socket that may open, the upgrader does. */
  readonly sendHead: (ctx: Context, outcome: Outcome) => void | Promise<void>;
  /** Prepares the request, before any middleware sees it. */
  readonly prepare?: (request: IncomingMessage) => void;
  /** Whether it opens a connection, so that `stats()` counts it as refused if it fails. */
  readonly connects: boolean;
}

export const kinds: Readonly<Record<Kind, KindRules>> = {
  http: { sendHead: sendResponse, connects: false },
  sse: { sendHead: openStream, prepare: decodeLastEventId, connects: true },
  websocket: { sendHead: sendResponse, connects: true },
};

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Context } from '../exchange/context.js';
import { copyFacts } from '../node/request.js';
import { SENT } from '../node/upgrade-response.js';
import { extendRequest, isExtended } from './request.js';
import { responses, type ExpressResponse } from './response.js';

/** Copies to the request of an open socket what middleware has set on that of its handshake. */
export function carryFacts(ctx: Context, head: IncomingMessage): IncomingMessage {
  const { request } = ctx;
  copyFacts(request, head);
  if (isExtended(request, ctx)) extendRequest(head, ctx);
  return head;
}

/** The response of an open socket: one for all sockets, unless Express middleware has set `res.locals`. */
export function sentResponse(ctx: Context, response: ServerResponse | undefined): ServerResponse {
  if (response === undefined || !Object.hasOwn(response, 'locals')) return SENT;
  const sent = Object.create(SENT) as ExpressResponse;
  responses.apply(sent, ctx);
  sent.locals = (response as ExpressResponse).locals;
  return sent;
}

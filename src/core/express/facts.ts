import { IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Context } from '../exchange/context.js';
import { SENT } from '../node/upgrade-response.js';
import { EXCHANGE } from './extend.js';
import { extendRequest, isExtended } from './request.js';
import { responses, type ExpressResponse } from './response.js';

/** What a request has of its own before any middleware, and what is only of use before the head. */
const OWN: ReadonlySet<string | symbol> = new Set([
  ...Reflect.ownKeys(new IncomingMessage(undefined as unknown as Socket)),
  EXCHANGE,
  'next',
  'res',
  'session',
  'user',
]);

/** Gives the request of an open socket what middleware has put on that of its handshake. */
export function carryFacts(ctx: Context, head: IncomingMessage): IncomingMessage {
  const { request } = ctx;
  // Some define what they find so that it is not listed: celebrate its query, request-ip its address.
  for (const name of Reflect.ownKeys(request)) {
    if (OWN.has(name)) continue;
    Object.defineProperty(head, name, Object.getOwnPropertyDescriptor(request, name) as PropertyDescriptor);
  }
  if (isExtended(request, ctx)) extendRequest(head, ctx);
  return head;
}

/** The response of an open socket: one for all, unless Express middleware has put something on `res.locals`. */
export function sentResponse(ctx: Context, response: ServerResponse | undefined): ServerResponse {
  if (response === undefined || !Object.hasOwn(response, 'locals')) return SENT;
  const sent = Object.create(SENT) as ExpressResponse;
  responses.apply(sent, ctx);
  sent.locals = (response as ExpressResponse).locals;
  return sent;
}

import { Channel } from '../../live/broadcast/channel.js';
import { isResponse as isCallResponse } from '../../live/messages/client-calls.js';
import { tooLarge } from '../../live/encoding/frame.js';
import { json, Message } from '../../live/encoding/message.js';
import type { RawMessage } from '../../live/messages/message-queue.js';
import type { Socket } from '../../live/messages/socket.js';
import type { Step } from '../routing/middleware.js';
import { CallContext } from './call-context.js';
import type { Context } from '../exchange/context.js';
import type { Outcome } from '../exchange/outcome.js';
import { InvalidInput } from '../input/convert.js';
import { HttpError, safeInstanceof, problem } from '../base/errors.js';
import { isResponse } from './forwarded.js';
import { parseJson } from '../input/json.js';
import { known, whenShown } from '../exchange/shown-error.js';
import { isThenable } from '../base/promises.js';
import { callTracing, traced } from '../exchange/tracing.js';

/** One method that calls may name. */
export interface Procedure {
  readonly name: string;
  readonly chain: Step;
  readonly concurrent: boolean;
}

type Id = string | number | null;

interface Answer {
  jsonrpc: '2.0';
  id: Id;
  result?: unknown;
  error?: { code: number; message: string; data?: unknown };
}

const PARSE_ERROR = -32700;
const INVALID_REQUEST = -32600;
const METHOD_NOT_FOUND = -32601;
const INVALID_PARAMS = -32602;
const INTERNAL_ERROR = -32603;
const SERVER_ERROR = -32000;

/** What the header of a frame adds to a message, at the most. */
const FRAME = 10;

const MAX_BATCH = 100;
/** Calls of one socket that may overlap; with more of them the next message waits. */
const MAX_CONCURRENT = 32;

/** The `@Rpc` methods of a class, called by JSON-RPC 2.0 messages on its sockets. */
export class Calls {
  readonly #running = new WeakMap<Socket, number>();

  constructor(readonly procedures: ReadonlyMap<string, Procedure>) {}

  /** Answers a message that can only be a call; what it gives is awaited before the next message is handled. */
  answer(socket: Socket, message: RawMessage): unknown {
    if (typeof message !== 'string') return socket.close(1003, 'calls are text');
    let request: unknown;
    try {
      request = parseJson(message);
    } catch (error) {
      return this.#send(socket, refusal(socket, null, PARSE_ERROR, 'Parse error', error as HttpError));
    }
    return this.answerParsed(socket, request);
  }

  /** Answers a call, or a batch of them, that has been parsed. */
  answerParsed(socket: Socket, request: unknown): unknown {
    if (Array.isArray(request)) return this.#batch(socket, request);
    return settled(this.#call(socket, request), (answer) => this.#send(socket, answer));
  }

  /** A batch is answered at once, when all of its calls are done; they run one after the other. */
  async #batch(socket: Socket, requests: unknown[]): Promise<void> {
    if (requests.length === 0 || requests.length > MAX_BATCH) {
      const message = `A batch has 1 to ${MAX_BATCH} calls`;
      return this.#send(socket, refusal(socket, null, INVALID_REQUEST, message, new HttpError(400, message)));
    }
    if (socket.exceeds(requests.length - 1)) return;
    const { value: most } = socket.context.environment.limits;
    let answers: string[] = [];
    let size = 0;
    const ids: Id[] = [];
    for (const request of requests) {
      const answer = await this.#call(socket, request, true);
      if (answer === undefined) continue;
      ids.push(answer.id);
      // Too large together to be sent: none of them is kept, and the calls that are left still run.
      if (size > most) continue;
      const text = this.#text(socket, answer);
      size += text.length;
      if (size > most) answers = [];
      else answers.push(text);
    }
    if (ids.length === 0) return;
    try {
      if (size > most) throw tooLarge(size, most);
      socket.answer(fitting(socket, `[${answers.join()}]`));
    } catch (error) {
      // Each of them waits for an answer of its own.
      void socket.context.environment.report(error, socket.context);
      socket.answer(json(ids.map((id) => internalError(socket.context, id))));
    }
  }

  /** Runs one call. Undefined for a notification, and for a call that answers later, when others overlap it. */
  #call(socket: Socket, request: unknown, inBatch = false): Answer | undefined | Promise<Answer | undefined> {
    if (!isRequest(request)) {
      // Never answered, or two sides could answer one another for ever.
      if (isCallResponse(request)) {
        socket.settle(request);
        return undefined;
      }
      return refusal(socket, idOf(request), INVALID_REQUEST, 'Invalid Request', new HttpError(400));
    }
    const { method, params, id } = request;
    const reply = (answer: Answer): Answer | undefined => (id === undefined ? undefined : answer);
    const procedure = this.procedures.get(method);
    if (procedure === undefined) {
      const message = 'Method not found';
      return reply(refusal(socket, id ?? null, METHOD_NOT_FOUND, message, new HttpError(404)));
    }
    const ctx = new CallContext(socket.context, params);
    const succeed = (outcome: Outcome): Answer | undefined | Promise<Answer | undefined> => {
      let result: unknown;
      try {
        result = resultOf(ctx, socket, procedure, valueOf(ctx, outcome, procedure));
      } catch (error) {
        return fail(error);
      }
      ctx.end();
      return reply({ jsonrpc: '2.0', id: id ?? null, result });
    };
    const fail = (error: unknown): Answer | undefined | Promise<Answer | undefined> => {
      ctx.end();
      const answer = errorAnswer(ctx, id ?? null, error);
      return isThenable(answer) ? (answer as Promise<Answer>).then(reply) : reply(answer as Answer);
    };
    try {
      const outcome = callTracing.hasSubscribers
        ? traced(callTracing, ctx, procedure.name, () => procedure.chain(ctx))
        : procedure.chain(ctx);
      if (!isThenable(outcome)) return succeed(outcome);
      const answer = Promise.resolve(outcome as Promise<Outcome>).then(succeed, fail);
      return procedure.concurrent && !inBatch ? this.#overlap(socket, answer) : answer;
    } catch (error) {
      return fail(error);
    }
  }

  /** Lets the next message go on while this call runs; its answer follows when it is there. */
  #overlap(socket: Socket, answer: Promise<Answer | undefined>): undefined | Promise<undefined> {
    const running = (this.#running.get(socket) ?? 0) + 1;
    this.#running.set(socket, running);
    const done = answer.then((value) => {
      this.#running.set(socket, (this.#running.get(socket) ?? 1) - 1);
      this.#send(socket, value);
      return undefined;
    });
    return running < MAX_CONCURRENT ? undefined : done;
  }

  #send(socket: Socket, answer: Answer | undefined): void {
    if (answer !== undefined) socket.answer(this.#text(socket, answer));
  }

  /** The JSON of an answer; of an error, where its result has none or is too large to be sent. */
  #text(socket: Socket, answer: Answer): string {
    try {
      return fitting(socket, json(answer));
    } catch (error) {
      // That a value has no JSON form is nobody's to map.
      void socket.context.environment.report(error, socket.context);
      return json(internalError(socket.context, answer.id));
    }
  }
}

/** @throws RangeError for text that is too large to be sent. */
function fitting(socket: Socket, text: string): string {
  const { value } = socket.context.environment.limits;
  if (text.length * 3 + FRAME <= value) return text;
  const bytes = Buffer.byteLength(text) + FRAME;
  if (bytes > value) throw tooLarge(bytes, value);
  return text;
}

function errorAnswer(ctx: Context, id: Id, error: unknown): Answer | Promise<Answer> {
  return whenShown(ctx.environment.report(error, ctx), (shown) => {
    const data = problem(shown, ctx.id);
    if (safeInstanceof(InvalidInput, error)) return failure(id, INVALID_PARAMS, shown.message, data);
    // An error that nobody knows is no status 500 that was meant.
    if (known(error) === undefined && shown.status === 500) return internalError(ctx, id);
    return failure(id, SERVER_ERROR, shown.message, data);
  });
}

function internalError(ctx: Context, id: Id): Answer {
  return failure(id, INTERNAL_ERROR, 'Internal error', problem(new HttpError(500), ctx.id));
}

/**
 * The return value of the method, or the value that middleware sent instead, by `ctx.send()` or by Node's response.
 * @throws HttpError if middleware refused the call; Error if it sent nothing
 */
function valueOf(
  { answer, explicitStatus, response }: CallContext,
  outcome: Outcome,
  { name }: Procedure,
): unknown {
  if (outcome.type === 'answered') return outcome.value;
  if (answer === undefined && response.writableEnded) return response.result();
  if (explicitStatus >= 300) throw errorOf(explicitStatus, answer?.value);
  if (explicitStatus === 0 && answer === undefined && outcome.type === 'refused')
    throw new Error(`${outcome.why} ${name}`);
  return answer?.value;
}

/** The error that middleware has sent: a text is its detail, and an object adds its members to the problem. */
function errorOf(status: number, sent: unknown): HttpError {
  // A call cannot follow a redirect, such as one to a page for signing in.
  if (status < 400) return new HttpError(403, 'The call was redirected');
  if (typeof sent === 'string') return new HttpError(status, sent);
  return new HttpError(status, undefined, { extensions: { ...(sent as object | undefined) } });
}

/**
 * The result of a call, made of the value that its method returned or its middleware sent. A returned channel is subscribed,
 * as on every socket.
 * @throws TypeError for a value without a JSON form, and for several values
 */
function resultOf(ctx: Context, socket: Socket, { name }: Procedure, answer: unknown): unknown {
  if (typeof answer === 'function' || typeof answer === 'symbol')
    throw new TypeError(`${name} has returned a ${typeof answer}, which has no JSON form`);
  if (typeof answer !== 'object' || answer === null) return answer ?? null;
  if (answer instanceof Message) return answer.value ?? null;
  if (answer instanceof Channel) {
    answer.subscribe(socket);
    return null;
  }
  if (isResponse(answer))
    throw new TypeError(`${name} has returned a Response: the result of a call is a value`);
  const { [Symbol.asyncIterator]: iterate } = answer as Partial<AsyncIterable<unknown>>;
  if (typeof iterate !== 'function') return answer;
  // Nobody reads it, and it may hold something since it was made.
  ctx.environment.pending((async () => (iterate.call(answer) as AsyncIterator<unknown>).return?.())());
  throw new TypeError(
    `${name} has returned an iterable: a call has one result. Return a list, or send its values`,
  );
}

/** Answers what never becomes a call: its problem is the connection's. */
function refusal({ context }: Socket, id: Id, code: number, message: string, error: HttpError): Answer {
  return failure(id, code, message, problem(error, context.id));
}

function failure(id: Id, code: number, message: string, data: unknown): Answer {
  return { jsonrpc: '2.0', error: { code, message, data }, id };
}

/**
 * The value of a text that is a call, a response or a batch of them (JSON-RPC 2.0, sections 4 to 6), on a socket that
 * takes other messages too. Undefined for everything else.
 */
export function parseCall(message: RawMessage): unknown {
  // Most messages are neither: only what may have the member is parsed. Its name may be written with escapes.
  if (typeof message !== 'string' || !(message.includes('"jsonrpc"') || message.includes('\\u')))
    return undefined;
  let value: unknown;
  try {
    value = parseJson(message);
  } catch {
    // The socket's own method takes texts of all forms.
    return undefined;
  }
  const isCall = (one: unknown): boolean => isCallResponse(one) || hasMethod(one);
  return (Array.isArray(value) ? value.some(isCall) : isCall(value)) ? value : undefined;
}

function hasMethod(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { jsonrpc, method } = value as { jsonrpc?: unknown; method?: unknown };
  return jsonrpc === '2.0' && typeof method === 'string';
}

function isRequest(value: unknown): value is { method: string; params?: unknown; id?: Id } {
  if (typeof value !== 'object' || value === null) return false;
  const { jsonrpc, method, params, id } = value as Record<string, unknown>;
  if (jsonrpc !== '2.0' || typeof method !== 'string') return false;
  if (params !== undefined && (typeof params !== 'object' || params === null)) return false;
  return id === undefined || isId(id);
}

function isId(id: unknown): id is Id {
  return id === null || typeof id === 'string' || (typeof id === 'number' && Number.isFinite(id));
}

function idOf(request: unknown): Id {
  const id = typeof request === 'object' && request !== null ? (request as { id?: unknown }).id : undefined;
  return isId(id) ? id : null;
}

function settled<T>(value: T | Promise<T>, then: (value: T) => void): unknown {
  return isThenable(value) ? (value as Promise<T>).then(then) : then(value);
}

import type { ServerResponse } from 'node:http';

/**
 * Takes the contradictions from the head of a response, whoever has set them: beside a Content-Length there is no
 * Transfer-Encoding (RFC 9112, section 6.2), and neither where there is no body (RFC 9110, section 8.6). A
 * Transfer-Encoding ends with `chunked`, or nobody would know where the body ends, and is for HTTP/1.1 alone. Trailers
 * come behind chunks only. Gives the arguments of `writeHead` as they are to be.
 */
export function withoutConflict(response: ServerResponse, args: unknown[]): unknown[] {
  const coding = fieldOf(response, args, TRANSFER_ENCODING);
  const length = fieldOf(response, args, CONTENT_LENGTH);
  const trailer = fieldOf(response, args, TRAILER);
  if (coding === undefined && length === undefined && trailer === undefined) return args;
  const status = args[0] as number;
  const { method, httpVersionMinor } = response.req;
  const none = status < 200 || status === 204 || status === 304;
  const canChunk = !none && httpVersionMinor > 0;
  // A coding on top of `chunked` belongs to the bytes.
  const isCoded = coding !== undefined && canChunk && CODED.test(coding);
  const isCounted =
    length !== undefined && DIGITS.test(length) && !isCoded && status >= 200 && status !== 204;
  let kept = args;
  if (coding !== undefined && !isCoded) {
    kept = without(response, kept, TRANSFER_ENCODING);
    // Node takes the removal of the field for the wish to send no chunks.
    if (canChunk && !isCounted) response.setHeader(TRANSFER_ENCODING, 'chunked');
  }
  if (length !== undefined && !isCounted) kept = without(response, kept, CONTENT_LENGTH);
  if (trailer !== undefined && (isCounted || !canChunk || method === 'HEAD'))
    kept = without(response, kept, TRAILER);
  return kept;
}

/** The length of the body by its head; undefined where the head says none, or there is no body. */
export function declaredLength(response: ServerResponse, args: unknown[]): number | undefined {
  const length = fieldOf(response, args, CONTENT_LENGTH);
  if (length === undefined || response.req.method === 'HEAD' || args[0] === 304) return undefined;
  return Number(length);
}

/** Fields of one connection and not of the message (RFC 9110, section 7.6.1), those that `Connection` names included. */
export function hopByHop(connection: string | null | undefined): ReadonlySet<string> {
  if (connection === null || connection === undefined) return HOP_BY_HOP;
  const named = connection.split(',').map((name) => name.trim().toLowerCase());
  return new Set([...HOP_BY_HOP, ...named]);
}

const TRANSFER_ENCODING = 'transfer-encoding';
const CONTENT_LENGTH = 'content-length';
const TRAILER = 'trailer';
/** Codings of which the last, and no other, is `chunked`. */
const CODED = /^(?:(?!chunked\b)[!#$%&'*+.^`|~\w-]+[\t ]*,[\t ]*)+chunked$/i;
const DIGITS = /^\d{1,15}$/;

const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** A field of the head: what `writeHead` is given wins over what was set. One that is given twice is both, in one list. */
function fieldOf(response: ServerResponse, args: unknown[], name: string): string | undefined {
  const value = givenIn(args[placeOfFields(args)], name) ?? response.getHeader(name);
  return value === undefined || value === null
    ? undefined
    : [value as string | string[]].flat(Infinity).join(', ');
}

/** Which argument of `writeHead` has the fields, as Node decides: the last that is given, with or without a phrase. */
function placeOfFields([, reason, fields]: unknown[]): 1 | 2 {
  return typeof reason === 'string' || (fields !== undefined && fields !== null) ? 2 : 1;
}

/** What an argument of `writeHead` gives of a field: a record, a list of pairs, or names and values by turns. */
function givenIn(fields: unknown, name: string): unknown {
  if (typeof fields !== 'object' || fields === null) return undefined;
  let given: unknown;
  const add = (value: unknown): void => {
    given = given === undefined ? value : [given, value];
  };
  if (!Array.isArray(fields)) {
    for (const key in fields) {
      if (key.length === name.length && key.toLowerCase() === name)
        add((fields as Record<string, unknown>)[key]);
    }
    return given;
  }
  for (let i = 0; i < fields.length; i++) {
    const entry: unknown = fields[i];
    if (Array.isArray(entry)) {
      if (String(entry[0]).toLowerCase() === name) add(entry[1]);
    } else if (i % 2 === 0 && String(entry).toLowerCase() === name) add(fields[i + 1]);
  }
  return given;
}

/** Takes a field from the head, wherever it was given. */
function without(response: ServerResponse, args: unknown[], name: string): unknown[] {
  response.removeHeader(name);
  const place = placeOfFields(args);
  const fields = args[place];
  return typeof fields === 'object' && fields !== null ? args.with(place, rest(fields, name)) : args;
}

function rest(fields: object, name: string): object {
  const isOther = (key: unknown): boolean => String(key).toLowerCase() !== name;
  if (!Array.isArray(fields))
    return Object.fromEntries(Object.entries(fields).filter(([key]) => isOther(key)));
  if (Array.isArray(fields[0])) return (fields as unknown[][]).filter(([key]) => isOther(key));
  return (fields as unknown[]).filter((_, i) => isOther(fields[i - (i % 2)]));
}

import type { ServerResponse } from 'node:http';

/**
 * Takes the contradictions from the head of a response, whoever has set them: beside a Content-Length there is no
 * Transfer-Encoding (RFC 9112, section 6.2), and neither where there is no body (RFC 9110, section 8.6).
 * Gives the arguments of `writeHead` as they are to be.
 */
export function withoutConflict(response: ServerResponse, args: unknown[]): unknown[] {
  const coding = fieldOf(response, args, TRANSFER_ENCODING);
  const length = fieldOf(response, args, CONTENT_LENGTH);
  if (coding === undefined && length === undefined) return args;
  const [status] = args as [number];
  const none = status === 204 || status === 304;
  let kept = args;
  // A coding on top of `chunked` belongs to the bytes. That they are chunked Node decides for itself.
  const wanted = coding !== undefined && length !== undefined && !/^chunked$/i.test(coding.trim());
  if (coding !== undefined && (none || (length !== undefined && !wanted)))
    kept = without(response, kept, TRANSFER_ENCODING);
  if (length !== undefined && (status === 204 || wanted || !DIGITS.test(length)))
    kept = without(response, kept, CONTENT_LENGTH);
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

/** A field of the head: what `writeHead` is given wins over what was set. */
function fieldOf(response: ServerResponse, args: unknown[], name: string): string | undefined {
  const value = valueOf(response, args, name);
  return value === undefined || value === null ? undefined : [value as string | string[]].flat().join(', ');
}

function valueOf(response: ServerResponse, args: unknown[], name: string): unknown {
  const fields = args.at(-1);
  if (typeof fields === 'object' && fields !== null) {
    if (Array.isArray(fields)) {
      for (let i = 0; i < fields.length; i++) {
        const entry: unknown = fields[i];
        if (Array.isArray(entry)) {
          if (String(entry[0]).toLowerCase() === name) return entry[1];
        } else if (i % 2 === 0 && String(entry).toLowerCase() === name) return fields[i + 1];
      }
    } else {
      for (const key in fields) {
        if (key.length === name.length && key.toLowerCase() === name)
          return (fields as Record<string, unknown>)[key];
      }
    }
  }
  return response.getHeader(name);
}

/** Takes a field from the head, wherever it was given. */
function without(response: ServerResponse, args: unknown[], name: string): unknown[] {
  response.removeHeader(name);
  const fields = args.at(-1);
  if (typeof fields !== 'object' || fields === null) return args;
  return [...args.slice(0, -1), rest(fields, name)];
}

function rest(fields: object, name: string): object {
  const isOther = (key: unknown): boolean => String(key).toLowerCase() !== name;
  if (!Array.isArray(fields))
    return Object.fromEntries(Object.entries(fields).filter(([key]) => isOther(key)));
  if (Array.isArray(fields[0])) return (fields as unknown[][]).filter(([key]) => isOther(key));
  return (fields as unknown[]).filter((_, i) => isOther(fields[i - (i % 2)]));
}

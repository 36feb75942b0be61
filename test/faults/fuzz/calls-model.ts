import { readJson } from './json-model.js';
import { Sum } from './target.js';

/** An answer in short: the id, and the result or the code of the error, as JSON. */
export type Brief = string;

/**
 * What the procedures of the target answer to a message, by JSON-RPC 2.0: one answer, those of a batch as one list,
 * or undefined where none is due.
 */
export function answerTo(message: Buffer): Brief | undefined {
  const read = readJson(message);
  if (read === undefined) return brief(null, { code: -32700 });
  const { value } = read;
  if (!Array.isArray(value)) return call(value);
  if (value.length === 0 || value.length > 100) return brief(null, { code: -32600 });
  const answers = value.map(call).filter((answer) => answer !== undefined);
  return answers.length === 0 ? undefined : `[${answers.join()}]`;
}

/** What has been answered, in the same short form. */
export function briefly(answer: unknown): Brief {
  if (Array.isArray(answer)) return `[${answer.map(briefly).join()}]`;
  const { jsonrpc, id, error, ...rest } = answer as Record<string, unknown>;
  if (jsonrpc !== '2.0' || 'result' in rest === (error !== undefined))
    return `no answer: ${JSON.stringify(answer)}`;
  return brief(
    id,
    error === undefined ? { result: rest['result'] } : { code: (error as { code: unknown }).code },
  );
}

function call(request: unknown): Brief | undefined {
  const { jsonrpc, id, method, params } = (
    typeof request === 'object' && request !== null ? request : {}
  ) as Record<string, unknown>;
  const known = id === null || typeof id === 'string' || (typeof id === 'number' && Number.isFinite(id));
  const wrong =
    jsonrpc !== '2.0' ||
    typeof method !== 'string' ||
    !(id === undefined || known) ||
    !(params === undefined || (typeof params === 'object' && params !== null));
  if (wrong) return brief(known ? id : null, { code: -32600 });
  return id === undefined ? undefined : brief(id, run(method, params));
}

function run(method: string, params: unknown): { result: unknown } | { code: number } {
  switch (method) {
    case 'sum': {
      const sum = Sum.safeParse(params);
      return sum.success ? { result: sum.data.a + sum.data.b } : { code: -32602 };
    }
    case 'echo':
    case 'later':
      return { result: params ?? null };
    case 'refuse':
      return { code: -32000 };
    default:
      return { code: -32601 };
  }
}

function brief(id: unknown, outcome: { result: unknown } | { code: unknown }): Brief {
  return JSON.stringify({ id, ...outcome });
}

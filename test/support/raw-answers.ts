import { expect } from 'chai';
import type { Problem } from 'coequal';
import type { TestServer } from 'coequal/testing';
import { RawClient } from './raw-client.js';

/** One of the answers that a connection has brought. */
export interface WireAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly body: string;
}

/** The value of a field that may come once. @throws AssertionError if it comes twice. */
export function field({ fields }: WireAnswer, name: string): string | undefined {
  const values = fields.filter(([one]) => one === name).map(([, value]) => value);
  expect(values.length, `the ${name} fields`).to.be.lessThan(2);
  return values[0];
}

/** Sends bytes, and gives all answers to them once the server has closed the connection. */
export async function converse(server: TestServer, ...sent: (string | Uint8Array)[]): Promise<WireAnswer[]> {
  const client = await RawClient.connect(await server.url());
  for (const part of sent) client.write(typeof part === 'string' ? Buffer.from(part, 'latin1') : part);
  await client.closed();
  return answersIn(client.received);
}

/** Sends bytes that are to be refused: by one answer, with its problem document, and the connection's end. */
export async function refusalOf(server: TestServer, ...sent: (string | Uint8Array)[]): Promise<Problem> {
  const answers = await converse(server, ...sent);
  expect(answers.map(({ status }) => status)).to.have.lengthOf(1);
  return problemOf(answers[0]);
}

/** The problem document of an answer after which the connection closes. @throws AssertionError for any other. */
export function problemOf(answer: WireAnswer | undefined): Problem {
  if (answer === undefined) throw new Error('there is no such answer');
  expect(field(answer, 'content-type'), answer.body).to.equal('application/problem+json');
  expect(field(answer, 'connection')).to.equal('close');
  const problem = JSON.parse(answer.body) as Problem;
  expect(problem.status).to.equal(answer.status);
  return problem;
}

/** Parses what a connection has brought, strictly: nothing may stand between answers. HEAD is not for this. */
export function answersIn(received: Buffer): WireAnswer[] {
  const answers: WireAnswer[] = [];
  let rest = received.toString('latin1');
  while (rest !== '') {
    const end = rest.indexOf('\r\n\r\n');
    const [line = '', ...lines] = rest.slice(0, end).split('\r\n');
    const status = /^HTTP\/1\.1 (\d{3}) /.exec(line)?.[1];
    if (end === -1 || status === undefined) throw new Error(`no answer begins with ${JSON.stringify(rest)}`);
    const fields = lines.map((one) => {
      const [, name = '', value = ''] = /^([!#$%&'*+.^`|~\w-]+): ?(.*)$/.exec(one) ?? [];
      return [name.toLowerCase(), value] as const;
    });
    const answer = { status: Number(status), fields, body: '' };
    const [body, length] = bodyOf(answer, rest.slice(end + 4));
    answers.push({ ...answer, body });
    rest = rest.slice(end + 4 + length);
  }
  return answers;
}

/** The body at the start of `text`, and how many bytes it takes there (RFC 9112, section 6.3). */
function bodyOf(answer: WireAnswer, text: string): [body: string, length: number] {
  if (answer.status < 200 || answer.status === 204 || answer.status === 304) return ['', 0];
  if (field(answer, 'transfer-encoding') === 'chunked') return chunksOf(text);
  const length = Number(field(answer, 'content-length') ?? text.length);
  if (length > text.length) throw new Error(`the body ends after ${text.length} of ${length} bytes`);
  return [text.slice(0, length), length];
}

function chunksOf(text: string): [body: string, length: number] {
  let body = '';
  for (let at = 0; ;) {
    const line = text.indexOf('\r\n', at);
    const size = /^[\da-f]+$/.test(text.slice(at, line)) ? parseInt(text.slice(at, line), 16) : NaN;
    if (line === -1 || Number.isNaN(size)) throw new Error('the last chunk is missing');
    at = line + 2 + size + 2;
    if (size === 0) return [body, at];
    body += text.slice(line + 2, at - 2);
  }
}

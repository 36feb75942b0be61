import type { Problem } from '../core/base/errors.js';

/** The response that the server sent instead of opening a stream or a socket. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly headers: Headers,
    /** The body of the response, as text. */
    readonly body: string,
    what: string,
  ) {
    super(`${what} was refused with ${status}: ${body || 'no body'}`);
    this.name = 'Refused';
  }

  /** The parsed problem document. @throws SyntaxError if the body is not JSON */
  get problem(): Problem {
    return JSON.parse(this.body) as Problem;
  }
}

import type { Problem } from '../core/errors.js';

/** A stream or socket that was not opened: the answer that it was given instead. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly headers: Headers,
    /** The body of the answer, as text. */
    readonly body: string,
    what: string,
  ) {
    super(`${what} was refused with ${status}: ${body || 'no body'}`);
    this.name = 'Refused';
  }

  /** The problem document of the answer. @throws SyntaxError if it is none. */
  get problem(): Problem {
    return JSON.parse(this.body) as Problem;
  }
}

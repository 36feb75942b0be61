import { parse } from 'fast-querystring';
import { HttpError } from '../base/errors.js';

/** Parameters of a query by name, in a record that inherits nothing; those that come more than once are lists. */
export type Query = Record<string, string | string[] | undefined>;

/** The parameters of a query. @throws HttpError 400 above the limit, and for a fragment. */
export function readQuery(search: string, limit: number): Query {
  // A target has no fragment (RFC 9112, section 3.2): others would cut it off.
  if (search.includes('#'))
    throw new HttpError(400, 'The query of the request is malformed', { code: 'MALFORMED_REQUEST' });
  let separators = 0;
  for (let i = search.indexOf('&'); i !== -1; i = search.indexOf('&', i + 1)) separators++;
  if (separators >= limit)
    throw new HttpError(400, 'The query has too many parameters', { code: 'INPUT_TOO_COMPLEX' });
  return parse(search) as Query;
}

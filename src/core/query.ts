import { parse, type ParsedUrlQuery } from 'node:querystring';
import { HttpError } from './errors.js';

/** The parameters of a query, in a record without a prototype. @throws HttpError 400 above the limit. */
export function readQuery(search: string, limit: number): ParsedUrlQuery {
  let separators = 0;
  for (let i = search.indexOf('&'); i !== -1; i = search.indexOf('&', i + 1)) separators++;
  if (separators >= limit) throw new HttpError(400, 'The query has too many parameters');
  return parse(search, '&', '=', { maxKeys: 0 });
}

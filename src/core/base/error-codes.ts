/** The code of an error that names none, by its status. Node's names of statuses change from version to version. */
export const STATUS_ERROR_CODES: Readonly<Record<number, string>> = {
  400: 'BAD_REQUEST',
  401: 'UNAUTHORIZED',
  402: 'PAYMENT_REQUIRED',
  403: 'FORBIDDEN',
  404: 'NOT_FOUND',
  405: 'METHOD_NOT_ALLOWED',
  406: 'NOT_ACCEPTABLE',
  408: 'REQUEST_TIMEOUT',
  409: 'CONFLICT',
  410: 'GONE',
  411: 'LENGTH_REQUIRED',
  412: 'PRECONDITION_FAILED',
  413: 'CONTENT_TOO_LARGE',
  414: 'URI_TOO_LONG',
  415: 'UNSUPPORTED_MEDIA_TYPE',
  416: 'RANGE_NOT_SATISFIABLE',
  417: 'EXPECTATION_FAILED',
  421: 'MISDIRECTED_REQUEST',
  422: 'UNPROCESSABLE_CONTENT',
  423: 'LOCKED',
  424: 'FAILED_DEPENDENCY',
  425: 'TOO_EARLY',
  426: 'UPGRADE_REQUIRED',
  428: 'PRECONDITION_REQUIRED',
  429: 'TOO_MANY_REQUESTS',
  431: 'HEADER_FIELDS_TOO_LARGE',
  451: 'UNAVAILABLE_FOR_LEGAL_REASONS',
  500: 'INTERNAL_SERVER_ERROR',
  501: 'NOT_IMPLEMENTED',
  502: 'BAD_GATEWAY',
  503: 'SERVICE_UNAVAILABLE',
  504: 'GATEWAY_TIMEOUT',
  505: 'HTTP_VERSION_NOT_SUPPORTED',
  507: 'INSUFFICIENT_STORAGE',
};

/** Codes of responses for which the status alone says too little. docs/errors.md lists them. */
export const HTTP_ERROR_CODES = [
  'CHANNEL_FORBIDDEN',
  'CHANNEL_REVOKED',
  'CONNECTION_ENDED',
  'HANDLER_TIMEOUT',
  'INPUT_TOO_COMPLEX',
  'INVALID_INPUT',
  'MALFORMED_BODY',
  'MALFORMED_MESSAGE',
  'MALFORMED_REQUEST',
  'ORIGIN_FORBIDDEN',
  'SESSION_ENDED',
  'SHUTTING_DOWN',
  'TOO_MANY_CONNECTIONS',
  'USER_CHANGED',
] as const;

/** Codes of mistakes in the program. docs/errors.md lists them. */
export const CONFIGURATION_ERROR_CODES = [
  'CAPTIVE_DEPENDENCY',
  'CIRCULAR_DEPENDENCY',
  'DUPLICATE_ROUTE',
  'GUARD_MISMATCH',
  'INVALID_CHANNEL',
  'INVALID_CONTAINER',
  'INVALID_CONTROLLER',
  'INVALID_DECORATOR',
  'INVALID_MIDDLEWARE',
  'INVALID_OPTION',
  'INVALID_PARAMETER',
  'INVALID_PATH',
  'MISSING_PACKAGE',
  'NO_SCOPE',
  'UNKNOWN_DEPENDENCY',
] as const;

/** What kind of mistake a `ConfigurationError` reports. */
export type ConfigurationErrorCode = (typeof CONFIGURATION_ERROR_CODES)[number];

/** The code of a status: `NOT_FOUND` for 404. `BAD_REQUEST` or `INTERNAL_SERVER_ERROR` for a status without a name. */
export function codeOfStatus(status: number): string {
  return STATUS_ERROR_CODES[status] ?? codeOfStatus(status < 500 ? 400 : 500);
}

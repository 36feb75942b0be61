/**
 * The types of the application's user and session, declared once by declaration merging:
 * `declare module 'coequal' { interface Register { user: Account; session: { cart: string[] } } }`
 */
export interface Register {}

/** The type of the signed-in user; `unknown` unless it is registered. */
export type RegisteredUser = Register extends { user: infer U } ? U : unknown;

/** The type of the values of a session; any record unless it is registered. */
export type RegisteredSession = Register extends { session: infer S } ? S : Record<string, unknown>;

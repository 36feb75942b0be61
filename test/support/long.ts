/** Whether `npm run test:long` runs: every case of the large tables, and counts that leave no doubt. */
export const LONG = process.env['LONG'] === '1';

/** Every `step`-th case of a table, from the one at `offset` on; every case in a long run. */
export function sample<T>(cases: readonly T[], step: number, offset = 0): readonly T[] {
  return LONG ? cases : cases.filter((_, index) => index % step === offset % step);
}

/**
 * The time of a deadline. One that is no time would never come: it fails instead.
 * @throws TypeError
 */
export function timeOf(deadline: Date): number {
  const isDate = Object.prototype.toString.call(deadline) === '[object Date]';
  const time = isDate ? deadline.getTime() : Number.NaN;
  if (Number.isNaN(time)) throw new TypeError(`expires() takes a valid Date, not ${String(deadline)}`);
  return time;
}

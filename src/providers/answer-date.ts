/** `Date` of an answer in seconds, 0 where it has none. Source: RFC 9110 section 6.6.1 */
export function secondsOf(date: string | undefined): number {
  const ms = Date.parse(date ?? '');
  return Number.isNaN(ms) ? 0 : Math.floor(ms / 1000);
}
